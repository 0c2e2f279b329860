"""Checks that are run again on a release find what they found, however its splits are stored."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from dataset_assets import Array, BadSample, Columns, Dataset, ForEach, RemoteFile, Split, SplitOf, load, prepare
from dataset_assets.checks import balance, nulls
from dataset_assets.errors import IntegrityError, NotPrepared
from dataset_assets.making.checked_again import checked_again
from dataset_assets.sources import dataset_from
from dataset_assets.storage import open_storage
from dataset_assets.storage.stored_dataset import StoredDataset

NAME = "org.example.again"
STREAMS = {"n": Array("float64"), "y": Array("int64", classes=("a", "b"))}
CHECKS = {"balance": balance(1.0), "nulls": nulls(0.5)}


def numbers(first: int = 0, count: int = 20) -> Iterator[Any]:
    at = np.arange(first, first + count)
    yield Columns(n=np.where(at == 0, np.nan, at / 2), y=at % 2)


def lines(table: Any) -> Iterator[dict[str, Any]]:
    for line in table:
        yield {"n": float(line), "y": int(line) % 2}


def dirty(count: int) -> Iterator[Any]:
    yield from numbers(count=count)
    yield BadSample("unreadable", "a.jpg")


def defined(splits: dict[str, Split], **more: Any) -> Dataset:
    return Dataset(NAME, "Numbers.", STREAMS, splits, checks=CHECKS, **more)


def divided(folder: Path) -> Dataset:
    whole = SplitOf("all")
    parts = whole.random_split({"train": 0.75, "test": 0.25}, seed=1, materialize=False)
    return defined({"all": Split(numbers), **parts})


def in_parts(folder: Path) -> Dataset:
    for k in range(3):
        (folder / f"{k}.csv").write_text(f"{k}\n{k + 10}\n")
    files = [RemoteFile((folder / f"{k}.csv").as_uri()) for k in range(3)]
    return defined({"all": Split(lines, table=ForEach(files, files_per_part=1))})


def in_place(folder: Path) -> Dataset:
    table = pyarrow.table({"n": [None, 1.0, 2.0], "kind": ["owl", "owl", "finch"]})
    pyarrow.parquet.write_table(table, folder / "birds.parquet")
    os.utime(folder / "birds.parquet", (1, 1))
    return dataset_from(folder / "birds.parquet", name=NAME, target="kind", copy=False, checks={"leakage": "error"})


KINDS: dict[str, Callable[[Path], Dataset]] = {
    "own files": lambda folder: defined({"train": Split(numbers), "test": Split(numbers, first=50)}),
    "row numbers": divided,
    "parts": in_parts,
    "in place": in_place,
    "skipped samples": lambda folder: defined({"all": Split(dirty, count=9)}, on_error="skip"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_they_find_what_they_found(kind: str, home: Path, fast_path: Path) -> None:
    dataset = KINDS[kind](fast_path)
    prepare(dataset, jobs=1)
    stored = StoredDataset(open_storage(home / "storage"), NAME)
    version = stored.version(str(stored.pointer().version))
    names = [finding.check for finding in version.findings]
    digest, found = checked_again(dataset, stored, names)
    assert digest == stored.pointer().version and {*found} == {*version.findings} and len(found) == len(names) > 3
    # Those that are not asked for are not run.
    assert [finding.check for finding in checked_again(dataset, stored, names[:1])[1]] == names[:1]


def test_the_data_is_read_and_not_what_is_recorded_of_it(home: Path) -> None:
    dataset = defined({"all": Split(numbers)})
    prepare(dataset)
    stored = StoredDataset(open_storage(home / "storage"), NAME)
    labels = [path for path in (home / "storage").glob("org/example/again/all/y/*") if path.is_file()]
    for path in labels:
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-8])
    assert labels
    with pytest.raises(IntegrityError):
        checked_again(dataset, stored, ["all.classes"])


def test_a_split_that_the_release_lacks_is_named(home: Path) -> None:
    prepare(defined({"all": Split(numbers)}))
    more = defined({"all": Split(numbers), "new": Split(numbers, first=50)})
    stored = StoredDataset(open_storage(home / "storage"), NAME)
    with pytest.raises(NotPrepared, match="has no split new. Release a version of the definition as it is now"):
        checked_again(more, stored, ["leakage"])
    assert checked_again(more, stored, ["all.counts"])[1][0].message == "20 samples."
    assert len(load(NAME)["all"]) == 20
