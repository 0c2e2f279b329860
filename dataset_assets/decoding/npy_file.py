"""Reads numpy's own files: `.npy` with one array, `.npz` with several of equal length."""

import json
import math
from collections import Counter
from contextlib import contextmanager
from typing import Any, BinaryIO, Iterator, Mapping, NamedTuple, Sequence

import numpy as np
from numpy.lib import format as npy_format

from dataset_assets.core.limits import SMALL, limits, remedy
from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.streams import RETRIEVE_AGAIN, check_file, exactly, name_of
from dataset_assets.decoding.zip_file import zip_members
from dataset_assets.errors import DatasetAssetsError, DecodeError, nearest
from dataset_assets.formats.columns import Columns

BLOCK = 8 << 20
SELECT_OTHERS = 'Select others with arrays=["NAME"].'
_HEADERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}


def npy(file: BinaryIO, *, name: str = "value") -> Iterator[Columns]:
    """Read an array of a `.npy` file, compressed or not, in blocks of about 8 MB with the rows as the column `name`.

    Raises `DecodeError` for a file that is damaged or cut, for an array of Python objects, which is a pickle, and for
    one without rows.

    >>> import io
    >>> np.save(made := io.BytesIO(), np.arange(3))
    >>> [block["value"] for block in npy(made)]
    [array([0, 1, 2])]
    """
    check_file(file)
    file.seek(0)
    with _refused(file):
        yield from blocks_of({name: Rows.of(decompressed(file))}, name_of(file))


def npz(file: BinaryIO, *, arrays: Sequence[str] | None = None) -> Iterator[Columns]:
    """Read the arrays of a `.npz` file together, in blocks of about 8 MB with a column for each.

    `arrays` selects some. All must have the same number of rows. Raises `DecodeError` as `npy` does.

    >>> import io
    >>> np.savez(made := io.BytesIO(), image=np.zeros((2, 4)), label=np.arange(2))
    >>> [sorted(block) for block in npz(made)]
    [['image', 'label']]
    """
    check_file(file)
    with _refused(file):
        members = {member.name.removesuffix(".npy"): member for member in zip_members(file, "*.npy")}
        wanted = list(members if arrays is None else arrays)
        for array in wanted:
            if array not in members:
                raise DecodeError(f"{name_of(file)} has no array {array!r}.{nearest(array, members)}")
        yield from blocks_of({array: Rows.of(members[array]) for array in wanted}, name_of(file))


def npz_arrays(file: BinaryIO) -> list[str]:
    """Return the names of the arrays of a `.npz` file. Raises `DecodeError`."""
    check_file(file)
    with _refused(file):
        return [member.name.removesuffix(".npy") for member in zip_members(file, "*.npy")]


class Rows(NamedTuple):
    """The rows of one array, which are read in order."""

    stream: BinaryIO
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    whole: Any = None

    @staticmethod
    def of(stream: Any) -> "Rows":
        version = npy_format.read_magic(stream)
        # Version 3.0 differs from 2.0 by the encoding of the names of fields.
        read = _HEADERS.get(version, npy_format.read_array_header_2_0)
        shape, by_columns, dtype = read(stream)
        if dtype.hasobject:
            raise ValueError("it holds Python objects, which are a pickle")
        if not shape:
            raise ValueError("it holds a single value, and no rows")
        if not by_columns or len(shape) == 1:
            return Rows(stream, dtype, shape)
        size = math.prod(shape) * dtype.itemsize
        if size > SMALL and size > limits().max_value_bytes:
            raise DecodeError(f"An array in the order of Fortran is read at once. {remedy('max_value_bytes')}")
        data = _read(stream, size)
        return Rows(stream, dtype, shape, np.frombuffer(data, dtype).reshape(shape, order="F"))

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape[1:])

    def rows(self, lo: int, hi: int) -> Any:
        if self.whole is not None:
            return np.ascontiguousarray(self.whole[lo:hi])
        data = _read(self.stream, (hi - lo) * self.row_bytes)
        found = np.frombuffer(data, self.dtype) if self.dtype.itemsize else np.zeros(0, self.dtype)
        return found.reshape(hi - lo, *self.shape[1:])

    def end(self) -> None:
        if self.stream.read(1):
            raise ValueError("it has more bytes than its header says")


def _read(stream: BinaryIO, size: int) -> bytes:
    data = exactly(stream, size)
    if len(data) < size:
        raise ValueError(f"it ends {size - len(data)} bytes early")
    return data


def different_lengths(lengths: Mapping[str, int], name: str) -> DecodeError:
    """Return the error for arrays with different numbers of rows."""
    said = ", ".join(f"{array} has {length}" for array, length in lengths.items())
    (most, _), *_ = Counter(lengths.values()).most_common()
    alike = json.dumps([array for array, length in lengths.items() if length == most])
    return DecodeError(
        f"The arrays of {name} have different lengths: {said}. Select arrays of one length with arrays={alike}."
    )


def blocks_of(arrays: dict[str, Rows], name: str) -> Iterator[Columns]:
    """Yield the rows of several arrays together, in blocks of about 8 MB. Raises `DecodeError` if these differ."""
    lengths = {array: rows.shape[0] for array, rows in arrays.items()}
    if len({*lengths.values()}) > 1:
        raise different_lengths(lengths, name)
    count, row_bytes = next(iter(lengths.values()), 0), sum(rows.row_bytes for rows in arrays.values())
    check_empty_rows(name, count, row_bytes)
    step = max(1, BLOCK // max(1, row_bytes))
    for lo in range(0, count, step):
        hi = min(lo + step, count)
        yield Columns({array: rows.rows(lo, hi) for array, rows in arrays.items()})
    for rows in arrays.values():
        rows.end()


def check_empty_rows(name: str, count: int, row_bytes: int) -> None:
    """Raise `DecodeError` for more rows of 0 bytes than `max_decoded_bytes`: a small file can state any number."""
    if row_bytes == 0 and count > max(SMALL, limits().max_decoded_bytes):
        raise DecodeError(f"{name} has {count} rows of 0 bytes each. {remedy('max_decoded_bytes')}")


@contextmanager
def _refused(file: BinaryIO) -> Iterator[None]:
    """Raise `DecodeError` for what numpy refuses to read."""
    try:
        yield
    except DatasetAssetsError:
        raise
    except (ValueError, TypeError, SyntaxError, EOFError, OSError, MemoryError, RecursionError) as error:
        said = str(error).partition("\n")[0].rstrip(".")
        raise DecodeError(
            f"{name_of(file)} cannot be read as arrays of numpy: {said[:300]}. {RETRIEVE_AGAIN}"
        ) from error
