"""Blocks of JSON lines have the rows that `json_lines` yields, and its errors."""

import io
import math
from typing import Any

import pyarrow
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dataset_assets.decoding import json_blocks, json_lines
from dataset_assets.errors import DecodeError

VALUES = [
    *("0", "-0", "-0.0", "1", "2.5", "1e2", "01", "+1", ".5", "NaN", "Infinity", "-Infinity", "1e400", "null"),
    *("9007199254740992", "9007199254740993", "9223372036854775808", "4.9e-324", "true", "[1]", "[[]]", "{}"),
    *('"x"', '"1"', '"a:b"', '"{"', '"}\n{"', '""', '"\\ud800"', '"\\u00e9"', '"é"', '"a\tb"', '"2020-01-01"'),
    *('{"b": 1}', '{"b": 1, "b": 2}', "[" * 60 + "]" * 60),
]
LINES = [
    "",
    " ",
    "{}",
    "[1]",
    "1",
    '{"a":',
    "1}",
    '{"a": 1}{"a": 2}',
    '{"a": [{}',
    "{}]}",
    '{"c": 1}',
    '{"a": 1} x',
    "\ufeff{}",
]
TYPES: dict[str, dict[str, Any]] = {
    "none": {},
    "floats": {"a": pyarrow.float64(), "b": pyarrow.float64()},
    "whole": {"a": pyarrow.int64(), "b": pyarrow.float64()},
    "texts": {"a": pyarrow.string(), "b": pyarrow.string()},
    "booleans": {"a": pyarrow.bool_(), "b": pyarrow.int64()},
}
few = st.sampled_from(VALUES)
lines = st.one_of(
    few.map('{{"a": {}}}'.format),
    st.tuples(few, few).map(lambda two: f'{{"a": {two[0]}, "b": {two[1]}}}'),
    few.map('{{"a":1,"a": {}}}'.format),
    st.sampled_from(LINES),
)


def read(data: bytes, types: dict[str, Any]) -> tuple[list[Any], str]:
    """Return the rows of blocks, and the error after them."""
    rows: list[Any] = []
    try:
        for block in json_blocks.json_blocks(io.BytesIO(data), types):
            rows += block if isinstance(block, list) else block.to_pylist()
    except DecodeError as error:
        return rows, str(error)
    return rows, ""


def expected(data: bytes) -> tuple[list[Any], str]:
    rows: list[Any] = []
    try:
        rows.extend(json_lines(io.BytesIO(data)))
    except DecodeError as error:
        return rows, str(error)
    return rows, ""


def same(one: Any, other: Any) -> bool:
    """Compare values as numbers: 1 and 1.0 are equal, 0.0 and -0.0 are not."""
    if isinstance(one, float) and isinstance(other, (int, float)) and not isinstance(other, bool):
        nan = math.isnan(one) and math.isnan(other)
        return nan or (one == other and math.copysign(1, one) == math.copysign(1, other))
    return type(one) is type(other) and one == other or isinstance(other, float) and same(other, one)


@given(st.lists(lines, max_size=5), st.sampled_from(sorted(TYPES)), st.sampled_from(["\n", "\r\n"]), st.booleans())
@example(['{"a": 1.5}', '{"a": 2}'], "floats", "\n", True)
@example(['{"a": 9007199254740993}'], "floats", "\n", True)
@example(['{"a": 1}{"a": 2}', '{"a":', "1}"], "floats", "\n", True)
@example(['{"a": [{}', "{}]}", '{"a": 1}{"a": 2}'], "none", "\n", True)
@example(['{"a": "x", "b": "y"}'] * 3, "texts", "\n", False)
def test_blocks_have_the_rows_and_the_errors_of_lines(some: list[str], name: str, end: str, ended: bool) -> None:
    data = (end.join(some) + end * ended).encode("utf-8", "surrogatepass")
    (rows, why), (plain, wrong) = read(data, TYPES[name]), expected(data)
    assert why == wrong
    # Of a block with an error no row is given.
    assert len(rows) == len(plain) or why and not rows
    for row, one in zip(rows, plain):
        assert all(same(row.get(key), one.get(key)) for key in row.keys() | one.keys()), (row, one)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_lines_cross_the_ends_of_what_is_read_at_once(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_blocks, "BLOCK", size)
    data = b"".join(b'{"a": %d, "b": "%s"}\n' % (k, b"x" * k) for k in range(30))
    assert read(data, {}) == expected(data)
    assert read(data, {"a": pyarrow.int64(), "b": pyarrow.string()}) == expected(data)
    assert "line 31" in read(data + b"{\n", {})[1] == expected(data + b"{\n")[1]


def test_plain_rows_are_read_as_columns_of_arrow() -> None:
    data = b'{"a": 1.5, "b": "x"}\n{"b": null}\n'
    (block,) = json_blocks.json_blocks(io.BytesIO(data), {"a": pyarrow.float64(), "b": pyarrow.string()})
    assert block.to_pydict() == {"a": [1.5, None], "b": ["x", None]}


def test_a_line_of_more_bytes_than_allowed_is_refused_in_a_block_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_ASSETS_MAX_LINE_BYTES", str(1 << 16))
    data = b'{"a": 1}\n' * 200 + b'{"b": "%s"}\n' % (b"x" * (1 << 17))
    assert read(data, {}) == ([], expected(data)[1])
    assert "line 201" in expected(data)[1]


def test_a_block_of_blank_lines_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_blocks, "BLOCK", 9)
    data = b'{"a": 1}\n' + b"\n" * 40 + b'{"a": 2}\n' + b" \n" * 20
    assert [*json_blocks.json_blocks(io.BytesIO(data), {})] == [[{"a": 1}], [{"a": 2}]]
