"""Groups that are in two splits, and splits out of the order of time."""

from typing import Any

import numpy as np
import pytest

from dataset_assets import view_of
from dataset_assets.checks import apart, in_order
from dataset_assets.errors import DefinitionError

DAYS = np.array(["2020-01-01", "2020-03-01", "2020-02-01"], "datetime64[D]")


@pytest.mark.parametrize(
    "values", [["a", "b", "c"], [1, 2, 3], [0.5, 1.5, 2.5], [b"a", b"b", b"c"], [True, False, True]]
)
def test_a_group_in_two_splits_is_named(values: list[Any]) -> None:
    train, test = view_of({"patient": values}), view_of({"patient": values[2:]})
    said = apart("patient")({"train": train, "test": test})
    first = values.index(values[2])
    assert said is not None and said.startswith("1 samples of test have a patient that is also in train: ")
    assert f"test[0] = train[{first}]" in said and said.endswith(f"first {values[2]!r}.")
    assert apart("patient")({"train": train[:2], "test": view_of({"patient": [values[0]]})[:0]}) is None


def test_samples_without_a_group_are_passed_over() -> None:
    nothing = view_of({"patient": np.array([np.nan, 1.0])})
    assert apart("patient")({"train": nothing[:1], "test": nothing[:1]}) is None
    empty = view_of({"patient": ["", "x"]})
    assert apart("patient")({"train": empty, "test": empty[:1]}) is None


@pytest.mark.parametrize("times", [[1, 3, 2], [1.0, 3.0, 2.0], ["2020-01-01", "2020-03-01", "2020-02-01"], DAYS])
def test_splits_follow_each_other_in_time(times: Any) -> None:
    view = view_of({"at": times})
    early, late = view[[0, 2]], view[1:2]
    check = in_order("at")
    assert check({"train": early, "test": late}) is None
    said = check({"train": late, "test": early})
    assert said is not None and said.startswith("test begins at ") and ", and train ends at " in said
    assert in_order("at", ("early", "late"))({"early": early, "late": early})
    assert check({"train": early, "test": late[:0]}) is None


def test_a_sample_without_time_has_no_place() -> None:
    view = view_of({"at": np.array([1.0, np.nan])})
    with pytest.raises(DefinitionError, match="train has a sample without at"):
        in_order("at")({"train": view, "test": view[:1]})
