"""What a loader says of its steps: what was handed out is counted, and where the time went."""

import json
import pickle
import time
from pathlib import Path
from typing import Any, BinaryIO, Iterator

import numpy as np
import pytest

from dataset_assets import Array, Dataset, RemoteFile, Split, load, prepare, view_of
from dataset_assets.decoding import csv_rows
from dataset_assets.loader import Loader
from dataset_assets.storage import open_storage

ROWS = view_of(x=np.arange(1000, dtype=np.int32), y=["é"] * 1000)


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_steps_samples_and_bytes_are_those_of_the_batches_since_the_last_call(threads: int) -> None:
    loader = Loader(ROWS, 64, shuffle=True, threads=threads)
    assert set(loader.stats().values()) == {0.0}
    list(loader)
    found = loader.stats()
    assert (found["steps"], found["samples"], found["bytes"]) == (16, 1000, 4000 + 2000)
    assert loader.stats()["steps"] == 0
    next(iter(loader))
    assert loader.stats()["steps"] == 1
    json.dumps(found)


def test_the_time_is_counted_where_it_is_spent() -> None:
    def slow(sample: Any) -> Any:
        time.sleep(0.002)
        return sample

    def slow_too(batch: Any) -> Any:
        time.sleep(0.02)
        return batch

    loader = Loader(ROWS[:40].map(slow), 10, threads=0, collate=slow_too)
    list(loader)
    found = loader.stats()
    assert found["decoding_seconds"] >= 0.08 and found["collating_seconds"] >= 0.08
    assert found["waited_seconds"] >= found["decoding_seconds"] + found["collating_seconds"]


def ones(table: BinaryIO) -> Iterator[dict[str, int]]:
    for row in csv_rows(table):
        yield {"n": int(row["n"])}


def dataset(path: Path) -> Dataset:
    splits = {"all": Split(ones, table=RemoteFile(path))}
    return Dataset(name="org.example.ones", summary="Ones.", streams={"n": Array("int32")}, splits=splits)


def test_files_of_a_remote_storage_are_counted_when_they_arrive_and_when_they_are_there(
    fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage(f"sqlite:///{fast_path}/store.db")
    (fast_path / "rows.csv").write_bytes(b"n\n" + b"1\n" * 20)
    prepare(dataset(fast_path / "rows.csv"), storage=storage)
    # Another machine, whose cache is empty.
    monkeypatch.setenv("DATASET_ASSETS_HOME", str(fast_path / "other"))
    found = []
    for _ in range(2):
        loader = Loader(load("org.example.ones", "all", storage=storage), 4)
        loader.stats()
        list(loader)
        found.append(loader.stats())
    first, second = found
    assert first["cache_misses"] > 0 and first["fetching_seconds"] > 0
    assert second["cache_misses"] == 0 < second["cache_hits"]


def test_a_loader_in_another_process_begins_to_count_anew() -> None:
    loader = Loader(ROWS, 64)
    list(loader)
    assert set(pickle.loads(pickle.dumps(loader)).stats().values()) == {0.0}
