"""Row numbers are read as they were written, and nothing else is read as row numbers."""

import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets import view_of
from dataset_assets.core import files
from dataset_assets.errors import DecodeError
from dataset_assets.formats.columns import Columns
from dataset_assets.reading.row_numbers import TakenColumn, read_numbers, taken, write_numbers

some_rows = st.integers(0, 300).flatmap(
    lambda of: st.tuples(st.just(of), st.sets(st.integers(0, of - 1), max_size=of) if of else st.just(set[int]()))
)


@given(some_rows)
@settings(max_examples=60)
def test_any_rows_are_read_as_written_and_take_a_bit_of_each_row_at_most(some: tuple[int, set[int]]) -> None:
    of, chosen = some
    rows = np.array(sorted(chosen), np.intp)
    with tempfile.TemporaryDirectory() as folder:
        part = write_numbers(rows, of, Path(folder))
        assert part.bytes <= 128 + min(-(-of // 8), 4 * len(rows))
        with files.opened(part.path) as file:
            assert read_numbers(file, len(rows), of).tolist() == rows.tolist()


@pytest.mark.parametrize(
    ("stored", "samples", "of"),
    [
        (np.array([1, 2], np.uint32), 3, 9),  # fewer
        (np.array([2, 1], np.uint32), 2, 9),  # not rising
        (np.array([1, 1], np.uint32), 2, 9),  # one twice
        (np.array([1, 9], np.uint32), 2, 9),  # beyond the end
        (np.array([1, 1 << 63], np.uint64), 2, 9),
        (np.array([-1, 2], np.int64), 2, 9),
        (np.array([[1, 2]], np.uint32), 2, 9),
        (np.array([255, 255], np.uint8), 9, 9),  # a bit after the last row
        (np.array([7], np.uint8), 3, 9),  # too few bits
    ],
)
def test_what_is_no_row_numbers_is_refused(stored: np.ndarray, samples: int, of: int) -> None:
    file = io.BytesIO()
    np.save(file, stored)
    file.seek(0)
    with pytest.raises(DecodeError, match="row numbers"):
        read_numbers(file, samples, of)


def test_a_taken_column_keeps_to_its_rows() -> None:
    columns = view_of(Columns(n=np.arange(10), text=[str(n) for n in range(10)])).columns  # type: ignore[attr-defined]
    for column in taken(columns, np.array([1, 2, 3, 7])).values():
        assert isinstance(column, TakenColumn) and len(column) == 4
        assert [int(column[i]) for i in range(4)] == [1, 2, 3, 7]
        assert [int(one) for one in column.slice(1, 3)] == [2, 3]
        assert [int(one) for one in column.slice(1, 4)] == [2, 3, 7]
        assert len(column.slice(2, 2)) == len(column.take(np.array([], np.intp))) == 0
        assert [int(one) for one in column.take(np.array([3, 0]))] == [7, 1]
        for wrong in (4, -1):
            with pytest.raises(IndexError):
                column[wrong]
            with pytest.raises(IndexError):
                column.take(np.array([wrong]))
