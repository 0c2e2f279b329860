"""Checks with thresholds: missing values, ranges, rare classes, and drift since the version before."""

import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dataset_assets import Array, Columns, Dataset, Split, Table, Text, View, load, prepare, view_of
from dataset_assets.checks import balance, drift, in_range, nulls
from dataset_assets.errors import CheckFailed, DefinitionError
from dataset_assets.making.recipe import release_recipe
from dataset_assets.storage import MemoryStorage
from dataset_assets.storage.stored_dataset import StoredDataset

NAN = float("nan")


def of(**columns: Any) -> View:
    return view_of(columns)


NUMBERS = of(x=np.array([1.0, 2.0, NAN, 4.0]), n=np.arange(4))


@pytest.mark.parametrize(
    ("check", "view", "said"),
    [
        (nulls(), NUMBERS, "all: 1 of 4 values of x are missing, more than 0 %."),
        (nulls(0.25), NUMBERS, None),
        (nulls({"n": 0}), NUMBERS, None),
        (nulls({"x": 0.2}), NUMBERS, "more than 20 %"),
        (nulls(), of(t=np.array(["2020-01-01", "NaT"], "datetime64[D]")), "1 of 2 values of t are missing"),
        (in_range({"x": (0, 4)}), NUMBERS, None),
        (in_range({"x": (1.5, 3)}), NUMBERS, "2 values of x are not between 1.5 and 3, first 1.0"),
        (in_range({"n": (None, 2)}), NUMBERS, "1 values of n are not between anything and 2, first 3"),
        (in_range({"n": (1, None)}), NUMBERS, "1 values of n are not between 1 and anything, first 0"),
        (in_range({"n": (0, 2)}), of(n=np.zeros((3, 2, 2), int)), None),
    ],
)
def test_each_says_what_is_beyond_its_threshold(check: Any, view: View, said: str | None) -> None:
    found = check({"all": view})
    assert found is None if said is None else found is not None and said in found


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (nulls({"y": 0}), "look at 'y', but split all has no such"),
        (in_range({"z": (0, 1)}), "look at 'z', but split all has no such"),
    ],
)
def test_a_stream_that_is_not_there_is_an_error(check: Any, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        check({"all": NUMBERS})


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: nulls(2),
        lambda: nulls({"x": "few"}),  # type: ignore[dict-item]
        lambda: in_range({"x": (2, 1)}),
        lambda: in_range({"x": 3}),  # type: ignore[dict-item]
        lambda: balance(0.5),
        lambda: drift(-1),
        lambda: drift(True),
        lambda: drift(severity="off"),
    ],
)
def test_what_is_no_threshold_is_refused(wrong: Any) -> None:
    with pytest.raises(DefinitionError):
        wrong()


def rows(values: Any, labels: Any) -> Iterator[Columns]:
    yield Columns(x=np.array(values, float), y=np.array(labels))


def dataset(values: list[float], labels: list[int], **checks: Any) -> Dataset:
    splits = {"all": Split(rows, values=values, labels=labels)}
    streams = {"x": Array("float64"), "y": Array("int64", classes=("a", "b"))}
    return Dataset("org.example.measured", "Measured.", streams, splits, target="y", checks=checks)


def findings(checked: Dataset, storage: str) -> dict[str, Any]:
    from dataset_assets.storage import open_storage
    from dataset_assets.storage.stored_dataset import StoredDataset

    prepare(checked, storage=storage)
    version = StoredDataset(open_storage(storage), checked.name).current().version
    assert version is not None
    return {finding.check: (finding.passed, finding.severity) for finding in version.findings}


def test_they_are_off_then_warn_and_refuse_if_they_are_asked_to(home: Any) -> None:
    few = [1.0] * 24
    labels = [0] * 23 + [1]
    assert not {"nulls", "balance", "drift"} & {*findings(dataset(few, labels), "memory://plain")}
    assert findings(dataset(few, labels, balance="warn"), "memory://warned")["balance"] == (False, "warn")
    assert findings(dataset(few, labels, balance=balance(30)), "memory://higher")["balance"] == (True, "warn")
    for refusing in ("error", balance(severity="error")):
        with pytest.raises(CheckFailed, match="23 of a and 1 of b, more than 10 times as many"):
            prepare(dataset(few, labels, balance=refusing), storage="memory://refused")


def test_drift_is_from_the_version_that_was_current_before(home: Any) -> None:
    storage, half = "memory://drifting", [0, 1] * 50
    steady = [float(k) for k in range(100)]
    assert findings(dataset(steady, half, drift="warn"), storage)["drift"] == (True, "warn")
    shifted = [value + 5 for value in steady]
    assert findings(dataset(shifted, half, drift="warn"), storage)["drift"] == (True, "warn")
    with pytest.raises(CheckFailed, match=r"all: x is distributed differently, by 0\.3, more than 0\.1"):
        prepare(dataset([value + 35 for value in steady], half, drift="error"), storage=storage)
    with pytest.raises(CheckFailed, match=r"all: y is distributed differently, by 0\.4"):
        prepare(dataset(shifted, [0] * 90 + [1] * 10, drift=drift(severity="error")), storage=storage)
    assert load("org.example.measured", "all", storage=storage)[0]["x"] == 5


def test_a_threshold_is_part_of_the_recipe_and_its_absence_is_not() -> None:
    plain, one, other = dataset([1], [0]), dataset([1], [0], nulls=nulls()), dataset([1], [0], nulls=nulls(0.5))
    recipes = {release_recipe(each, {"all": "0" * 64}) for each in (plain, one, other)}
    assert len(recipes) == 3 and pickle.loads(pickle.dumps(other.checks["nulls"])) == nulls(0.5)
    assert release_recipe(plain, {"all": "0" * 64}) == release_recipe(dataset([1], [0]), {"all": "0" * 64})


def table() -> Iterator[dict[str, Any]]:
    yield {"person": {"age": 30, "name": "Ada"}, "text": "x"}
    yield {"person": {"age": None, "name": None}, "text": ""}
    yield {"person": {"age": 130, "name": "Bo"}, "text": "y"}


def test_fields_of_tables_are_named_behind_their_stream(home: Any) -> None:
    people = Dataset(
        "org.example.people",
        "People.",
        {"person": Table({"age": "int64", "name": "string"}), "text": Text()},
        {"all": Split(table)},
        checks={
            "nulls": nulls({"person.age": 0.1, "person.name": 0.5, "text": 0}, severity="error"),
            "range": in_range({"person.age": (0, 120)}, severity="error"),
        },
    )
    with pytest.raises(CheckFailed) as caught:
        prepare(people)
    assert "1 of 3 values of person.age are missing" in str(caught.value)
    assert "1 values of person.age are not between 0 and 120, first 130" in str(caught.value)
    assert "person.name" not in str(caught.value)


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ({"range": "warn"}, "needs bounds"),
        ({"nuls": "warn"}, "Did you mean 'nulls'"),
    ],
)
def test_a_definition_says_how_to_name_them(checks: Any, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        dataset([1], [0], **checks)


def refused(checks: dict[str, Any], **more: Any) -> str:
    def ages() -> Iterator[Any]:
        yield from ({"age": age} for age in (3, 730))

    dataset = Dataset("org.example.ages", "Ages.", {"age": Array("int64")}, {"all": Split(ages)}, checks=checks, **more)
    with pytest.raises(CheckFailed) as caught:
        prepare(dataset, storage=MemoryStorage())
    return str(caught.value)


def test_a_refused_version_says_how_each_of_its_checks_is_accepted() -> None:
    strict = in_range({"age": (0, 120)}, severity="error")
    assert "accept it there with severity='warn' in the check 'range'." in refused({"range": strict})
    assert "accept it there with a check 'mine' that returns None." in refused({"mine": lambda views: "no"})


def test_a_check_that_warns_is_told_when_the_version_is_released(caplog: pytest.LogCaptureFixture) -> None:
    def ages() -> Iterator[Any]:
        yield {"age": 730}

    checks = {"range": in_range({"age": (0, 120)})}
    dataset = Dataset("org.example.ages", "Ages.", {"age": Array("int64")}, {"all": Split(ages)}, checks=checks)
    storage = MemoryStorage()
    for expected in (1, 1):
        prepare(dataset, storage=storage)
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == expected and said[0].startswith("org.example.ages, check range: all: 1 values of age")


def fields(more: float) -> Iterator[Any]:
    for n in range(9):
        yield {"row": {f"field_{k}": n + more for k in range(6)}}


def test_drift_is_told_in_the_order_of_the_fields() -> None:
    split = {"all": Split(fields, more=0.0)}
    dataset = Dataset("org.example.rows", "Rows.", {"row": Table()}, split, checks={"drift": drift(0.1)})
    storage = MemoryStorage()
    prepare(dataset, storage=storage)
    prepare(replace(dataset, splits={"all": Split(fields, more=20.0)}), storage=storage)
    version = StoredDataset(storage, dataset.name).current().version
    assert version
    [said] = [finding.message for finding in version.findings if finding.check == "drift"]
    assert [said.index(f"field_{k}") for k in range(6)] == sorted(said.index(f"field_{k}") for k in range(6))
