"""Frozen mappings: equal to what they were made of, not to be changed, and at home in every process."""

import copy
import pickle
from typing import Any

import pytest

from dataset_assets.core.frozen import FrozenMapping


def test_it_is_a_copy_in_the_same_order_that_cannot_be_changed() -> None:
    given: dict[str, Any] = {"b": 1, "a": [2]}
    frozen = FrozenMapping(given)
    given["c"] = 3
    assert frozen == {"b": 1, "a": [2]} and list(frozen) == ["b", "a"] and repr(frozen) == "{'b': 1, 'a': [2]}"
    assert frozen | {"c": 3} == {"c": 3} | frozen == given and len(frozen) == 2
    for change in (lambda: frozen.__setitem__("a", 1), lambda: frozen.update({})):  # type: ignore[attr-defined]
        with pytest.raises(AttributeError):
            change()


def test_it_pickles_and_is_copied() -> None:
    frozen = FrozenMapping({"a": [1]})
    for again in (pickle.loads(pickle.dumps(frozen)), copy.copy(frozen), copy.deepcopy(frozen)):
        assert again == frozen and type(again) is FrozenMapping
