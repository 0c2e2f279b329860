"""What preparing would do, before anything starts."""

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Iterator

import numpy as np
import pytest
from orchestrated import files_in

from dataset_assets import Array, Dataset, RemoteFile, Split, SplitOf, View, load, prepare
from dataset_assets.definition import registry
from dataset_assets.errors import NoSpace, RetrievalError
from dataset_assets.making.plan import Disk, plan, see_at_hand
from dataset_assets.storage import Storage, open_storage
from dataset_assets.testing.server import FaultyServer, Status

NAME = "org.example.planned"
BYTES = b"1\n2\n3\n"


def lines(table: BinaryIO, part: int) -> Iterator[Any]:
    for line in table:
        yield {"n": int(line) + part}


def whole(of: View) -> View:
    return of


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer({"/a.txt": BYTES, "/b.txt": BYTES * 2}) as server:
        yield server


@pytest.fixture
def dataset(server: FaultyServer) -> Dataset:
    split = {
        "a": Split(lines, table=RemoteFile(f"{server.url}/a.txt"), part=0),
        "b": Split(lines, table=RemoteFile(f"{server.url}/b.txt", keep=False), part=1),
        "of_a": Split(whole, of=SplitOf("a")),
    }
    return Dataset(NAME, "Numbers.", {"n": Array("int64")}, split, checks={"leakage": "off"})


@pytest.fixture
def store(home: Path) -> Storage:
    return open_storage(home / "storage")


def planned(dataset: Dataset, store: Storage, **options: Any) -> tuple[list[str], list[str]]:
    found = plan(dataset, store, **options)
    return [file.file for file in found.files], [split.partition("/")[2] for split in found.splits]


def test_nothing_is_retrieved_or_written_and_a_preparation_does_what_was_planned(
    dataset: Dataset, store: Storage, home: Path, server: FaultyServer
) -> None:
    found = plan(dataset, store)
    assert [(file.file, file.bytes, file.keep) for file in found.files] == [("a_txt", 6, True), ("b_txt", 12, False)]
    assert found.splits == (f"{NAME}/a", f"{NAME}/b", f"{NAME}/of_a")
    assert found.bytes == 18 and found.rate and found.seconds and found.terms == ()
    assert sum(disk.bytes for disk in found.disks) == 18 + 6, "a file is in the scratch folder, and then in the storage"
    assert files_in(home / "storage") == {}
    prepare(dataset)
    assert planned(dataset, store) == ([], [])


def test_only_what_is_missing_is_planned(dataset: Dataset, store: Storage, server: FaultyServer, home: Path) -> None:
    prepare(dataset)
    asked = len(server.requests)
    more = replace(dataset, splits={**dataset.splits, "c": replaced(dataset.splits["b"], part=5)})
    assert planned(more, store, measure=False) == (["b_txt"], ["c"]), "the file was not kept"
    more = replace(dataset, splits={**dataset.splits, "c": replaced(dataset.splits["a"], part=5)})
    assert planned(more, store, measure=False) == ([], ["c"])
    changed = replace(dataset, splits={**dataset.splits, "a": replaced(dataset.splits["a"], part=5)})
    assert planned(changed, store, measure=False) == ([], ["a", "of_a"])
    assert plan(dataset, store, refresh=True, measure=False).asked == 2
    [raw] = (home / "storage").rglob("raw/a_txt/[0-9a-f]*")
    raw.unlink()
    assert planned(dataset, store, measure=False) == ([], []), "bytes that nobody needs are not retrieved"
    assert planned(changed, store, measure=False) == (["a_txt"], ["a", "of_a"])
    assert len(server.requests) == asked


def replaced(split: Split, **arguments: Any) -> Split:
    return Split(split.function, **{**split.arguments, **arguments})


def test_a_file_here_that_changed_is_planned(store: Storage, tmp_path: Path) -> None:
    (path := tmp_path / "n.txt").write_bytes(BYTES)
    dataset = Dataset(NAME, "x.", {"n": Array("int64")}, {"a": Split(lines, table=RemoteFile(path), part=0)})
    prepare(dataset)
    path.write_bytes(BYTES * 2)
    assert planned(dataset, store) == (["n_txt"], ["a"])


def test_what_it_is_made_of_is_planned_first_with_the_terms_that_are_not_accepted(
    dataset: Dataset, store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = replace(dataset, terms="For research.")
    monkeypatch.setattr(registry, "defined", lambda name: first if name == NAME else None)
    second = Dataset("org.example.second", "x.", dataset.streams, {"all": Split(whole, of=SplitOf(NAME, "a"))})
    found = plan(second, store, measure=False)
    assert found.splits[-1] == "org.example.second/all" and found.splits[0] == f"{NAME}/a"
    assert found.terms == (NAME,) and len(found.files) == 2


def test_a_source_that_does_not_answer_leaves_size_and_rate_unknown(
    dataset: Dataset, store: Storage, server: FaultyServer
) -> None:
    for path in ("/a.txt", "/b.txt"):
        server.script(path, [Status(404)] * 9)
    found = plan(dataset, store)
    assert [file.bytes for file in found.files] == [None, None] and found.rate is None and found.seconds is None


def test_what_cannot_fit_is_refused(dataset: Dataset, store: Storage) -> None:
    found = plan(dataset, store, measure=False)
    replace(found, disks=(Disk("/data", 10, 10),)).see_fits()
    with pytest.raises(NoSpace, match="/data needs at least 5.0 MB, and has 4.0 MB free. Free some space"):
        replace(found, disks=(Disk("/data", 5_000_000, 4_000_000),)).see_fits()
    huge = replace(dataset, splits={"a": Split(lines, table=RemoteFile("https://a.example/a", size=1 << 60), part=0)})
    with pytest.raises(NoSpace, match="needs at least"):
        plan(huge, store, measure=False).see_fits()


def test_offline_lists_all_that_is_missing_and_opens_no_socket(
    dataset: Dataset, store: Storage, server: FaultyServer, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("DATASET_ASSETS_OFFLINE", "1")
        with pytest.raises(RetrievalError) as caught:
            prepare(dataset)
        listed = str(caught.value).splitlines()[1:]
        assert listed == [f"  {NAME}: {server.url}/{name}.txt" for name in "ab"]
        assert not server.requests and files_in(home / "storage") == {}
    prepare(dataset)
    with monkeypatch.context() as patch:
        patch.setenv("DATASET_ASSETS_OFFLINE", "1")
        patch.setattr(socket, "socket", None)
        prepare(dataset)
        see_at_hand(dataset, store)
        found = plan(dataset, store)
        assert found.files == () and found.rate is None
        assert np.array_equal(load(NAME, "a").to_numpy()["n"], [1, 2, 3])


def test_a_source_whose_terms_are_not_accepted_and_any_source_offline_is_not_read(
    dataset: Dataset, store: Storage, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = plan(replace(dataset, terms="For research."), store)
    assert found.terms == (NAME,) and found.rate is None
    assert {request.method for request in server.requests} <= {"HEAD"}
    server.forget()
    monkeypatch.setenv("DATASET_ASSETS_OFFLINE", "1")
    assert plan(dataset, store).files and not server.requests
