"""Nested values in tables: kept exactly wherever blocks end, or refused with the sample and the path."""

import datetime
import decimal
import enum
import math
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pandas
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.errors import DefinitionError, SchemaError
from dataset_assets.formats import Table
from dataset_assets.formats.fields import cast_column, widened
from dataset_assets.formats.format import Misfit
from dataset_assets.formats.nested import column_of
from dataset_assets.formats.type_names import type_named
from dataset_assets.testing.formats import digests, equal, opened, written

DAYS = [np.datetime64("2020-01-31"), None, np.datetime64("NaT", "D")]
DAY, NOON = datetime.date(2020, 1, 31), datetime.datetime(2020, 1, 31, 12)


class Colour(enum.Enum):
    RED = 1


def rows(*values: Any) -> list[dict[str, Any]]:
    return [{"a": value} for value in values]


def outcome(blocks: list[Any], folder: Path, fields: Any = None, file_bytes: int = 1 << 30) -> Any:
    """Return what is read back, and the digests of the files; or None where the values are refused."""
    try:
        parts, parameters = written(Table(fields), blocks, folder, file_bytes)
    except SchemaError as error:
        assert str(error).startswith("sample ")
        return None
    column = opened(Table(), parts, parameters)
    return [column[i]["a"] for i in range(len(column))], digests(parts), parameters


def refused(values: list[Any], folder: Path, kind: Any = None) -> str:
    with pytest.raises(SchemaError) as caught:
        written(Table(None if kind is None else {"a": kind}), [rows(*values)], folder)
    return str(caught.value)


# T1, T5: a type that differs in a later row, a column that begins with nulls

LEAVES = st.none() | st.integers(-3, 3) | st.floats(-2, 2, width=16) | st.sampled_from([2**53 + 1, "x", "7", True, DAY])
NUMBERS = st.none() | st.integers(-3, 3) | st.sampled_from([0.5, -0.0, math.inf])
NESTED = st.one_of(
    st.lists(NUMBERS, max_size=2),
    st.fixed_dictionaries({"b": NUMBERS}, optional={"c": LEAVES}),
    st.fixed_dictionaries({"b": st.lists(st.fixed_dictionaries({"c": NUMBERS}) | st.none(), max_size=2)}),
)


@given(
    st.one_of(st.lists(LEAVES, max_size=6), st.lists(st.none() | NESTED, max_size=6)),
    st.lists(st.integers(0, 6), max_size=4),
    st.sampled_from([1, 1 << 30]),
)
@settings(deadline=None, max_examples=60)
def test_what_is_stored_does_not_depend_on_where_a_block_ends(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any], cuts: list[int], file_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("cuts")
    ends = sorted({0, len(values), *(cut for cut in cuts if cut < len(values))})
    blocks = [rows(*values[lo:hi]) for lo, hi in zip(ends, ends[1:])]
    whole = outcome([rows(*values)], folder / "whole", file_bytes=file_bytes)
    assert outcome(blocks, folder / "blocks", file_bytes=file_bytes) == whole or equal(
        outcome(blocks, folder / "again", file_bytes=file_bytes), whole
    )
    if whole is not None:
        assert equal(whole[0], values)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([None, 1], "int64"),
        ([1, 0.5], "double"),
        ([[], [None], [1]], "list<item: int64>"),
        ([{"b": None}, None, {"b": [[1]]}, {"b": [[0.5]]}], "struct<b: list<item: list<item: double>>>"),
        ([decimal.Decimal("1.5"), decimal.Decimal("12.25")], "decimal128(4, 2)"),
        ([pandas.Timestamp("2020-01-01"), pandas.Timestamp(1)], "timestamp[ns]"),
        ([1, 2**63], "uint64"),
        ([np.float32(0.1), 0.1], "double"),
    ],
)
def test_later_values_widen_a_type_that_is_not_declared(values: list[Any], kind: str, tmp_path: Path) -> None:
    """As if all came in one block, also where the first ones are in finished files."""
    one_by_one = [rows(value) for value in values]
    found = outcome(one_by_one, tmp_path / "files", file_bytes=1)
    assert found[0] == values and found[2] == {"fields": [["a", kind]]}
    assert found == outcome(one_by_one, tmp_path / "declared", {"a": kind}, file_bytes=1)


# T2: no conversion that changes a value, at any depth


SHAPES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "{}": (lambda value: value, "sample 1: field a"),
    "list<item: {}>": (lambda value: [value], "sample 1: field a["),
    "struct<b: {}>": (lambda value: {"b": value}, "sample 1: field a.b"),
    "struct<b: list<item: {}>>": (lambda value: {"b": [value]}, "sample 1: field a.b["),
    "map<string, {}>": (lambda value: {"b": value}, "sample 1: field a["),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256),
        ("int8", -129),
        ("int64", 2**63),
        ("int64", 0.5),
        ("int64", math.nan),
        ("float", 1e300),
        ("halffloat", 4097),
        ("double", 2**53 + 1),
        ("decimal128(5, 2)", 0.126),
        ("double", decimal.Decimal("1234567890123456789012345.5")),
        ("string", 5),
        ("int64", "007"),
        ("bool", 2),
        ("int64", True),
        ("binary", "x"),
        ("string", b"x"),
        ("date32", NOON),
        ("timestamp[us]", DAY),
        ("timestamp[s]", NOON.replace(microsecond=1)),
        ("timestamp[us]", pandas.Timestamp(1)),
        ("struct<c: int64>", {"c": 1, "d": 2}),
        ("struct<c: int64>", {"C": 1}),
        ("struct<c: int64, d: int64>", {"c": 1}),
        ("fixed_size_list<item: int64>[2]", [1]),
        ("fixed_size_binary[3]", b"ab"),
        ("list<item: int64>", {1, 2}),
        ("list<item: int64>", np.ma.array([1, 2], mask=[0, 1])),
        ("time64[us]", datetime.time(1, tzinfo=datetime.UTC)),
    ],
)
def test_a_declared_type_is_not_given_another_value(shape: str, kind: str, value: Any, tmp_path: Path) -> None:
    nested, place = SHAPES[shape]
    assert refused([None, nested(value)], tmp_path, shape.format(kind)).startswith(place)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([{"b": 1}, {"b": 1, "c": 2}], "sample 1: field a: a mapping has the keys b, c; missing: none, unknown: c."),
        ([{"b": [{"c": 1}, {"d": 1}]}], "sample 0: field a.b[1]: a mapping has the keys d; missing: c, unknown: d."),
        ([[1], [2, "x"]], "sample 1: field a[1]: a str ('x'), expected number"),
        ([[True, 1]], "sample 0: field a[1]: a int (1), expected boolean"),
        ([["a", b"x"]], "sample 0: field a[1]: a bytes (b'x'), expected text"),
        ([[DAY, NOON]], "sample 0: field a[1]: a datetime"),
        ([{"b": {1: 2}}], "sample 0: field a.b: a mapping has the key 1, expected text."),
        ([[{1, 2}]], "sample 0: field a[0]: a set ({1, 2}), expected a list."),
        ([decimal.Decimal("1.5"), 1], "sample 1: field a: a int (1), expected decimal"),
        ([[np.array(5)]], "sample 0: field a[0]: an array has no axes"),
        ([1, pandas.NA], "sample 1: field a: pandas' <NA>, expected None: write None if pandas.isna(value)"),
        ([[NOON, pandas.NaT]], "sample 0: field a[1]: pandas' NaT, expected None"),
        ([decimal.Decimal(1), decimal.Decimal("NaN")], "sample 1: field a: the decimal NaN, which Arrow does not hold"),
        ([Colour.RED], "Could not convert <Colour.RED: 1>"),
        ([DAYS[0], np.datetime64("12000-01-01")], "sample 1: field a: the day 12000-01-01"),
    ],
)
def test_what_has_no_common_type_is_refused_with_its_path(values: list[Any], message: str, tmp_path: Path) -> None:
    assert message in refused(values, tmp_path)


def test_days_of_numpy_are_dates(tmp_path: Path) -> None:
    assert outcome([rows(*DAYS)], tmp_path / "own")[0] == [DAY, None, None]
    assert outcome([rows(DAYS)], tmp_path / "listed", {"a": "list<item: date32>"})[0] == [[DAY, None, None]]


@pytest.mark.parametrize(
    "column",
    [
        pandas.Series(pandas.period_range("2020-01", periods=2, freq="M")),
        pandas.Series(pandas.interval_range(0, 2)),
        pyarrow.array([b"x" * 16] * 2, pyarrow.binary(16)).cast(pyarrow.uuid()),
        pyarrow.array([[b"x" * 16]] * 2, pyarrow.list_(pyarrow.binary(16))).cast(pyarrow.list_(pyarrow.uuid())),
    ],
    ids=["periods", "intervals", "uuid", "uuid in lists"],
)
def test_types_that_would_be_stored_as_plain_numbers_are_refused(column: Any, tmp_path: Path) -> None:
    block = pandas.DataFrame({"a": column}) if isinstance(column, pandas.Series) else pyarrow.table({"a": column})
    with pytest.raises(SchemaError, match="field a: values are of the type extension<"):
        written(Table(), [block], tmp_path)


def test_categories_inside_nested_values_are_stored_as_values_and_a_key_twice_is_refused(tmp_path: Path) -> None:
    words = pyarrow.array(["x", None]).dictionary_encode()
    table = pyarrow.table({"a": pyarrow.StructArray.from_arrays([words], ["b"])})
    assert outcome([table], tmp_path / "words")[0] == [{"b": "x"}, {"b": None}]
    twice = pyarrow.StructArray.from_arrays([pyarrow.array([1]), pyarrow.array([2])], ["b", "b"])
    with pytest.raises(SchemaError, match="field a: a mapping has the key b twice"):
        written(Table(), [pyarrow.table({"a": twice})], tmp_path / "twice")


def test_a_struct_of_arrow_with_other_keys_is_refused_as_pythons_is(tmp_path: Path) -> None:
    tables = [pyarrow.table({"a": pyarrow.array([value])}) for value in ({"b": [{"c": 1}]}, {"b": [{"c": 1, "d": 2}]})]
    for blocks in (tables, tables[::-1]):
        with pytest.raises(SchemaError, match=r"sample 1: field a.b\[\]: a mapping has the keys"):
            written(Table(), blocks, tmp_path / str(blocks is tables))


# Types in Arrow's words

STORED: dict[str, Any] = {
    "map<string, list<item: int64>>": [[("k", [1]), ("l", None)], None, []],
    "decimal256(50, 2)": [decimal.Decimal("1.10"), None],
    "decimal32(5, 2)": [decimal.Decimal("1.10"), None],
    "date64[ms]": [DAY, None],
    "time32[s]": [datetime.time(1, 2, 3), None],
    "duration[ns]": [pandas.Timedelta(5), None],
    "fixed_size_binary[3]": [b"abc", None],
    "fixed_size_list<item: int8>[2]": [[1, 2], [3, None]],
    "halffloat": [0.5, None],
    "struct<b: map<int64, struct<c: string>>>": [{"b": [(1, {"c": "x"})]}, None],
}


@pytest.mark.parametrize("kind", STORED)
def test_a_stored_type_is_declared_by_its_words_or_as_a_type(kind: str, tmp_path: Path) -> None:
    values = STORED[kind]
    _, words = written(Table({"a": kind}), [rows(*values)], tmp_path / "words")
    arrow_type = column_of(values, type_named(kind)).type
    table = pyarrow.table({"a": pyarrow.array(values, arrow_type)})
    found = [outcome([block], tmp_path / str(k), fields) for k, (block, fields) in enumerate([
        (table, None), (table, {"a": kind}), (table, {"a": arrow_type}), (rows(*values), {"a": arrow_type}),
    ])]  # fmt: skip
    assert found[0][0] == values and all(one == found[0] for one in found) and found[0][2] == words


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("large_list<item: large_string>", "list<item: string>"),
        ("list<element: int64 not null>", "list<item: int64>"),
        ("dictionary<values=string, indices=int32, ordered=0>", "string"),
        ("run_end_encoded<run_ends: int32, values: double>", "double"),
        ("struct<>", "struct<>"),
        ("dense_union<0: int64=0, 1: string=1>", "dense_union<0: int64=0, 1: string=1>"),
        ("list_view<item: int32>", "list_view<item: int32>"),
    ],
)
def test_other_words_of_arrow_name_the_type_that_is_stored(word: str, kind: str) -> None:
    assert str(type_named(word)) == kind


def test_a_type_whose_words_are_read_as_another_cannot_be_declared() -> None:
    with pytest.raises(DefinitionError):
        Table({"a": pyarrow.struct([("b: int8, c", pyarrow.int8())])})


def test_a_cast_names_the_number_that_it_would_change() -> None:
    with pytest.raises(Misfit, match="the number 4097 does not fit halffloat"):
        cast_column(pyarrow.array([1, 4097]), pyarrow.float16())
    with pytest.raises(Misfit, match="values are Arrow's int64, expected decimal128"):
        widened(pyarrow.decimal128(3, 1), pyarrow.int64())


NULLS_FIRST: list[list[Any]] = [
    [{"a": None}, {"a": {"b": [1]}}],
    [{"a": [None]}, {"a": [{"b": [1]}]}],
    [{"a": {"c": None}}, {"a": {"c": {"d": "x"}}}],
    [{"a": {"c": None, "e": 1}}, {"a": None}, {"a": {"c": {"d": [{"f": 1}]}, "e": 2}}],
    [None, {"a": {"b": {"c": 1}}}],
]


@pytest.mark.parametrize("values", NULLS_FIRST, ids=repr)
def test_what_lies_below_a_null_is_the_same_wherever_a_block_ends(values: list[Any], tmp_path: Path) -> None:
    together = written(Table(), [rows(*values)], tmp_path / "together")[0]
    apart = written(Table(), [rows(value) for value in values], tmp_path / "apart")[0]
    assert digests(apart) == digests(together)
