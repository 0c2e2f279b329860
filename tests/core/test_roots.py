"""A storage's datasets read outside of it only below the roots that are allowed for it."""

from pathlib import Path

import pytest

from dataset_assets.core import roots
from dataset_assets.core.roots import allow_root, is_below, refuse_root, root_of, roots_of, roots_of_all, see_allowed
from dataset_assets.errors import Refused, UsageError


@pytest.fixture(autouse=True)
def config(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(fast_path / "config"))
    return fast_path / "config"


@pytest.mark.parametrize(
    ("url", "root", "below"),
    [
        ("s3://lake/birds/a.parquet", "s3://lake/birds/", True),
        ("s3://lake/birds/2020/a.parquet", "s3://lake/birds/", True),
        ("s3://lake/birds/a.parquet", "s3://lake/", True),
        ("s3://lake/birds", "s3://lake/birds/", False),
        ("s3://lake/birds_of_others/a.parquet", "s3://lake/birds/", False),
        ("s3://lake/birds/../secret.parquet", "s3://lake/birds/", False),
        ("s3://lake/birds/%2e%2e/secret.parquet", "s3://lake/birds/", False),
        ("s3://lake/birds/..%2fsecret.parquet", "s3://lake/birds/", False),
        ("s3://lake/birds/..%5csecret.parquet", "s3://lake/birds/", False),
        ("s3://other/birds/a.parquet", "s3://lake/birds/", False),
        ("gs://lake/birds/a.parquet", "s3://lake/birds/", False),
        ("s3://lake/birds/a.parquet?endpoint=https://evil.example", "s3://lake/birds/", False),
        ("s3://lake/birds/a.parquet?endpoint=https://a.example", "s3://lake/birds/?endpoint=https://a.example", True),
        ("s3://lake/birds/a.parquet#x", "s3://lake/birds/", False),
    ],
)
def test_what_is_below_a_root(url: str, root: str, below: bool) -> None:
    assert is_below(url, root) is below


def test_links_of_files_are_followed(tmp_path: Path) -> None:
    inside, secret = tmp_path / "lake", tmp_path / "secret.parquet"
    inside.mkdir()
    secret.write_bytes(b"")
    (inside / "plain.parquet").write_bytes(b"")
    (inside / "link.parquet").symlink_to(secret)
    root = f"{inside.as_uri()}/"
    assert is_below((inside / "plain.parquet").as_uri(), root)
    assert not is_below((inside / "link.parquet").as_uri(), root)


def test_a_link_is_followed_from_an_allowed_root_into_an_allowed_root_alone(tmp_path: Path) -> None:
    named, real = tmp_path / "lake", tmp_path / "disk"
    for folder in (named, real):
        folder.mkdir()
    (real / "a.parquet").write_bytes(b"")
    (named / "a.parquet").symlink_to(real / "a.parquet")
    url = (named / "a.parquet").as_uri()
    for allowed, asked in ((named, real), (real, named)):
        allow_root(f"s3://{allowed.name}", allowed.as_uri())
        with pytest.raises(Refused, match=f"settings roots allow {asked.as_uri()}/ "):
            see_allowed(f"s3://{allowed.name}", [url])
        allow_root(f"s3://{allowed.name}", asked.as_uri())
        see_allowed(f"s3://{allowed.name}", [url])


def test_files_of_several_disks_do_not_allow_every_file() -> None:
    assert roots_of_all(["file:///a/1", "file:///b/2", "file:///b/3"]) == ["file:///a/", "file:///b/"]
    assert roots_of_all(["file:///a/b/1", "file:///a/c/2"]) == ["file:///a/"]


def test_a_root_is_allowed_for_one_storage_until_it_is_taken_back() -> None:
    assert allow_root("s3://assets", "s3://lake/birds") == "s3://lake/birds/"
    assert roots_of("s3://assets") == ["s3://lake/birds/"] and roots_of("s3://others") == []
    see_allowed("s3://assets", ["s3://lake/birds/a.parquet"])
    with pytest.raises(Refused, match="settings roots allow s3://lake/birds/"):
        see_allowed("s3://others", ["s3://lake/birds/a.parquet"])
    assert refuse_root("s3://assets", "s3://lake/birds/") and not refuse_root("s3://assets", "s3://lake/birds/")
    assert roots_of("s3://assets") == []


def test_the_root_of_objects_is_the_deepest_folder() -> None:
    assert root_of(["s3://lake/a/b/1", "s3://lake/a/c/2"]) == "s3://lake/a/"
    assert root_of(["file:///data/a%20b/1"]) == "file:///data/a%20b/"
    with pytest.raises(UsageError, match="one bucket"):
        root_of(["s3://lake/a", "s3://other/a"])


@pytest.mark.parametrize("wrong", ["https://example.org/", "s3://lake/../other/", "birds", "s3://lake/#x"])
def test_what_is_no_root_is_refused(wrong: str) -> None:
    with pytest.raises(UsageError, match="not a root"):
        allow_root("s3://assets", wrong)


def test_a_damaged_record_says_what_to_do(config: Path) -> None:
    allow_root("s3://assets", "s3://lake/birds/")
    (place,) = Path(roots._folder()).iterdir()
    place.write_bytes(b"{")
    with pytest.raises(UsageError, match="allow the root again"):
        roots_of("s3://assets")
