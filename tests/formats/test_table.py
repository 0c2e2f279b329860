"""Tables: rows from mappings, pandas and Arrow."""

import datetime
import decimal
import doctest
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest
from counting import calls
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.errors import DefinitionError, SchemaError
from dataset_assets.formats import Table, type_names
from dataset_assets.formats.type_names import type_named
from dataset_assets.testing.formats import digests, equal, written, written_and_opened

DAY, NOON = datetime.date(2020, 1, 31), datetime.datetime(2020, 1, 31, 12)
UTC = datetime.UTC


def stored(format: Table, blocks: list[Any], tmp_path: Path) -> list[Any]:
    column = written_and_opened(format, blocks, tmp_path)
    rows = [column[i] for i in range(len(column))]
    assert column.slice(0, len(column)).to_pylist() == rows
    return rows


def refused(format: Table, blocks: list[Any], tmp_path: Path) -> str:
    with pytest.raises(SchemaError) as caught:
        written(format, blocks, tmp_path)
    return str(caught.value)


VALUES = {
    "int64": [1, -(2**63), None],
    "double": [0.5, float("inf"), None],
    "bool": [True, False, None],
    "string": ["x", "", "ü", None],
    "binary": [b"x", b"", b"\xff", None],
    "date32[day]": [DAY, None],
    "timestamp[us]": [NOON, NOON.replace(microsecond=5), None],
    "timestamp[us, tz=UTC]": [NOON.replace(tzinfo=UTC), None],
    "time64[us]": [NOON.time(), None],
    "duration[us]": [datetime.timedelta(days=1, microseconds=1), None],
    "decimal128(3, 1)": [decimal.Decimal("12.5"), None],
    "list<item: int64>": [[1, None], [], None],
    "struct<a: int64, b: list<item: string>>": [{"a": 1, "b": ["x"]}, {"a": None, "b": None}, None],
}


@pytest.mark.parametrize("kind", VALUES)
def test_every_type_comes_back_with_its_nulls(kind: str, tmp_path: Path) -> None:
    rows = [{"a": value, "b": k} for k, value in enumerate(VALUES[kind])]
    assert stored(Table(), [rows], tmp_path / "inferred") == rows
    _, parameters = written(Table(), [rows], tmp_path / "named")
    assert parameters == {"fields": [["a", kind], ["b", "int64"]]}
    assert stored(Table({"a": kind, "b": "int64"}), [[row] for row in rows[::-1]], tmp_path / "declared") == rows[::-1]


@given(
    st.lists(
        st.fixed_dictionaries({
            "a": st.none() | st.integers(-(2**63), 2**63 - 1),
            "b": st.none() | st.text(max_size=5),
            "c": st.none() | st.floats(),
            "d": st.none() | st.booleans(),
            "e": st.none() | st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2200, 1, 1)),
        }),
        max_size=12,
    ),
    st.integers(1, 12),
)  # fmt: skip
@settings(deadline=None, max_examples=80)
def test_any_rows_come_back_in_any_blocks(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], size: int
) -> None:
    format = Table({"a": "int64", "b": "string", "c": "double", "d": "bool", "e": "timestamp[us]"})
    blocks = [rows[lo : lo + size] for lo in range(0, len(rows), size)]
    column = written_and_opened(format, blocks, tmp_path_factory.mktemp("table"), file_bytes=100)
    found = [column[i] for i in range(len(column))]
    assert equal(found, rows)
    assert equal(column.take(np.arange(len(rows))[::-1]).to_pylist(), rows[::-1])


NOT_UTF_8 = pyarrow.array([b"\xff"]).cast(pyarrow.string(), safe=False)
FRAME = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c": [True, False, True]})
ROWS = [{"a": 1, "b": "x", "c": True}, {"a": 2, "b": None, "c": False}, {"a": 3, "b": "z", "c": True}]
BLOCKS = {
    "rows": ROWS,
    "rows in another order of fields": [dict(reversed(row.items())) for row in ROWS],
    "frame": FRAME,
    "frame of objects": FRAME.astype(object),
    "frame of categories": FRAME.astype({"b": "category"}),
    "frame of nullable columns": FRAME.convert_dtypes(),
    "frame on arrow": FRAME.convert_dtypes(dtype_backend="pyarrow"),
    "frame in another order": FRAME[["c", "a", "b"]],
    "frame with an index": FRAME.set_index(pandas.Index([7, 8, 9])),
    "rows of a frame": pandas.concat([FRAME.iloc[:1], FRAME]).iloc[1:],
    "arrow table": pyarrow.table({"a": [1, 2, 3], "b": ["x", None, "z"], "c": [True, False, True]}),
    "arrow batch": pyarrow.RecordBatch.from_pylist(ROWS),
    "arrow slice": pyarrow.Table.from_pylist([ROWS[1], *ROWS, ROWS[0]]).slice(1, 3),
    "arrow chunks": pyarrow.concat_tables([pyarrow.Table.from_pylist(ROWS[:1]), pyarrow.Table.from_pylist(ROWS[1:])]),
    "arrow dictionaries": pyarrow.table(
        {"a": [1, 2, 3], "b": pyarrow.array(["x", None, "z"]).dictionary_encode(), "c": [True, False, True]}
    ),  # fmt: skip
    "arrow with metadata": pyarrow.Table.from_pandas(FRAME),
    "arrow large strings": pyarrow.table(
        {"a": [1, 2, 3], "b": pyarrow.array(["x", None, "z"], pyarrow.large_string()), "c": [True, False, True]}
    ),  # fmt: skip
    "arrow never null": pyarrow.table(
        [pyarrow.array([1, 2, 3]), pyarrow.array(["x", None, "z"]), pyarrow.array([True, False, True])],
        pyarrow.schema([pyarrow.field("a", "int64", False, {"k": "v"}), ("b", "string"), ("c", "bool")]),
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_rows_come_from_any_library_and_are_stored_the_same(name: str, tmp_path: Path) -> None:
    declared = Table({"a": "int64", "b": "string", "c": "bool"})
    assert stored(declared, [BLOCKS[name]], tmp_path / "read") == ROWS
    expected, parameters = written(declared, [ROWS], tmp_path / "expected")
    for format in (declared, *([] if "order" in name else [Table()])):
        found, others = written(format, [BLOCKS[name]], tmp_path / f"found {format.fields is None}")
        assert (digests(found), others) == (digests(expected), parameters)


def test_blocks_of_all_kinds_follow_each_other(tmp_path: Path) -> None:
    assert stored(Table(), list(BLOCKS.values()), tmp_path) == ROWS * len(BLOCKS)


def test_categories_may_differ_from_block_to_block(tmp_path: Path) -> None:
    blocks = [pandas.DataFrame({"a": pandas.Categorical(values)}) for values in (["x", "y"], ["z", "x"])]
    assert [row["a"] for row in stored(Table(), blocks, tmp_path)] == ["x", "y", "z", "x"]


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([[{"a": 1}], [{"a": 2}, {"b": 3}]], "sample 2: a row has the fields b; missing: a, unknown: b."),
        ([[{"a": 1, "b": 2}], [{"a": 1}]], "sample 1: a row has the fields a; missing: b, unknown: none."),
        ([[{"a": 1}], [{"a": 1, "b": 2}]], "sample 1: a row has the fields a, b; missing: none, unknown: b."),
        ([[{"a": 1}], pandas.DataFrame({"b": [1]})], "missing: a, unknown: b."),
        ([[{"a": 1}], pyarrow.table({"b": [1]})], "missing: a, unknown: b."),
        ([[{"a": 1}, 5]], "sample 1: a row is a int, expected a mapping"),
        ([[{}]], "sample 0: a row has the fields []"),
        ([[{1: 2}]], "sample 0: a row has the fields [1]"),
        ([pandas.DataFrame([[1, 2]], columns=["a", "a"])], "a row has the fields ['a', 'a']"),
        ([pyarrow.table([[1], [2]], names=["a", "a"])], "a row has the fields ['a', 'a']"),
        (
            [pandas.DataFrame({"a": [1]}, index=pandas.Index([5], name="id"))],
            "the DataFrame's index ['id'] is not stored",
        ),
        ([pandas.DataFrame({"a": [1]}, index=["x"])], "is not stored. Make it a field with reset_index()"),
        ([pandas.DataFrame({"a": [1]}, index=pandas.date_range("2020", periods=1))], "index of datetime64"),
        ([pandas.DataFrame({"a": [1]}, index=pandas.MultiIndex.from_tuples([(1, 2)]))], "is not stored"),
        ([pyarrow.table({"a": NOT_UTF_8})], "sample 0: field a: "),
        ([pandas.Series([1, 2])], "the block is a pandas Series, expected a DataFrame."),
        ([[{"a": None}], [{"a": None}]], "sample 0: a has only nulls. Declare its type"),
        ([pandas.DataFrame({"a": [None]})], "sample 0: a has only nulls"),
        ([pyarrow.table({"a": [None]})], "sample 0: a has only nulls"),
        ([[{"a": 1}, {"a": "x"}]], "sample 1: field a: a str ('x'), expected number as in the samples before it."),
        ([[{"a": "x"}, {"a": b"x"}]], "sample 1: field a: a bytes (b'x'), expected text"),
        ([[{"a": True}, {"a": 2}]], "sample 1: field a: a int (2), expected boolean"),
        ([[{"a": DAY}, {"a": NOON}]], "sample 1: field a: a datetime"),
        ([[{"a": NOON}, {"a": NOON.replace(tzinfo=UTC)}]], "field a: some times have a time zone and some have none."),
        ([[{"a": 1}], [{"a": "x"}]], "sample 1: field a: values are Arrow's string, expected int64."),
        ([[{"a": 1}], [{"a": True}]], "field a: values are Arrow's bool, expected int64."),
        ([[{"a": "7"}], pandas.DataFrame({"a": [7]})], "field a: values are Arrow's int64, expected string."),
        ([[{"a": "x"}], [{"a": b"x"}]], "field a: values are Arrow's binary, expected string."),
        ([[{"a": DAY}], [{"a": NOON}]], "field a: values are Arrow's timestamp[us], expected date32[day]."),
        ([[{"a": NOON}], [{"a": NOON.replace(tzinfo=UTC)}]], "expected timestamp[us]."),
        ([pyarrow.table({"a": [1]}), pyarrow.table({"a": [2.0, 2.5]})], "sample 2: field a: Float value 2.5"),
        ([[{"a": 0.5}], [{"a": 2**53 + 1}]], "field a: Integer value 9007199254740993"),
        ([[{"a": 2**64}]], "sample 0: field a: "),
        ([[{"a": -1}, {"a": 2**63}]], "sample 1: field a: "),
        ([[{"a": "\ud800"}]], "sample 0: field a: "),
        ([[{"a": object()}]], "field a: "),
        ([pandas.DataFrame({"a": ["x", 5]}, dtype=object)], "sample 1: field a: a int (5), expected text"),
    ],
)
def test_what_does_not_fit_is_named(blocks: list[Any], message: str, tmp_path: Path) -> None:
    assert message in refused(Table(), blocks, tmp_path)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int8", 200),
        ("uint8", -1),
        ("int64", 0.5),
        ("float", 1e300),
        ("timestamp[s]", NOON.replace(microsecond=1)),
        ("date32", NOON),
        ("string", 5),
        ("string", b"x"),
        ("binary", "x"),
        ("bool", 1),
        ("int64", "5"),
        ("double", "nan"),
        ("timestamp[us]", NOON.replace(tzinfo=UTC)),
        ("decimal128(3, 1)", decimal.Decimal("1.25")),
        ("double", True),
    ],
)
def test_nothing_is_lost_for_a_declared_type(kind: str, value: Any, tmp_path: Path) -> None:
    assert "field a: " in refused(Table({"a": kind}), [[{"a": value}]], tmp_path)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("int8", 100.0, 100),
        ("double", 3, 3.0),
        ("float", 0.1, float(np.float32(0.1))),
        ("float", float("inf"), float("inf")),
        ("timestamp[s]", NOON, NOON),
        ("string", np.str_("x"), "x"),
        ("int64", np.uint8(3), 3),
        ("bool", np.True_, True),
        ("decimal128(4, 2)", decimal.Decimal("1.5"), decimal.Decimal("1.50")),
        ("large_string", "x", "x"),
        ("int64", None, None),
        ("uint64", 2**64 - 1, 2**64 - 1),
        ("timestamp[ns]", np.datetime64("2020-01-31T12", "ns"), pandas.Timestamp(NOON)),
    ],
)
def test_what_a_declared_type_holds_is_cast(kind: str, value: Any, expected: Any, tmp_path: Path) -> None:
    assert stored(Table({"a": kind}), [[{"a": value}]], tmp_path) == [{"a": expected}]


@pytest.mark.parametrize("declared", [{}, (("a", "int64"), ("a", "string"))])
def test_fields_are_named_once(declared: Any) -> None:
    with pytest.raises(DefinitionError):
        Table(declared)


@pytest.mark.parametrize(
    "kind", ["integer", "list<item: what>", "timestamp[us, tz=", "decimal128(90, 2)", "struct<a>", ""]
)
def test_a_type_that_is_none_is_a_definition_error(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="Write types as Arrow does"):
        Table({"a": kind}).writer(tmp_path / "stream")


@given(
    st.recursive(
        st.sampled_from(
            ["int64", "string", "bool", "timestamp[ms, tz=Europe/Berlin]", "decimal128(7, -2)", "halffloat"]
        ),
        lambda inner: (
            st.builds("list<item: {}>".format, inner)
            | st.builds("fixed_size_list<item: {}>[3]".format, inner)
            | st.builds("struct<a: {}, b c: {}>".format, inner, inner)
        ),
        max_leaves=5,
    )
)
def test_a_type_is_what_its_text_says(text: str) -> None:
    assert str(type_named(text)) == text


def test_an_empty_table_needs_fields(tmp_path: Path) -> None:
    assert "Declare them: Table(fields=...)" in refused(Table(), [[]], tmp_path / "none")
    column = written_and_opened(Table({"a": "int64"}), [], tmp_path / "some")
    assert len(column) == 0 and column.slice(0, 0).schema.names == ["a"]


def test_rows_are_gathered_batch_by_batch(tmp_path: Path) -> None:
    rows = [{"a": k, "b": str(k)} for k in range(200)]
    column = written_and_opened(Table(), [rows], tmp_path, file_bytes=100)
    assert len(column.batches) > 20  # type: ignore[attr-defined]
    order = np.random.default_rng(0).integers(0, 200, 1000)
    found = column.take(order)
    assert found.to_pylist() == [rows[i] for i in order] and found.column(0).num_chunks == 1


def test_the_examples_run() -> None:
    found = doctest.testmod(type_names)
    assert found.attempted and not found.failed


STRUCTS = {
    "numbers": pyarrow.array([{"a": 1, "b": 2.5}, {"a": None, "b": 3.5}]),
    "small types": pyarrow.array([{"a": 1}, {"a": 2}], pyarrow.struct([("a", pyarrow.int8())])),
    "lists": pyarrow.array([{"a": [1], "b": {"c": "x"}}, {"a": [2, 3], "b": {"c": None}}]),
    "a part": pyarrow.array([{"a": 1}, {"a": 2}, {"a": 3}])[1:],
    "a row that is null": pyarrow.array([{"a": 1}, None]),
    "chunks": pyarrow.chunked_array([pyarrow.array([{"a": 1}]), pyarrow.array([{"a": 2}])]),
    "a dictionary": pyarrow.StructArray.from_arrays([pyarrow.array(["x", "y"]).dictionary_encode()], ["a"]),
}


@pytest.mark.parametrize("name", STRUCTS)
def test_structs_of_arrow_are_written_as_a_record_batch_is(tmp_path: Path, name: str) -> None:
    structs = STRUCTS[name]
    batch = pyarrow.Table.from_arrays(structs.flatten(), [field.name for field in structs.type])
    assert table_files(tmp_path / "a", Table(), structs) == table_files(tmp_path / "b", Table(), batch)


def test_structs_are_written_by_columns_and_not_row_by_row(tmp_path: Path) -> None:
    def work(rows: int) -> int:
        structs = pyarrow.array([{"a": k, "b": float(k)} for k in range(rows)])
        return calls(lambda: table_files(tmp_path / str(rows), Table(), structs))

    assert work(1000) < 1.5 * work(10)


def test_types_of_structs_widen_as_those_of_mappings_do(tmp_path: Path) -> None:
    first, then = pyarrow.array([{"a": 1, "b": None}]), pyarrow.array([{"b": "x", "a": 2.5}])
    files = table_files(tmp_path / "a", Table(), first, then)
    assert files == table_files(tmp_path / "b", Table(), first.to_pylist(), then.to_pylist())
    with pytest.raises(SchemaError, match="sample 1.*missing: b"):
        table_files(tmp_path / "c", Table(), first, pyarrow.array([{"a": 2}]))


def table_files(folder: Path, kind: Table, *blocks: Any) -> Any:
    writer = kind.writer(folder)
    for block in blocks:
        writer.append(block)
    parts, parameters = writer.close()
    return [part.path.read_bytes() for part in parts], parameters
