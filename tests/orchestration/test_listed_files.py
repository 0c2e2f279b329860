"""Datasets of a folder or a prefix: all steps of a run use the files that its first one listed."""

import os
from pathlib import Path
from typing import Any, Iterator

import dagster as dg
import pytest
from orchestrated import failures, key, made, run

from dataset_assets import Array, Dataset, ForEach, Split, load

NAME, KEY = "org.example.listed", "org/example/listed"


def numbers(table: Any, other: str) -> Iterator[dict[str, int]]:
    # While this split is made, a file arrives for the other one.
    (Path(os.environ["TABLES"]) / other / "late.csv").write_text("9\n")
    yield from ({"n": int(line)} for line in table)


@pytest.fixture
def dataset(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A dataset of two folders with a file each."""
    folder, sides = fast_path, {"a": "b", "b": "a"}
    monkeypatch.setenv("TABLES", str(folder))
    monkeypatch.setenv("DATASET_ASSETS_JOBS", "1")
    for side in sides:
        (folder / side).mkdir()
        (folder / side / "first.csv").write_text("1\n")
    splits = {a: Split(numbers, table=ForEach(folder / a / "*.csv"), other=b) for a, b in sides.items()}
    return Dataset(NAME, "Numbers.", {"n": Array("int64")}, splits, checks={"leakage": "off"})


def in_it(split: str) -> list[int]:
    return [int(sample["n"]) for sample in load(NAME)[split]]


def test_a_file_that_arrives_during_a_run_is_in_the_next_one(
    home: Path, fast_path: Path, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    first = run(dataset, instance)
    assert not failures(first) and (in_it("a"), in_it("b")) == ([1], [1])
    assert run(dataset, instance).success and (in_it("a"), in_it("b")) == ([1, 9], [1, 9])


def test_a_split_alone_is_made_of_the_files_of_the_last_run_that_retrieved(
    home: Path, fast_path: Path, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    assert run(dataset, instance, selection=[key(f"{KEY}/raw")]).success
    (fast_path / "a" / "later.csv").write_text("5\n")
    rest = run(dataset, instance, selection=[key(name) for name in (f"{KEY}/a", f"{KEY}/b", KEY)])
    assert not failures(rest) and KEY in made(rest) and (in_it("a"), in_it("b")) == ([1], [1])


def test_a_file_that_is_gone_at_its_source_after_it_was_retrieved_is_used(
    home: Path, fast_path: Path, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    for selected in ([f"{KEY}/raw"], [f"{KEY}/a", f"{KEY}/b"], [KEY]):
        assert not failures(run(dataset, instance, selection=[key(name) for name in selected]))
        for path in fast_path.glob("?/*.csv"):
            path.unlink()
    assert (in_it("a"), in_it("b")) == ([1], [1])
