"""Arguments fit the function, and are kept as copies of JSON values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.definition.arguments import check_signature, fresh_copy, plain_copy
from dataset_assets.errors import DefinitionError

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("abc é")
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner), max_leaves=6)


def two(one: Any, other: Any = None) -> None:
    """Take one argument or two."""


@given(JSON)
def test_a_plain_value_is_copied_with_all_that_is_in_it(value: Any) -> None:
    kept = plain_copy("value", value)
    assert kept == fresh_copy(kept) == value
    if isinstance(value, (list, dict)):
        assert kept is not value and fresh_copy(kept) is not kept


@pytest.mark.parametrize("value", [(1, 2), float("nan"), "\ud800", {1: 2}, b"x", [[[object()]]]])
def test_a_value_that_json_would_change_is_refused(value: Any) -> None:
    with pytest.raises(DefinitionError, match="^Argument 'value' is "):
        plain_copy("value", value)


def test_arguments_that_a_function_cannot_be_called_with_are_refused() -> None:
    check_signature(two, {"one": 1})
    with pytest.raises(DefinitionError, match=r"two\(.*\) -> None cannot be called with three: missing"):
        check_signature(two, {"three": 3})
