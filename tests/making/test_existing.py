"""A split that is stored already is found by its recipe, however many others are stored beside it."""

from collections import Counter
from typing import Any, BinaryIO, Iterator

import numpy as np
import pytest

from dataset_assets import Array, Columns, Dataset, Split, load, prepare
from dataset_assets.moving.copy import copy
from dataset_assets.moving.gc import collect
from dataset_assets.moving.rm import rm
from dataset_assets.storage import MemoryStorage
from dataset_assets.storage.keys import place_of

NAME = "org.example.numbered"


def numbers(start: int) -> Iterator[Any]:
    yield Columns(number=np.arange(start, start + 3))


def numbered(start: int) -> Dataset:
    splits = {name: Split(numbers, start=start + k) for k, name in enumerate(("test", "train"))}
    return Dataset(NAME, "N.", {"number": Array("int64")}, splits, checks={"leakage": "off"})


class Counting(MemoryStorage):
    """Counts the reads of each kind of key."""

    def __init__(self) -> None:
        super().__init__()
        self.read: Counter[str] = Counter()

    def get(self, key: str) -> BinaryIO:
        place = place_of(key)
        self.read[place.kind if place else ""] += 1
        return super().get(key)


def stored(versions: int) -> Counting:
    storage = Counting()
    for start in range(versions):
        prepare(numbered(10 * start), storage=storage)
    storage.read.clear()
    return storage


def notes(storage: MemoryStorage) -> list[str]:
    return sorted(key for key in storage.list("") if (place := place_of(key)) and place.kind == "recipe")


@pytest.mark.parametrize("start", [1000, 10, 0], ids=["a new version", "an old version", "the oldest version"])
def test_a_version_is_prepared_with_as_many_reads_beside_many_as_beside_few(start: int) -> None:
    few, many = stored(4), stored(16)
    for storage in (few, many):
        prepare(numbered(start), storage=storage)
    assert few.read == many.read and many.read["index"] <= 8


def test_what_an_earlier_release_stored_is_found_too() -> None:
    storage, first = stored(3), prepare(numbered(0), storage=MemoryStorage())["train"].version
    for key in notes(storage):
        storage.delete(key)
    assert prepare(numbered(0), storage=storage)["train"].version == first
    assert notes(storage) == [] and len({*storage.list("org/example/numbered/train/index")}) == 3


def test_a_note_that_says_something_wrong_costs_a_read_and_no_more() -> None:
    storage = stored(2)
    for key in notes(storage):
        storage.delete(key)
        (folder, _, name), other = key.rpartition("/"), "0" * 64
        storage.put(f"{folder}/{other}.{name.split('.')[1]}.json", b"{}")
    assert [*prepare(numbered(0), storage=storage)["train"].tuples("number")] == [(1,), (2,), (3,)]
    assert load(NAME, storage=storage)["train"][0]["number"] == 1


def test_notes_come_with_a_copy_and_go_with_their_indexes() -> None:
    storage, target = stored(3), MemoryStorage()
    copy(NAME, storage, target, versions="all")
    assert notes(target) == notes(storage) and len(notes(target)) == 6
    collect(target, keep_versions=1, grace_seconds=0)
    assert len(notes(target)) == 2
    rm(NAME, storage)
    assert notes(storage) == []
