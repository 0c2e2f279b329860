"""Reads safetensors files: named arrays of equal length, in blocks of rows."""

import io
import struct
from threading import Lock
from typing import Any, BinaryIO, Iterator, Sequence, cast

import numpy as np

from dataset_assets.core.documents import UNFIT, parsed
from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.members import BUFFER
from dataset_assets.decoding.npy_file import SELECT_OTHERS, Rows, blocks_of
from dataset_assets.decoding.streams import RETRIEVE_AGAIN, Slice, check_file, exactly, name_of, size_of
from dataset_assets.errors import DecodeError, nearest
from dataset_assets.formats.columns import Columns

MOST_HEADER = 100_000_000
"""The longest header that the format allows."""
_DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "U32": "<u4", "I32": "<i4",
    "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8", "C64": "<c8",
}  # fmt: skip


def safetensors(file: BinaryIO, *, arrays: Sequence[str] | None = None) -> Iterator[Columns]:
    """Read the arrays of a safetensors file together, in blocks of about 8 MB with a column for each.

    `arrays` selects some. All must have the same number of rows. Raises `DecodeError` for a file that is damaged or
    cut, and for an array that numpy has no type for, such as BF16.
    """
    check_file(file)
    file.seek(0)
    stream, name = decompressed(file), name_of(file)
    size = size_of(stream)
    length = struct.unpack("<Q", head)[0] if len(head := exactly(stream, 8)) == 8 else MOST_HEADER + 1
    if length > min(MOST_HEADER, size - 8):
        raise DecodeError(
            f"{name} is not a safetensors file, or is cut: its header has {length} bytes. {RETRIEVE_AGAIN}"
        )
    try:
        known = _places(parsed(exactly(stream, length).rstrip(b" "), None), size - 8 - length)
    except UNFIT as error:
        raise DecodeError(f"{name} cannot be read as safetensors: {error}. {RETRIEVE_AGAIN}") from error
    wanted, lock = [*known] if arrays is None else [*arrays], Lock()
    for array in wanted:
        if array not in known:
            raise DecodeError(f"{name} has no array {array!r}.{nearest(array, known)}")
    yield from blocks_of({one: _rows(stream, one, known[one], 8 + length, lock) for one in wanted}, name)


def _places(header: Any, size: int) -> dict[str, tuple[str, tuple[int, ...], int, int]]:
    """Return type, shape, beginning and end of each array. Raises ValueError unless they fill the file without gaps."""
    found = {}
    for name, said in header.items():
        if name == "__metadata__":
            continue
        lo, hi = said["data_offsets"]
        shape = tuple(said["shape"])
        if not all(type(number) is int and number >= 0 for number in (*shape, lo, hi)):
            raise ValueError(f"the shape or the place of {name!r:.80} is wrong")
        found[name] = (str(said["dtype"]), shape, lo, hi)
    at = 0
    for _, _, lo, hi in sorted(found.values(), key=lambda one: one[2:]):
        if lo != at or hi < lo:
            raise ValueError("its arrays overlap, or have gaps between them")
        at = hi
    if at != size:
        raise ValueError(f"its arrays have {at} bytes, and the file has {size}")
    return found


def _rows(stream: BinaryIO, name: str, place: tuple[str, tuple[int, ...], int, int], start: int, lock: Lock) -> Rows:
    kind, shape, lo, hi = place
    if kind not in _DTYPES:
        raise DecodeError(f"The array {name!r} holds {kind}, which numpy has no type for. {SELECT_OTHERS}")
    if not shape:
        raise DecodeError(f"The array {name!r} is a single value, and has no rows. {SELECT_OTHERS}")
    dtype = np.dtype(_DTYPES[kind])
    if int(np.prod(shape, dtype=object)) * dtype.itemsize != hi - lo:
        raise DecodeError(
            f"The array {name!r} has {hi - lo} bytes, which are not those of {kind} {shape}. {RETRIEVE_AGAIN}"
        )
    piece = cast(Any, Slice(stream, start + lo, hi - lo, name, lock))
    return Rows(cast(BinaryIO, io.BufferedReader(piece, BUFFER)), dtype, shape)
