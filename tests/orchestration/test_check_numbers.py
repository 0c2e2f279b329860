"""What a check counted is a number, read from what is stored of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from orchestrated import NUMBERED, checks, numbered, run

from dataset_assets import Array, Dataset, Split, load, prepare
from dataset_assets.checks import balance, drift, in_range, nulls
from dataset_assets.core.settings import settings
from dataset_assets.errors import CheckFailed
from dataset_assets.orchestration.check_numbers import numbers_of
from dataset_assets.storage import open_storage
from dataset_assets.storage.stored_dataset import StoredDataset

NAME = "org.example.measured"


def measured(values: list[Any]) -> Iterator[dict[str, Any]]:
    for value in values:
        yield {"x": float("nan") if value is None else value, "y": 0 if value is None or value < 5 else 1}


def dataset(values: list[Any], **given: Any) -> Dataset:
    streams = {"x": Array("float64"), "y": Array("uint8", classes=("low", "high"))}
    return Dataset(NAME, "Measured.", streams, {"all": Split(measured, values=values)}, **given)


def numbers(name: str = NAME) -> dict[str, Any]:
    """Return the numbers of the checks of the version that is current."""
    current = StoredDataset(open_storage(settings().storage), name).current().version
    assert current is not None
    return {finding.check: numbers_of(finding) for finding in current.findings}


def test_what_passed_counts_samples_and_no_failures(home: Path) -> None:
    prepare(dataset([1, 2, 9], checks={"range": in_range({"x": (0, 10)}), "nulls": "warn"}))
    assert numbers() == {
        "all.counts": {"samples": 3},
        "all.schema": {"streams that differ": 0},
        "all.classes": {"values of no class": 0},
        "leakage": {"samples in two splits": 0},
        "range": {"values out of range": 0},
        "nulls": {},  # it does not say how many it tolerates
    }


def test_thresholds_that_were_passed_over_are_counted(home: Path) -> None:
    prepare(dataset([1, 2, 9]))
    checked = {"range": in_range({"x": (2, 5)}), "nulls": nulls(), "balance": balance(1.0), "drift": drift(0.1)}
    prepare(dataset([None, None, 1, 7, 8, 9], checks=checked))
    found = numbers()
    assert found["range"] == {"values out of range": 4} and found["nulls"] == {"missing values": 2}
    assert 0.1 < found["drift"]["largest distance"] <= 1 and found["balance"] == {}


def test_a_message_that_names_some_streams_alone_gives_no_number(home: Path) -> None:
    names = [f"x{k}" for k in range(12)]
    splits = {"all": Split(missing, names=names)}
    prepare(Dataset(NAME, "Missing.", {name: Array("float64") for name in names}, splits, checks={"nulls": "warn"}))
    assert numbers()["nulls"] == {}


def missing(names: list[str]) -> Iterator[dict[str, float]]:
    yield dict.fromkeys(names, float("nan"))


def test_dagster_gets_them_with_the_result_of_the_check(home: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        leaked = checks(run(numbered(first_test=17), instance))
        assert leaked["leakage"].metadata["samples in two splits"].value == 3
        assert leaked["counts"].metadata["samples"].value in (20, 13)
        assert checks(run(numbered(), instance))["leakage"].metadata["samples in two splits"].value == 0
    with pytest.raises(CheckFailed):
        prepare(numbered(first_test=17))
    assert load(NUMBERED)
