"""Forgetting of a split that is made in parts: of its parts, their records, and those that no index names yet."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from children import in_child
from released import everything

from dataset_assets import Array, Dataset, ForEach, RemoteFile, Split, SplitOf, Text, load, prepare
from dataset_assets.moving.copy import copy
from dataset_assets.moving.forget import forget
from dataset_assets.moving.verify import verify
from dataset_assets.reading.stored_files import index_of
from dataset_assets.storage import LocalStorage, MemoryStorage, Storage
from dataset_assets.storage.stored_dataset import StoredDataset

NAME = "org.example.persons"
PERSONS = ["ann", "bob", "yolanda", "ann-marie", "ann", "joe"]


def persons(table: Any) -> Iterator[Any]:
    if table.url.endswith(os.environ.get("DIES_AT", "none")):
        os.kill(os.getpid(), signal.SIGKILL)
    for line in table:
        number, person = line.decode().split()
        yield {"id": int(number), "person": person}


def again(some: Any) -> Iterator[Any]:
    yield from some


def dataset(files: list[RemoteFile], step: int = 1) -> Dataset:
    splits = {
        "all": Split(persons, table=ForEach(files, files_per_part=step)),
        "runs": Split(again, some=ForEach(SplitOf("all"), samples=5)),
    }
    checks = {"leakage": "off"}
    return Dataset(NAME, "Persons.", {"id": Array("int64"), "person": Text()}, splits, checks=checks)


@pytest.fixture
def files(home: Path, fast_path: Path) -> list[RemoteFile]:
    """Files of two lines of one person each."""
    for k, person in enumerate(PERSONS):
        (fast_path / f"{k}.txt").write_text(f"{2 * k} {person}\n{2 * k + 1} {person}\n")
    return [RemoteFile(fast_path / f"{k}.txt") for k in range(len(PERSONS))]


def ids(storage: Storage, split: str) -> list[int]:
    return [int(sample["id"]) for sample in load(NAME, split, storage=storage)]


def told(storage: Storage) -> list[str]:
    """The objects, but the raw files, that have the word of a person who was forgotten."""
    return [key for key, data in everything(storage).items() if "raw/" not in key and b"yolanda" in data]


def test_samples_are_in_no_part_and_in_no_record(files: list[RemoteFile]) -> None:
    storage = MemoryStorage()
    prepare(dataset(files), storage=storage, jobs=1)
    old = {key for key in storage.list("") if "/parts/" in key}
    assert told(storage) and len(old) == 6 + 3
    done = forget(dataset(files), {"person": ["yolanda"], "id": [0]}, storage)
    assert done.samples == {"all": 3, "runs": 3} and told(storage) == []
    left = [k for k in range(12) if k not in (0, 4, 5)]
    assert ids(storage, "all") == left and ids(storage, "runs") == left
    records = {key for key in storage.list("") if "/parts/" in key}
    assert len(records) == 6 + 2 and not records & old and verify(NAME, storage).damaged == []
    view = load(NAME, "all", storage=storage)
    assert [used.samples for used in index_of(view).sources] == [1, 2, 0, 2, 2, 2]
    assert [used.name for used in index_of(view).sources_of(3)] == ["3_txt"]


def test_what_is_made_later_leaves_them_out_too(files: list[RemoteFile], fast_path: Path) -> None:
    storage, other = MemoryStorage(), MemoryStorage()
    prepare(dataset(files[:3], step=2), storage=storage, jobs=1)
    forget(dataset(files[:3], step=2), {"person": ["ann"]}, storage)
    prepare(dataset(files, step=2), storage=storage, jobs=1)
    assert ids(storage, "all") == [2, 3, 4, 5, 6, 7, 10, 11] == ids(storage, "runs")
    copy(NAME, storage, other)
    (fast_path / "0.txt").write_text("90 ann\n91 new\n")
    prepare(dataset(files, step=2), storage=other, refresh=True, jobs=1)
    assert ids(other, "all") == [91, 2, 3, 4, 5, 6, 7, 10, 11]


def test_parts_that_a_killed_run_left_are_forgotten_with_the_others(
    files: list[RemoteFile], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LocalStorage(home / "storage")
    prepare(dataset(files[:2]), storage=storage, jobs=1)
    monkeypatch.setenv("DIES_AT", "/5.txt")
    assert in_child(lambda: prepare(dataset(files), storage=storage, jobs=1)) == -signal.SIGKILL
    monkeypatch.delenv("DIES_AT")
    assert len(StoredDataset(storage, NAME).listed().of("part")) == 2 + 1 + 3 and told(storage)
    forget(dataset(files[:2]), {"person": ["ann"]}, storage)
    assert told(storage) == [] and ids(storage, "all") == [2, 3]
    prepare(dataset(files), storage=storage, jobs=1)
    assert ids(storage, "all") == [2, 3, 4, 5, 6, 7, 10, 11]
