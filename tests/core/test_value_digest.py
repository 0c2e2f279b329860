"""Digests of values: equal for equal ones, and for nothing else."""

import datetime
import decimal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.core.value_digest import NoDigest, digest_of_value

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(plain, plain)
def test_values_have_one_digest_if_they_are_written_alike(one: Any, other: Any) -> None:
    assert (digest_of_value(one) == digest_of_value(other)) == (repr(one) == repr(other))


UNLIKE = [
    1, 1.0, True, "1", b"1", [1], (1,), {1}, {1: 1}, [[1, 1]], [(1, 1)], {}, [], (), None, "", decimal.Decimal(1),
    np.int32(1), np.int64(1), np.array(1), np.array([1]), np.array([[1]]), np.array([1], "u8"), np.array([1], ">i8"),
    np.array([1], "M8[s]"), np.array([1], "M8[D]"), np.array([(1,)], [("a", "i8")]), np.array([(1,)], [("b", "i8")]),
    np.array(["1"]), np.array([b"1"]), bytearray(b"1"), memoryview(b"1"), range(1), slice(1), datetime.date(1, 1, 1),
    datetime.datetime(1, 1, 1), float("nan"), 0.0, -0.0, np.dtype("i4"), np.ma.masked_equal([1], 1), ...,
]  # fmt: skip


def test_values_of_other_kinds_differ() -> None:
    digests = [digest_of_value(value) for value in UNLIKE]
    assert len(set(digests)) == len(digests)
    assert digests == [digest_of_value(value) for value in UNLIKE]


def test_an_array_counts_by_its_values_and_not_by_where_they_lie() -> None:
    array = np.arange(12).reshape(3, 4)
    for same in (array.copy(), np.asfortranarray(array), np.repeat(array, 2, axis=0)[::2]):
        assert digest_of_value(same) == digest_of_value(array)


def test_another_process_finds_the_same_whatever_its_hash_seed() -> None:
    code = "from dataset_assets.core.value_digest import *; print(digest_of_value([{'a', 'b', 'c'}, {'x': (1, 2.5)}]))"
    found = {
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True).stdout
        for seed in "12"
    }
    assert found == {digest_of_value([{"a", "b", "c"}, {"x": (1, 2.5)}]).encode() + b"\n"}


def test_what_is_no_data_has_no_digest() -> None:
    for value in (object(), iter([1]), {"a": [object()]}, np.array([object()])):
        with pytest.raises(NoDigest, match="a builtins"):
            digest_of_value(value)
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(NoDigest, match="holds itself, or is nested too deeply"):
        digest_of_value(loop)
