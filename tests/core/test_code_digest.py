"""Digests of code in recipes: those of plain functions stay as they are stored; of objects the state counts."""

import functools
import threading
from typing import Any

import numpy as np
import pytest

from dataset_assets.core.code_digest import code_of
from dataset_assets.errors import DefinitionError

SCALE = 2
FILE = open(__file__)  # noqa: SIM115
TABLE = np.arange(3)
LOCK = threading.Lock()


class Scaler:
    def __init__(self, by: Any) -> None:
        self.by = by

    def __call__(self, sample: Any) -> Any:
        return sample * self.by

    def scaled(self, sample: Any) -> Any:
        return sample * self.by


def scale(sample: Any, by: Any = 2) -> Any:
    return sample * by


def keyword(sample: Any, *, by: Any = 2) -> Any:
    return sample * by


def with_globals(sample: Any) -> Any:
    with LOCK:
        return sample * SCALE + TABLE


def even(n: int) -> bool:
    return odd(n - 1) if n else True


def odd(n: int) -> bool:
    return even(n - 1) if n else False


def test_recipes_count_the_state_of_methods_and_partials_and_not_of_plain_functions() -> None:
    assert code_of(Scaler(2).scaled) == code_of(Scaler(2).scaled) != code_of(Scaler(3).scaled)
    assert code_of(functools.partial(scale, by=2)) != code_of(functools.partial(scale, by=3))
    assert code_of(Scaler(2)) != code_of(Scaler(3))
    # As before: what a recipe cannot know of an object's state it leaves out, and of a check it refuses.
    assert code_of(Scaler(FILE).scaled) == code_of(Scaler.scaled)
    with pytest.raises(DefinitionError, match="has no digest.*Use a plain function"):
        code_of(Scaler(FILE))


# As releases before wrote them into recipes that are stored: code_of(f) of tests/core/test_code_digest.py.
STORED = {
    "scale": "9cbc0d125429939c55cea2c5efc72d3333afea17d82d720c6dab81236145a573",
    "keyword": "8eaf9ca5a24fb0623135484855cba63f4dabb5d5b287a5da6bb7ea3df975b537",
    "even": "9362d9eb68d8569c7a20e7d274d9f43b955009b198f03485743a5d439ddfccec",
    "with_globals": "d2eb1f96c64374566f52d16212bff190e32bfec6397e50ff2b4991fa02260fc6",
}


@pytest.mark.parametrize("name", STORED)
def test_the_digests_of_plain_functions_are_those_that_are_stored(name: str) -> None:
    assert code_of(globals()[name]) == STORED[name]


class Crop:
    """A check or function of one's own, with an attribute of any name."""

    def __init__(self, parts: list[str], size: int) -> None:
        self.parts, self.size = parts, size

    def __call__(self, value: int) -> int:
        return value % self.size


def test_the_state_of_an_object_counts_whatever_its_attributes_are_called() -> None:
    assert len({code_of(Crop(["a"], 1)), code_of(Crop(["a"], 2)), code_of(Crop(["b"], 1))}) == 3
