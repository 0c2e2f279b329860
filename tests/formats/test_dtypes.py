"""The dtypes that are stored, and casts between them, held against Python's exact numbers."""

import doctest
import math
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dataset_assets.errors import DefinitionError
from dataset_assets.formats import dtypes
from dataset_assets.formats.dtypes import cast, dtype_text, parsed, stored

INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
FLOATS = ["f2", "f4", "f8"]
COMPLEX = ["c8", "c16"]
NUMBERS = ["?", *INTEGERS, *FLOATS, *COMPLEX]
INTERESTING = [
    *(0, 1, -1, 2, 127, 128, 255, 256, -128, -129, 2**15, 2**16, 2**24 + 1, 2**31, 2**32, 2**53 + 1),
    *(2**63 - 1, 2**63, 2**64 - 1, -(2**63), 0.5, -0.0, 1e-8, 65504.0, 65520.0, 1e30, 1e300),
    *(math.inf, -math.inf, math.nan),
]


def holds(number: Any, dtype: np.dtype[Any]) -> bool:
    """Say whether a dtype holds a Python number: exactly, or rounded if both are floats."""
    if isinstance(number, complex):
        if dtype.kind == "c":
            part = np.dtype(f"f{dtype.itemsize // 2}")
            return holds(number.real, part) and holds(number.imag, part)
        return number.imag == 0 and holds(number.real, dtype)
    if dtype.kind == "c":
        return holds(number, np.dtype(f"f{dtype.itemsize // 2}"))
    if isinstance(number, float):
        if dtype.kind == "f":
            with np.errstate(all="ignore"):
                return not math.isinf(dtype.type(number)) or math.isinf(number)
        return math.isfinite(number) and number.is_integer() and holds(int(number), dtype)
    if dtype.kind == "b":
        return number in (0, 1)
    if dtype.kind in "iu":
        return int(np.iinfo(dtype).min) <= number <= int(np.iinfo(dtype).max)
    with np.errstate(all="ignore"):
        try:
            found = float(dtype.type(number))
        except OverflowError:
            return False
    return math.isfinite(found) and Fraction(found) == Fraction(number)


def rounded(number: Any, dtype: np.dtype[Any]) -> Any:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return dtype.type(number.real if isinstance(number, complex) and dtype.kind != "c" else number)


@st.composite
def numbers(draw: st.DrawFn) -> "np.ndarray[Any, Any]":
    dtype = np.dtype(draw(st.sampled_from(NUMBERS)))
    own = arrays.from_dtype(dtype)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        known = [dtype.type(value) for value in INTERESTING if holds(value, dtype)]
    values = draw(st.lists(own | st.sampled_from(known), min_size=1, max_size=8))
    found = np.array(values, dtype)
    return found.astype(dtype.newbyteorder(">")) if draw(st.booleans()) else found


@given(numbers(), st.sampled_from(NUMBERS))
@settings(max_examples=400, deadline=None)
def test_numbers_are_cast_if_the_dtype_holds_them(rows: Any, target: str) -> None:
    dtype = np.dtype(target)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = cast(rows, dtype)
    assert result is not None
    found, held = result
    assert found.dtype == dtype and found.shape == rows.shape
    expected = [holds(value, dtype) for value in rows.tolist()]
    assert (np.ones(rows.shape, bool) if held is None else held).tolist() == expected
    for value, one, fits in zip(rows.tolist(), found, expected):
        if fits:
            np.testing.assert_equal(one, rounded(value, dtype))


@pytest.mark.parametrize("kind", ["S3", "U3", "M8[D]", "m8[s]", "V3", [("a", "i4")]])
@pytest.mark.parametrize("other", ["?", "i8", "f8", "c16", "S9", "U9", "M8[s]", "m8[s]", "V9", [("b", "i4")]])
def test_nothing_is_cast_into_another_kind(kind: Any, other: Any) -> None:
    source, target = np.dtype(kind), np.dtype(other)
    result = cast(np.zeros(2, source), target)
    assert (result is not None) == (source == target or source.kind == target.kind and source.kind in "SUMm")


@given(st.lists(st.text("aé🐈", max_size=5), min_size=1), st.integers(1, 6))
def test_strings_are_cast_if_they_are_short_enough(values: list[str], length: int) -> None:
    result = cast(np.array(values, "<U5"), np.dtype(f"<U{length}"))
    assert result is not None
    found, held = result
    fits = [len(value) <= length for value in values]
    assert held is None or held.tolist() == fits
    assert [one for one, fit in zip(found.tolist(), fits) if fit] == [v for v, fit in zip(values, fits) if fit]


@given(arrays.arrays("M8[s]", st.integers(1, 5)) | arrays.arrays("m8[ms]", st.integers(1, 5)), st.data())
def test_times_are_cast_if_the_unit_holds_them(rows: Any, data: st.DataObject) -> None:
    unit = data.draw(st.sampled_from(["D", "h", "s", "ms", "us", "ns"]))
    dtype = np.dtype(f"{rows.dtype.kind}8[{unit}]")
    per_second = {"D": Fraction(1, 86400), "h": Fraction(1, 3600), "s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
    scale = Fraction(per_second[unit]) / (1 if rows.dtype.kind == "M" else 1000)
    exact = [None if np.isnat(one) else int(one.astype(np.int64)) * scale for one in rows]
    expected = [value is None or value.denominator == 1 and -(2**63) < value < 2**63 for value in exact]
    result = cast(rows, dtype)
    if result is None:
        # numpy itself refuses what is far beyond the unit.
        assert not all(expected)
        return
    found, held = result
    assert (np.ones(len(rows), bool) if held is None else held).tolist() == expected
    for one, value, fits in zip(found, exact, expected):
        if fits:
            assert np.isnat(one) if value is None else int(one.astype(np.int64)) == value


def test_fields_are_cast_by_name_and_not_by_order() -> None:
    rows = np.array([(1, 2.5, [1, 2]), (3, 4.0, [300, 4])], [("a", "i4"), ("b", "f8"), ("c", "i4", (2,))])
    result = cast(rows, np.dtype([("c", "u1", (2,)), ("b", "f4"), ("a", "i2")]))
    assert result is not None and result[1] is not None
    assert result[0]["a"].tolist() == [1, 3] and result[0]["b"].tolist() == [2.5, 4.0]
    assert result[1].tolist() == [True, False]
    assert cast(rows, np.dtype([("a", "i4"), ("b", "f8"), ("d", "i4", (2,))])) is None
    assert cast(rows, np.dtype([("a", "i4"), ("b", "f8"), ("c", "i4", (3,))])) is None


@given(arrays.array_dtypes(arrays.scalar_dtypes()) | arrays.nested_dtypes(arrays.scalar_dtypes(), max_itemsize=None))
def test_a_stored_dtype_is_little_endian_packed_and_its_own_text(dtype: "np.dtype[Any]") -> None:
    if dtype.subdtype is not None:
        dtype = dtype.base
    try:
        found = stored(dtype)
    except DefinitionError:
        return
    assert parsed(dtype_text(found)) == found and stored(found) == found
    assert found.newbyteorder("<") == found
    assert found.itemsize == np.zeros(0, found).dtype.itemsize
    if found.names:
        assert found.itemsize == sum(found[name].itemsize for name in found.names)


def test_padding_and_metadata_are_left_behind() -> None:
    aligned = np.dtype([("a", "i1"), ("b", ">f8")], align=True)
    assert aligned.itemsize == 16 and stored(aligned).itemsize == 9
    assert stored(np.dtype("f4", metadata={"made": "today"})).metadata is None


@pytest.mark.parametrize(
    "dtype", ["O", "longdouble", "clongdouble", "U", "S", "V", "2f4", [("a", "O")], "nonsense", 5.5]
)
def test_dtypes_without_bytes_of_their_own_are_refused(dtype: Any) -> None:
    with pytest.raises(DefinitionError):
        parsed(dtype)


def test_the_examples_run() -> None:
    found = doctest.testmod(dtypes)
    assert found.attempted and not found.failed
