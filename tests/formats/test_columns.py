"""Blocks and columns of samples."""

import doctest
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.errors import SchemaError
from dataset_assets.formats import Column, Columns, chained, check_rows, values_of
from dataset_assets.formats import columns as samples
from dataset_assets.formats.array import ArrayColumn
from dataset_assets.formats.columns import Chained, as_block, grouped, join, pick, put_back, spans
from dataset_assets.reading.views import ListColumn
from dataset_assets.testing.formats import equal


class Counted(ListColumn):
    """A column that counts how often it is asked."""

    asked = 0

    def take(self, indices: Any, out: Any = None) -> list[Any]:
        self.asked += 1
        return super().take(indices, out)

    def slice(self, lo: int, hi: int) -> list[Any]:
        self.asked += 1
        return super().slice(lo, hi)


class TestColumns:
    def test_are_a_mapping_of_equally_long_columns(self) -> None:
        block = Columns({"a": [1, 2]}, b=np.zeros((2, 3)), c=pyarrow.array([1, 2]), d=pandas.Series([1, 2]))
        assert list(block) == ["a", "b", "c", "d"] and len(block) == 4 and block.samples == 2
        assert repr(block) == "Columns(a, b, c, d; 2 samples)"
        assert Columns().samples == 0

    def test_of_different_lengths_are_refused(self) -> None:
        with pytest.raises(SchemaError, match="different lengths: a has 1, b has 2"):
            Columns(a=[1], b=[1, 2])

    @pytest.mark.parametrize("column", ["text", b"bytes", 5, np.array(5), None, {"a": [1]}, {1, 2}, iter([1])])
    def test_are_no_single_values(self, column: Any) -> None:
        with pytest.raises(SchemaError, match="The column a of a block is a"):
            Columns(a=column)


class TestABlock:
    @pytest.mark.parametrize(
        "yielded",
        [
            Columns(a=[1, 2], b=["x", "y"]),
            pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
            pyarrow.table({"a": [1, 2], "b": ["x", "y"]}),
            pyarrow.RecordBatch.from_pydict({"a": [1, 2], "b": ["x", "y"]}),
        ],
        ids=lambda block: type(block).__name__,
    )
    def test_is_told_from_a_sample_by_its_type(self, yielded: Any) -> None:
        block = as_block(yielded)
        assert block is not None and block.samples == 2
        assert {name: list(map(str, block[name])) for name in block} == {"a": ["1", "2"], "b": ["x", "y"]}

    def test_is_no_plain_mapping(self) -> None:
        assert as_block({"a": [1, 2], "b": [3, 4]}) is None

    @pytest.mark.parametrize("yielded", [None, 5, [1, 2], (1, 2), "text", np.zeros(3), pyarrow.array([1])])
    def test_or_a_sample_has_to_be_what_is_yielded(self, yielded: Any) -> None:
        with pytest.raises(SchemaError, match="A split function yielded a"):
            as_block(yielded)

    @pytest.mark.parametrize(
        "yielded",
        [pandas.DataFrame([[1, 2]], columns=["a", "a"]), pyarrow.table([[1], [2]], names=["a", "a"])],
        ids=["pandas", "arrow"],
    )
    def test_names_each_column_once(self, yielded: Any) -> None:
        with pytest.raises(SchemaError, match="several columns named a"):
            as_block(yielded)

    def test_has_names_that_are_text(self) -> None:
        assert list(as_block(pandas.DataFrame([[1, 2]])) or ()) == ["0", "1"]


class TestChained:
    @pytest.fixture
    def column(self) -> Chained:
        return Chained([ArrayColumn(np.array(part, int)) for part in ([], [0, 1, 2], [], [3], [4, 5], [])])

    def test_columns_are_one_column(self, column: Chained) -> None:
        assert isinstance(column, Column) and len(column) == 6
        assert list(column) == [column[i] for i in range(6)] == [0, 1, 2, 3, 4, 5]  # type: ignore[call-overload]
        for i in (6, 7, -1, -6, 10**20):
            with pytest.raises(IndexError):
                column[i]

    @given(st.data())
    def test_reading_them_is_reading_a_list(self, data: st.DataObject) -> None:
        parts = data.draw(st.lists(st.lists(st.integers(-9, 9), max_size=4), min_size=1, max_size=6))
        everything = [value for part in parts for value in part]
        for kind in (ListColumn, lambda part: ArrayColumn(np.array(part, int))):
            column = Chained([kind(part) for part in parts])
            lo, hi = sorted(data.draw(st.tuples(*[st.integers(0, len(everything))] * 2)))
            assert list(column.slice(lo, hi)) == everything[lo:hi]
            rows = data.draw(st.lists(st.integers(0, len(everything) - 1))) if everything else []
            assert list(column.take(np.array(rows, np.intp))) == [everything[i] for i in rows]

    def test_they_fill_the_memory_they_are_given(self, column: Chained) -> None:
        for rows in ([5, 0, 3], [0, 1], [4, 4], [1, 2, 3]):
            out = np.full(len(rows), -1)
            assert column.take(np.array(rows), out) is out and out.tolist() == rows

    @pytest.mark.parametrize("rows", [[6], [0, -1], [0, 5, 99]])
    def test_rows_beyond_them_are_index_errors(self, column: Chained, rows: list[int]) -> None:
        with pytest.raises(IndexError, match="of a stream of 6"):
            column.take(np.array(rows))

    def test_only_parts_that_are_needed_are_asked_and_each_once(self) -> None:
        parts = [Counted([k] * 10) for k in range(1000)]
        column = Chained(parts)
        column.slice(495, 515)
        column.take(np.array([9999, 0, 5, 9990, 1]))
        assert {k: part.asked for k, part in enumerate(parts) if part.asked} == {0: 1, 49: 1, 50: 1, 51: 1, 999: 1}

    def test_one_column_stays_what_it_is(self) -> None:
        column = ListColumn([1])
        assert chained([column]) is column
        assert isinstance(chained([column, column]), Chained)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.data())
def test_spans_and_groups_cover_what_is_asked_for_and_nothing_else(sizes: list[int], data: st.DataObject) -> None:
    starts = np.cumsum([0, *sizes])
    everything = [(part, row) for part, size in enumerate(sizes) for row in range(size)]
    lo, hi = sorted(data.draw(st.tuples(*[st.integers(0, len(everything))] * 2)))
    found = [(part, row) for part, rows in spans(starts.tolist(), lo, hi) for row in range(*rows)]
    assert found == everything[lo:hi]
    rows = data.draw(st.lists(st.integers(0, len(everything) - 1), max_size=20)) if everything else []
    groups, order = grouped(starts, np.array(rows, np.intp))
    pairs = [(part, row) for part, inner in groups for row in inner.tolist()]
    assert len({part for part, _ in groups}) == len(groups)
    back = pairs if order is None else [pairs[k] for k in np.argsort(order, kind="stable")]
    assert back == [everything[i] for i in rows]


class TestJoining:
    TABLE = pyarrow.table({"a": [1, 2]})

    @pytest.mark.parametrize(
        ("blocks", "expected"),
        [
            ([np.array([1], "i4"), np.array([2], "i8")], np.array([1, 2], "i8")),
            ([np.array([0.5], "f4"), np.array([2.0], "f8")], np.array([0.5, 2.0])),
            ([np.array(["a"]), np.array(["bcd"])], np.array(["a", "bcd"])),
            ([np.zeros((1, 2)), np.zeros((2, 2))], np.zeros((3, 2))),
            ([["a"], ["b", 5]], ["a", "b", 5]),
            ([np.array([1]), ["b"]], [1, "b"]),
            ([np.array([1]), np.array([0.5])], [1, 0.5]),
            ([np.array([2**63], "u8"), np.array([-1])], [2**63, -1]),
            ([np.array([True]), np.array([2])], [True, 2]),
            (
                [np.array(["2020-01-01"], "M8[D]"), np.array([5], "M8[ns]")],
                [np.datetime64("2020-01-01"), np.datetime64(5, "ns")],
            ),
            ([np.zeros((1, 2)), np.zeros((1, 3))], [np.zeros(2), np.zeros(3)]),
            ([TABLE, pyarrow.table({"a": ["x"]})], [{"a": 1}, {"a": 2}, {"a": "x"}]),
        ],
    )
    def test_changes_no_value(self, blocks: list[Any], expected: Any) -> None:
        found = join(blocks)
        assert type(found) is type(expected) and equal(found, expected)
        order = np.arange(len(found))[::-1].copy()
        assert equal(values_of(put_back(blocks, order)), values_of(expected)[::-1])

    def test_leaves_tables_tables_and_one_block_itself(self) -> None:
        assert join([self.TABLE, self.TABLE]).to_pylist() == [{"a": 1}, {"a": 2}] * 2
        block = np.zeros(3)
        assert join([block]) is block

    @pytest.mark.parametrize("block", [np.arange(5), list(range(5)), pyarrow.table({"a": range(5)})])
    def test_picking_gives_a_block_of_the_same_kind(self, block: Any) -> None:
        found = pick(block, np.array([4, 0, 0]))
        assert type(found) is type(block) and equal(values_of(found), [values_of(block)[i] for i in (4, 0, 0)])
        assert len(pick(block, np.array([], np.intp))) == 0
        with pytest.raises(IndexError):
            pick(block, np.array([5]))

    def test_picking_fills_the_memory_it_is_given(self) -> None:
        out = np.empty(2, int)
        assert pick(np.arange(5), np.array([3, 1]), out) is out and out.tolist() == [3, 1]
        assert pick(np.arange(0), np.array([], np.intp), out[:0]).size == 0
        with pytest.raises(IndexError):
            pick(np.arange(5), np.array([3, -1]), out)


@given(st.lists(st.integers(-3, 12)), st.integers(0, 10))
def test_rows_are_checked_against_both_ends(rows: list[int], size: int) -> None:
    found = np.array(rows, np.intp)
    if all(0 <= row < size for row in rows):
        check_rows(found, size)
    else:
        with pytest.raises(IndexError, match=f"of a stream of {size}"):
            check_rows(found, size)


def test_the_examples_run() -> None:
    found = doctest.testmod(samples)
    assert found.attempted and not found.failed
