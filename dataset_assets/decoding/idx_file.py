"""Reads IDX, the format of MNIST: a header with type and shape, then a big-endian array."""

import math
from typing import Any, BinaryIO, Callable, Iterator, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from dataset_assets.core.limits import SMALL, limits, remedy
from dataset_assets.decoding.compressed import at_most, decompressed
from dataset_assets.decoding.streams import RETRIEVE_AGAIN, check_rows, exactly, name_of
from dataset_assets.errors import DecodeError

BLOCK = 8 << 20

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def idx(file: BinaryIO) -> NDArray[Any]:
    """Read a whole IDX file, the format of MNIST, into an array in this machine's byte order.

    An array of more than the setting `max_value_bytes` raises `DecodeError`; read it with `idx_blocks`.

    >>> import io
    >>> idx(io.BytesIO(b"\\0\\0\\x08\\1" b"\\0\\0\\0\\3" b"abc"))
    array([97, 98, 99], dtype=uint8)
    """
    stream = decompressed(file)
    header = _read_header(stream)
    _check_memory(stream, header, header.shape[0], "Read it with idx_blocks. ")
    array = _read_array(stream, header, 0, header.shape[0])
    _refuse_more(stream, header)
    return array


def idx_blocks(file: BinaryIO, rows: int | None = None) -> Iterator[NDArray[Any]]:
    """Read an IDX file in blocks of `rows` rows, by default of about 8 MB."""
    check_rows(rows)
    stream = decompressed(file)
    header = _read_header(stream)
    step = rows or max(1, BLOCK // max(1, header.row_bytes))
    _check_memory(stream, header, min(step, header.shape[0]), "Use a smaller `rows`. " if step > 1 else "")
    for lo in range(0, header.shape[0], step):
        yield _read_array(stream, header, lo, min(lo + step, header.shape[0]))
    _refuse_more(stream, header)


class _Header(NamedTuple):
    """The header of an IDX file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape[1:])

    def __str__(self) -> str:
        return f"{' x '.join(map(str, self.shape))} values, {self.shape[0] * self.row_bytes} bytes"


def _read_header(stream: BinaryIO) -> _Header:
    magic = exactly(stream, 4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DecodeError(
            f"{name_of(stream)} begins with the {len(magic)} bytes {magic!r}, not with the two zeros, type and "
            "number of dimensions of an IDX file. Check what its URL returns."
        )
    if magic[2] not in _TYPES or not 1 <= magic[3] <= 32:
        raise DecodeError(
            f"{name_of(stream)} begins with the 4 bytes {magic!r}: type {magic[2]:#04x}, {magic[3]} dimensions. IDX "
            f"has the types {', '.join(f'{code:#04x}' for code in _TYPES)} and 1 to 32 dimensions. Check the file."
        )
    sizes = exactly(stream, 4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DecodeError(f"{name_of(stream)} ends inside its IDX header, at byte {4 + len(sizes)}. {RETRIEVE_AGAIN}")
    header = _Header(np.dtype(_TYPES[magic[2]]), tuple(np.frombuffer(sizes, ">u4").tolist()))
    # numpy has no array of such a shape, even an empty one: 0 x 2**32 x 2**32.
    if header.dtype.itemsize * math.prod(max(1, size) for size in header.shape) >= 1 << 63 and 0 in header.shape:
        raise DecodeError(f"{name_of(stream)} announces {header}, which is too large for an array. {RETRIEVE_AGAIN}")
    # Before memory is allocated: a damaged header may announce 2**60 bytes.
    most, exact = at_most(stream)
    if header.shape[0] * header.row_bytes > most:
        _too_few(stream, header, f"there are {most}" if exact else f"there can be at most {most}")
    return header


def _check_memory(stream: BinaryIO, header: _Header, rows: int, instead: str) -> None:
    size = rows * header.row_bytes
    if size > SMALL and size > limits().max_value_bytes:
        what = f"{name_of(stream)} announces {header}; {size} bytes would be read at once."
        raise DecodeError(f"{what} {instead}{remedy('max_value_bytes')}")


def _read_array(stream: BinaryIO, header: _Header, lo: int, hi: int) -> NDArray[Any]:
    array = np.empty((hi - lo, *header.shape[1:]), header.dtype)
    count = _fill(stream, array)
    if count < array.nbytes:
        _too_few(stream, header, f"there are {lo * header.row_bytes + count}")
    return array if array.dtype.isnative else array.byteswap(inplace=True).view(array.dtype.newbyteorder("="))


def _fill(stream: BinaryIO, array: NDArray[Any]) -> int:
    """Read into the array until it is full or the stream ends; return the number of bytes read."""
    view, filled = array.reshape(-1).view(np.uint8).data, 0
    readinto: Callable[[memoryview], int] = getattr(stream, "readinto", None) or (lambda part: _read_into(stream, part))
    while filled < len(view) and (count := readinto(view[filled:])):
        filled += count
    return filled


def _read_into(stream: BinaryIO, part: memoryview) -> int:
    data = stream.read(min(len(part), BLOCK))
    part[: len(data)] = data
    return len(data)


def _too_few(stream: BinaryIO, header: _Header, actual: str) -> NoReturn:
    raise DecodeError(f"{name_of(stream)} ends early: its header announces {header}; {actual}. {RETRIEVE_AGAIN}")


def _refuse_more(stream: BinaryIO, header: _Header) -> None:
    """Raise `DecodeError` unless the file ends here. Reading to the end also checks a compressed file's checksum."""
    if left := exactly(stream, 1 << 16):
        count = f"{len(left)}{' or more' if len(left) == 1 << 16 else ''}"
        raise DecodeError(
            f"{name_of(stream)} is too long: its header announces {header}, and {count} bytes follow. Check that it is "
            "the right file."
        )
