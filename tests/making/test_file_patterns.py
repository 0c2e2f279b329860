"""A `ForEach` of a pattern gives the files that its source lists; what was made of them is found without asking."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import part_work as work
import pytest

from dataset_assets import Array, Dataset, ForEach, RemoteFile, Split, Text, prepare
from dataset_assets.core import user_folders
from dataset_assets.errors import DefinitionError, RetrievalError, UsageError
from dataset_assets.making.source_checks import check_sources
from dataset_assets.reading.stored_files import index_of
from dataset_assets.retrieval import retriever
from dataset_assets.retrieval.listed import Listed
from dataset_assets.sources import source_of
from dataset_assets.storage import MemoryStorage

NAME = "org.example.listed"


def numbers(each: Any, **more: Any) -> Dataset:
    streams = {"number": Array("int64"), "text": Text()}
    return Dataset(NAME, "Numbers.", streams, {"all": Split(work.lines, table=ForEach(each, **more))})


@pytest.fixture
def folder(home: Path, fast_path: Path) -> Path:
    found = fast_path / "tables 1"
    (found / "sub").mkdir(parents=True)
    for k, name in enumerate(["a.txt", "b.txt", "sub/a.txt", "c.csv", ".hidden.txt"]):
        (found / name).write_text(f"{k}\n")
    return found


def made_of(dataset: Dataset, **more: Any) -> list[int]:
    view = prepare(dataset, jobs=1, **more)["all"]
    return [int(number) for number in view.to_numpy()["number"]]


def test_files_of_a_folder_are_listed_by_a_pattern(folder: Path) -> None:
    for pattern, found in {
        folder / "*.txt": [0, 1],
        f"{folder.as_uri()}/*.txt": [0, 1],
        folder / "**/*.{txt,csv}": [0, 1, 3, 2],
        folder: [0, 1, 3, 2],
        f"{folder.as_uri()}/": [0, 1, 3, 2],
    }.items():
        assert made_of(numbers(pattern), storage=MemoryStorage()) == found


def test_a_folder_of_the_users_is_listed_too(folder: Path) -> None:
    user_folders.set_folder("tables", folder)
    assert made_of(numbers("folder:tables/*.txt"), storage=MemoryStorage()) == [0, 1]
    assert made_of(numbers("folder:tables/sub/"), storage=MemoryStorage()) == [2]


def test_what_is_made_is_that_of_the_files_themselves(folder: Path) -> None:
    listed = prepare(numbers(folder / "*.txt"), storage=MemoryStorage(), jobs=1)["all"]
    named = prepare(numbers([RemoteFile(folder / "a.txt"), RemoteFile(folder / "b.txt")]), storage=MemoryStorage())
    one, other = index_of(listed), index_of(named["all"])
    assert (one.recipe, one.streams, one.sources) == (other.recipe, other.streams, other.sources)
    assert one.parts == other.parts
    assert one.arguments["table"] == {"pattern": f"{folder.as_uri()}/*.txt"}


def test_a_file_that_is_added_or_removed_is_seen_by_the_next_run(folder: Path) -> None:
    storage, dataset = MemoryStorage(), numbers(folder / "*.txt", files_per_part=1)
    assert made_of(dataset, storage=storage) == [0, 1]
    (folder / "a.txt").unlink()
    (folder / "d.txt").write_text("7\n")
    assert made_of(dataset, storage=storage) == [1, 7]
    assert {one.file for one in check_sources(dataset, storage=storage)} == {"b_txt", "d_txt"}


def test_files_of_one_name_are_told_apart(folder: Path) -> None:
    (folder / "sub_a.txt").write_text("9\n")
    view = prepare(numbers(folder / "**/*a.txt"), storage=MemoryStorage(), jobs=1)["all"]
    names = [used.name for used in index_of(view).sources]
    assert names[0] == "a_txt" and len({*names}) == 3 and all(name.startswith("sub_a_txt_") for name in names[1:])


def two(first: Path, second: Path, **more: Any) -> Dataset:
    splits = {name: Split(work.lines, table=ForEach(each)) for name, each in (("one", first), ("other", second))}
    streams = {"number": Array("int64"), "text": Text()}
    return Dataset(NAME, "Numbers.", streams, splits | more, checks={"leakage": "off"})


def identifiers(dataset: Dataset, storage: MemoryStorage) -> dict[str, list[str]]:
    views = prepare(dataset, storage=storage, jobs=1)
    return {name: [used.name for used in index_of(view).sources] for name, view in views.items()}


def test_files_of_one_name_in_two_patterns_are_told_apart(folder: Path) -> None:
    storage = MemoryStorage()
    [alone] = identifiers(two(folder / "*.txt", folder / "*.csv"), storage)["one"][:1]
    both = two(folder / "*.txt", folder / "sub" / "*.txt")
    found = identifiers(both, storage)
    assert found["one"] == [alone, "b_txt"] and found["other"][0].startswith("a_txt_")
    assert found == identifiers(both, storage) == identifiers(both, MemoryStorage())
    assert [int(one) for one in prepare(both, storage=storage)["other"].to_numpy()["number"]] == [2]


def test_a_file_in_two_patterns_is_one(folder: Path) -> None:
    found = identifiers(two(folder / "*.txt", folder / "a*.txt"), MemoryStorage())
    assert found == {"one": ["a_txt", "b_txt"], "other": ["a_txt"]}


def test_a_file_that_the_definition_names_keeps_its_identifier(folder: Path) -> None:
    named = Split(work.lines, table=RemoteFile(folder / "sub" / "a.txt"))
    found = identifiers(two(folder / "*.txt", folder / "*.csv", named=named), MemoryStorage())
    assert found["named"] == ["a_txt"] and found["one"][0].startswith("a_txt_")


def test_a_folder_may_have_a_star_in_its_name(folder: Path) -> None:
    for name, number in (("set*1", 5), ("set21", 6)):
        (folder / name).mkdir()
        (folder / name / "x y.txt").write_text(f"{number}\n")
    for pattern, found in {
        folder / "set*1": [5],
        folder / "set*1" / "*.txt": [5, 6],
        f"{(folder / 'set*1').as_uri()}/": [5],
        f"{(folder / 'set*1').as_uri()}/*.txt": [5],
        f"{folder.as_uri()}/*/x%20y.txt": [5, 6],
        f"{folder.as_uri()}/set*/": [5, 6],
        f"{folder.as_uri()}/*%2A1/*": [5],
    }.items():
        assert made_of(numbers(pattern), storage=MemoryStorage()) == found, pattern
    user_folders.set_folder("tables", folder)
    assert made_of(numbers("folder:tables/*/x%20y.txt"), storage=MemoryStorage()) == [5, 6]
    assert made_of(numbers("folder:tables/set%2A1/*.txt"), storage=MemoryStorage()) == [5]


class Far:
    """Lists and sends files of this machine, and counts how often it is asked for its list."""

    root: Path
    asked = 0

    def listed(self, url: str) -> list[Listed]:
        Far.asked += 1
        found = sorted(path.name for path in Far.root.glob("*.txt") if not path.name.startswith("."))
        return [Listed(name, f"far://host/{name}?token=secret", 1, None) for name in found]

    def retrieve(self, url: str, into: Any, known: Any = None, report: Any = None) -> Any:
        from urllib.parse import urlsplit

        from dataset_assets.core.redact import redacted
        from dataset_assets.storage.raw_files import Source

        assert url.endswith("?token=secret")
        into.write((Far.root / urlsplit(url).path.lstrip("/")).read_bytes())
        return Source(redacted(url))


@pytest.fixture
def far(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    monkeypatch.setitem(retriever.RETRIEVERS, "far", f"{__name__}:Far")
    monkeypatch.setattr(Far, "root", folder, raising=False)
    monkeypatch.setattr(Far, "asked", 0)
    return lambda: Far.asked


def test_a_service_is_asked_again_only_with_refresh(
    far: Callable[[], int], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, dataset = MemoryStorage(), numbers("far://host/*.txt?token=secret")
    with monkeypatch.context() as offline, pytest.raises(RetrievalError, match="were never listed"):
        offline.setenv("DATASET_ASSETS_OFFLINE", "1")
        made_of(dataset, storage=storage)
    assert made_of(dataset, storage=storage) == [0, 1] and far() == 1
    (folder / "c.txt").write_text("7\n")
    monkeypatch.setenv("DATASET_ASSETS_OFFLINE", "1")
    assert made_of(dataset, storage=storage) == [0, 1] and far() == 1
    monkeypatch.delenv("DATASET_ASSETS_OFFLINE")
    assert made_of(dataset, storage=storage, refresh=True) == [0, 1, 7] and far() == 2
    assert b"secret" not in b"".join(storage.get(key).read() for key in storage.list(""))
    other = numbers("far://host/**?token=secret")
    assert made_of(other, storage=storage) == [0, 1, 7] and far() == 3


def test_nothing_and_what_cannot_be_listed_are_refused(folder: Path) -> None:
    with pytest.raises(RetrievalError, match="There is nothing below"):
        made_of(numbers(folder / "*.png"), storage=MemoryStorage())
    with pytest.raises(RetrievalError, match="No file matches"):
        made_of(numbers(folder / ".hid*"), storage=MemoryStorage())
    with pytest.raises(UsageError, match=r"https://example.org/\*.csv cannot be listed"):
        made_of(numbers("https://example.org/*.csv"), storage=MemoryStorage())
    for wrong in ("https://example.org/a.csv", RemoteFile("s3://b/*.tar", size=3), "a/*.csv", Path("a/*.csv")):
        with pytest.raises(DefinitionError):
            ForEach(wrong)


def test_it_is_written_as_python(folder: Path) -> None:
    text = source_of(numbers("s3://bucket/*.tar", files_per_part=2))
    assert 'table=ForEach("s3://bucket/*.tar", files_per_part=2)' in text and "part_work import lines" in text
    kept = ForEach(RemoteFile("s3://bucket/*.tar", keep=False))
    again = 'ForEach(RemoteFile("s3://bucket/*.tar", identifier="pattern", keep=False))'
    assert again in source_of(numbers(kept.pattern))
    assert "RemoteFile(s3://bucket/*.tar, keep=False)" in repr(kept) and kept != ForEach("s3://bucket/*.tar")


def test_files_are_not_kept_if_their_pattern_is_not(folder: Path) -> None:
    storage = MemoryStorage()
    pattern = RemoteFile(f"{folder.as_uri()}/*.txt", keep=False)
    assert made_of(numbers(pattern), storage=storage) == [0, 1]
    assert [key for key in storage.list("") if "/raw/" in key and not key.endswith("source.json")] == []


def test_in_dagster_the_asset_of_the_raw_files_lists_them(folder: Path, home: Path) -> None:
    import dagster as dg
    from orchestrated import run, versions

    dataset, url = numbers(folder / "*.txt"), (home / "dagster").as_uri()
    with dg.DagsterInstance.ephemeral() as instance:
        first = versions(run(dataset, instance, url))["org/example/listed/all"]
        assert first == prepare(dataset, storage=MemoryStorage(), jobs=1)["all"].origin.index
        (folder / "c.txt").write_text("7\n")
        second = versions(run(dataset, instance, url))["org/example/listed/all"]
    assert second == prepare(dataset, storage=MemoryStorage(), jobs=1)["all"].origin.index != first
