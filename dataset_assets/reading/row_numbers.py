"""The row numbers of a split that stores no values: written, read, and applied to the columns of the other split."""

import copy
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Callable, Mapping

import numpy as np

from dataset_assets.errors import DecodeError
from dataset_assets.formats import Array, Part
from dataset_assets.formats.columns import Column, Indices, check_rows
from dataset_assets.formats.decoded import DecodedColumn
from dataset_assets.formats.npy import array_in

ONE_FILE = 1 << 62
"""More bytes than a file of row numbers has."""


def write_numbers(rows: Indices, of: int, folder: Path) -> Part:
    """Write rising row numbers of a split of `of` samples as one file: as numbers, or as bits if these are fewer bytes.

    >>> write_numbers(np.array([0, 2, 3]), 4, folder).bytes
    129
    """
    numbers = rows.astype(np.uint32 if of <= 1 << 32 else np.uint64)
    if numbers.nbytes > of // 8:
        chosen = np.zeros(of, bool)
        chosen[rows] = True
        numbers = np.packbits(chosen)
    writer = Array(str(numbers.dtype)).writer(folder, ONE_FILE)
    writer.append(numbers)
    ((part,), _) = writer.close()
    return part


def read_numbers(file: BinaryIO, samples: int, of: int) -> Indices:
    """Return the row numbers in a file. Raises `DecodeError` if they are not `samples` rising ones below `of`."""
    found = array_in(file)
    if found.dtype == np.uint8 and found.shape == (-(-of // 8),):
        # With the bits that fill the last byte, of which none may be set.
        rows = np.flatnonzero(np.unpackbits(found))
    elif found.dtype.kind == "u" and found.ndim == 1:
        rows = found.astype(np.intp)
    else:
        raise DecodeError(f"the row numbers are {found.dtype} of shape {found.shape}, not those of {of} rows")
    if len(rows) != samples or (rows[1:] <= rows[:-1]).any() or len(rows) and not 0 <= rows[0] <= rows[-1] < of:
        raise DecodeError(f"the row numbers are not {samples} different ones below {of}, in rising order")
    return rows


def taken(columns: Mapping[str, Column], numbers: Indices) -> dict[str, Column]:
    """Return the values at some rows of columns, as columns."""
    return {name: _taken(column, numbers) for name, column in columns.items()}


def _taken(column: Column, numbers: Indices) -> Any:
    if not isinstance(column, DecodedColumn):
        return TakenColumn(column, numbers)
    # It decodes what it takes, so that its errors count rows of this split.
    found, part = copy.copy(column), partial(TakenColumn, numbers=numbers)
    vars(found).update(spans=part(column.spans), encoded=part(column.encoded))
    return found


class TakenColumn:
    """Some rows of a column, in rising order, as a column. It has those of the column's further attributes that fit."""

    def __init__(self, column: Any, numbers: Indices) -> None:
        self.column, self.numbers = column, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, i: int) -> Any:
        if not 0 <= i < len(self.numbers):
            raise IndexError(f"value {i} of a stream of {len(self)}")
        return self.column[int(self.numbers[i])]

    def take(self, indices: Indices, out: Any = None) -> Any:
        """Return the values at some rows."""
        check_rows(indices, len(self))
        return self.column.take(self.numbers[indices], out)

    def slice(self, lo: int, hi: int) -> Any:
        """Return the values of rows lo to hi."""
        rows = self.numbers[lo:hi]
        first = int(rows[0]) if len(rows) else 0
        if not len(rows) or rows[-1] - first == len(rows) - 1:
            return self.column.slice(first, first + len(rows))
        return self.column.take(rows)

    def __getattr__(self, name: str) -> Any:
        # Not for the attributes of this class, which copying and pickling ask for before they are set.
        if name not in _FURTHER:
            raise AttributeError(name)
        return _FURTHER[name](getattr(self.column, name), self.numbers)


_FURTHER: dict[str, Callable[[Any, Indices], Any]] = {
    "form": lambda form, numbers: form,
    "row_bytes": lambda size, numbers: size,
    "starts": lambda starts, numbers: np.searchsorted(numbers, starts),
    "lengths": lambda lengths, numbers: lambda: lengths()[numbers],
    "expect": lambda expect, numbers: lambda rows: expect(numbers[rows]),
}
"""What further attributes of a column are for some of its rows."""
