"""Sources are looked after: ok, changed, failed, skipped, error, for each file; nothing is downloaded or written."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Iterator

import pytest
from watched import Watched

from dataset_assets import Array, Dataset, RemoteFile, Split, prepare
from dataset_assets.errors import NameNotAllowed, Refused, RetrievalError, StoreUnavailable, UnknownDataset, UsageError
from dataset_assets.making import source_checks
from dataset_assets.making.by_host import TO_A_HOST
from dataset_assets.making.source_checks import CheckedFile, CheckedUrl, check_sources, worst_code
from dataset_assets.retrieval import retriever
from dataset_assets.storage import MemoryStorage, Storage, open_storage
from dataset_assets.testing.server import FaultyServer, Headers

NAME = "org.example.looked"
FILES = {"/a.txt": b"1\n", "/b.txt": b"2\n3\n"}


@pytest.fixture
def server(home: Path) -> Iterator[FaultyServer]:
    with FaultyServer(dict(FILES)) as server:
        yield server


def lines(**files: Any) -> Iterator[dict[str, int]]:
    for file in files.values():
        for line in file:
            yield {"n": int(line)}


def one_file(a: Any) -> Iterator[dict[str, int]]:
    return lines(a=a)


def two_files(a: Any, b: Any) -> Iterator[dict[str, int]]:
    return lines(a=a, b=b)


def of(*files: RemoteFile, **more: Any) -> Dataset:
    function = one_file if len(files) == 1 else two_files
    return Dataset(NAME, "Numbers.", {"n": Array()}, {"all": Split(function, **dict(zip("ab", files)))}, **more)


def statuses(dataset: Dataset, storage: Storage | None = None) -> list[str]:
    return [one.status for one in check_sources(dataset, storage=storage or MemoryStorage())]


def test_a_source_is_ok_before_and_after_it_is_retrieved_and_no_terms_are_asked(server: FaultyServer) -> None:
    dataset = of(RemoteFile(f"{server.url}/a.txt"), RemoteFile(f"{server.url}/b.txt"), terms="Only for research.")
    assert statuses(dataset) == ["ok", "ok"]
    views = prepare(dataset, accept_terms=True)
    server.forget()
    assert statuses(dataset, open_storage(views["all"].opener.storage.url)) == ["ok", "ok"]
    assert {request.method for request in server.requests} == {"HEAD"}


def test_other_bytes_another_size_and_another_time_are_changes(server: FaultyServer, home: Path) -> None:
    store = open_storage((home / "storage").as_uri())
    dataset = of(RemoteFile(f"{server.url}/a.txt"), RemoteFile(f"{server.url}/b.txt"))
    prepare(dataset)
    server.files["/a.txt"] = b"9\n"
    [first, second] = check_sources(dataset, storage=store)
    assert (first.status, second.status, first.code, worst_code([first, second])) == ("changed", "ok", 4, 4)
    assert "has the ETag" in first.message and f"{server.url}/a.txt" in first.message
    sized = of(RemoteFile(f"{server.url}/b.txt", size=3))
    assert "has 4 bytes, not 3 as defined" in check_sources(sized, storage=store)[0].message


def test_a_file_without_an_etag_is_compared_by_its_time(server: FaultyServer, home: Path) -> None:
    old, new = ({"Last-Modified": f"Mon, 01 Jan {year} 00:00:00 GMT", "ETag": None} for year in (2001, 2002))
    dataset = of(RemoteFile(f"{server.url}/a.txt"))
    server.script("/a.txt", [Headers(old), Headers(old), Headers(new)])
    prepare(dataset)
    store = open_storage((home / "storage").as_uri())
    assert [statuses(dataset, store), statuses(dataset, store)] == [["ok"], ["changed"]]


def test_a_file_of_this_machine_is_compared_by_its_bytes(home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"1\n")
    dataset = of(RemoteFile((tmp_path / "a.txt").as_uri()))
    prepare(dataset)
    store = open_storage((home / "storage").as_uri())
    (tmp_path / "a.txt").touch()
    assert statuses(dataset, store) == ["ok"]
    (tmp_path / "a.txt").write_bytes(b"2\n")
    assert statuses(dataset, store) == ["changed"]
    (tmp_path / "a.txt").unlink()
    assert statuses(dataset, store) == ["failed"]


def test_a_mirror_that_has_the_file_makes_it_ok_and_the_failed_one_is_named(server: FaultyServer) -> None:
    mirrored = RemoteFile("a.txt", mirrors=(f"{server.url}/gone/", f"{server.url}/"))
    [found] = check_sources(of(mirrored), storage=MemoryStorage())
    assert found.status == "ok" and found.code == 0 and "/gone/a.txt answered 404" in found.message
    assert [url["status"] for url in found.to_dict()["urls"]] == ["failed", "ok"]
    server.files.clear()
    [found] = check_sources(of(mirrored), storage=MemoryStorage())
    assert (found.status, found.code) == ("failed", 5)


FAMILY = """
from typing import Literal
from dataset_assets import Array, Dataset, Family, RemoteFile, Split

NAME = "org.example.letters"


def rows(file):
    yield {{"n": 1}}


def letters(letter: Literal["a", "b"], size: Literal["small", "large"] = "small"):
    return Dataset(NAME, "x", {{"n": Array()}}, {{"all": Split(rows, file=RemoteFile(f"{url}/{{letter}}.txt"))}})


family = Family(NAME, "Letters.", letters)
"""


def test_the_members_of_a_family_are_checked_if_they_are_named(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lettered_definitions.py"
    path.write_text(FAMILY.format(url=server.url))
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", str(path))
    name = "org.example.letters"
    every = [f"{name}[letter={letter},size={size}]" for letter in "ab" for size in ("small", "large")]
    for what, names in {
        (f"{name}[*]",): every,
        (f"{name}[letter=b]",): [every[2]],
        (every[1], f"{name}[*]"): [every[1], every[0], *every[2:]],
    }.items():
        found = check_sources(*what, storage=MemoryStorage())
        assert [(one.dataset, one.status) for one in found] == [(each, "ok") for each in names]
    for what, kind, says in (
        (name, NameNotAllowed, "Give a value for letter"),
        (f"{name}[letter=z]", NameNotAllowed, "has no letter=z"),
        ("org.example.lettres[*]", UnknownDataset, "No dataset matches"),
        (3, UsageError, "3 is not a dataset"),
    ):
        with pytest.raises(kind, match=says):
            check_sources(what, storage=MemoryStorage())  # type: ignore[arg-type]


class Blind:
    """A retriever that cannot look."""

    def retrieve(self, url: str, into: Any, known: Any = None, report: Any = None) -> None:
        raise AssertionError("a check retrieves nothing")


class Broken(Blind):
    """A retriever with a bug."""

    def look(self, url: str) -> Any:
        raise KeyError(url)


def test_what_cannot_be_asked_is_skipped_or_an_error(server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(retriever.RETRIEVERS, "blind", f"{__name__}:Blind")
    monkeypatch.setitem(retriever.RETRIEVERS, "broken", f"{__name__}:Broken")
    found = check_sources(of(RemoteFile("blind:x"), RemoteFile("broken:y")), storage=MemoryStorage())
    assert [(one.status, one.code) for one in found] == [("skipped", 0), ("error", 1)]
    assert "KeyError" in found[1].message
    unknown = check_sources(of(RemoteFile("nowhere:x")), storage=MemoryStorage())
    assert [(one.status, one.code) for one in unknown] == [("error", 2)]
    monkeypatch.setenv("DATASET_ASSETS_OFFLINE", "1")
    assert statuses(of(RemoteFile(f"{server.url}/a.txt"))) == ["skipped"] and not server.requests


@pytest.mark.parametrize("kind", [RuntimeError, KeyError, OSError, RetrievalError, Refused])
def test_no_secret_of_a_plugin_s_error_is_shown(kind: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Telling(Blind):
        def look(self, url: str) -> Any:
            other = f"{url} and https://ada:pa55word@example.org/a?token=t0ken, Authorization: Bearer b3arer"
            raise kind(f"{other}, {'s3cret!' * 2}")

    monkeypatch.setattr(source_checks, "retriever_for", lambda url: Telling())
    monkeypatch.setenv("EXAMPLE_TOKEN", "s3cret!")
    [found] = check_sources(of(RemoteFile("telling://bob:hidden@example.org/b?sig=sign3d")), storage=MemoryStorage())
    shown = str(found.to_dict())
    assert found.status in ("error", "failed") and "example.org/b" in shown
    assert not [word for word in ("pa55", "t0ken", "b3arer", "s3cret", "hidden", "sign3d", "bob") if word in shown]


class Unreadable(MemoryStorage):
    """A storage that does not answer."""

    def get(self, key: str) -> Any:
        raise StoreUnavailable("The storage does not answer. Try again.")


def test_a_storage_that_does_not_answer_is_an_error_of_the_file(server: FaultyServer) -> None:
    [found] = check_sources(of(RemoteFile(f"{server.url}/a.txt")), storage=Unreadable())
    assert (found.status, found.code, found.message) == ("error", 6, "The storage does not answer. Try again.")


def test_the_exit_code_is_that_of_the_worst() -> None:
    def checked(status: Any, code: int) -> CheckedFile:
        return CheckedFile(NAME, "a", (CheckedUrl("https://a.example/a", status, code=code),))

    every = [checked("ok", 0), checked("changed", 4), checked("failed", 5), checked("error", Refused.exit_code)]
    assert [worst_code(every[:count]) for count in range(5)] == [0, 0, 4, 5, 8]


def test_hosts_and_files_of_a_host_are_asked_side_by_side(home: Path) -> None:
    names = {f"/{k}.txt": b"1\n" for k in range(12)}
    with Watched(names, TO_A_HOST) as one, Watched(names, TO_A_HOST) as other:
        urls = [server.url + name for server in (one, other) for name in names]
        datasets = [replace(of(RemoteFile(url)), name=f"org.example.n{k}") for k, url in enumerate(urls)]
        found = check_sources(*datasets, storage=MemoryStorage())
    assert {one.status for one in found} == {"ok"}
    assert [one.dataset for one in found] == [dataset.name for dataset in datasets]
    assert (one.most, other.most) == (TO_A_HOST, TO_A_HOST)


def test_secrets_in_urls_are_not_shown(server: FaultyServer) -> None:
    url = f"{server.url}/gone.txt?token=hush"
    [found] = check_sources(of(RemoteFile(url, identifier="gone")), storage=MemoryStorage())
    assert found.status == "failed" and "hush" not in str(found.to_dict())
