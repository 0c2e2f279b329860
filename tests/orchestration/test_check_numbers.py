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
from dataset_assets.storage.manifest import Version
from dataset_assets.storage.stored_dataset import StoredDataset

NAME = "org.example.measured"


def measured(values: list[Any]) -> Iterator[dict[str, Any]]:
    for value in values:
        yield {"x": float("nan") if value is None else value, "y": 0 if value is None or value < 5 else 1}


def dataset(values: list[Any], **given: Any) -> Dataset:
    streams = {"x": Array("float64"), "y": Array("uint8", classes=("low", "high"))}
    return Dataset(NAME, "Measured.", streams, {"all": Split(measured, values=values)}, **given)


def current() -> Version:
    version = StoredDataset(open_storage(settings().storage), NAME).current().version
    assert version is not None
    return version


def numbers() -> dict[str, Any]:
    """Return the numbers of the checks of the version that is current."""
    return {finding.check: numbers_of(finding) for finding in current().findings}


def passed() -> dict[str, bool]:
    """Return whether the checks of the dataset's own passed."""
    return {
        finding.check: finding.passed
        for finding in current().findings
        if finding.check in ("empty", "balance", "drift")
    }


def test_what_passed_counts_samples_and_no_failures(home: Path) -> None:
    prepare(dataset([1, 2, 9], checks={"range": in_range({"x": (0, 10)}), "nulls": "warn"}))
    assert numbers() == {
        "all.counts": {"samples": 3},
        "all.schema": {"streams that differ": 0},
        "all.classes": {"values of no class": 0},
        "leakage": {"samples in two splits": 0},
        "range": {"values out of range": 0},
        "nulls": {"largest share of missing values": 0},
    }


@pytest.mark.parametrize("passes", [False, True])
def test_a_threshold_gives_its_number_whether_it_passes_or_fails(passes: bool, home: Path) -> None:
    prepare(dataset([1, 2, 9]))
    checked = {"empty": nulls(0.5 * passes), "balance": balance(3.0 if passes else 1.5), "drift": drift(1.0 * passes)}
    prepare(dataset([None, None, 1, 7, 8, 9, 9, 9], checks=checked))
    found = numbers()
    assert passed() == dict.fromkeys(checked, passes)
    assert found["empty"] == {"largest share of missing values": 0.25}
    assert found["balance"] == {"largest ratio of two classes": 5 / 3 if not passes else 1.66667}
    # What is stored of a drift that passes does not depend on the version before.
    assert found["drift"] == ({} if passes else {"largest distance": 0.5})


def test_a_drift_that_passes_gives_its_number_to_dagster_as_one_that_fails_does(
    home: Path, instance: dg.DagsterInstance
) -> None:
    for most, passes in ((1.0, True), (0.1, False)):
        run(dataset([1, 2, 9]), instance)
        checked = dataset([7, 7, 8, 9, 9, 9], checks={"drift": drift(most)})
        found = checks(run(checked, instance))["drift"]
        assert found.passed is passes and found.metadata["largest distance"].value == pytest.approx(0.67, abs=0.01)


def test_a_range_counts_what_is_outside(home: Path) -> None:
    prepare(dataset([1, 2, 9, 4, 6], checks={"range": in_range({"x": (2, 5)})}))
    assert numbers()["range"] == {"values out of range": 3}


def test_without_a_version_before_a_drift_has_no_number(home: Path) -> None:
    prepare(dataset([1, 2, 9], checks={"drift": "warn"}))
    assert numbers()["drift"] == {}


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
