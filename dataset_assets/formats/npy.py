"""The `.npy` file: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.

Headers are written here, so that they do not change with numpy's version. They are read here, so that no file reaches
numpy's parsers for older versions, or makes them allocate the size that it claims.
"""

import ast
import math
from functools import lru_cache
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from dataset_assets.errors import DecodeError, DefinitionError
from dataset_assets.formats.dtypes import AnyArray, Dtype
from dataset_assets.formats.format import mapped, name_of

LONGEST_HEADER = 10_000
"""The longest header that np.load reads without `allow_pickle` or a larger `max_header_size`."""
MOST_DIMENSIONS = 64
COUNT_DIGITS = 21
KEYS = {"descr", "fortran_order", "shape"}


@lru_cache(maxsize=64)
def header(dtype: Dtype, shape: tuple[int, ...]) -> bytes:
    """Return the header as numpy writes it. Its length is the same for every row count, so it can be overwritten.

    >>> header(np.dtype("<f4"), (3,)) == header(np.dtype("<f4"), (3_000_000,)).replace(b"3000000,), }", b"3,), }      ")
    True
    """
    descr: Any = npy.dtype_to_descr(dtype)
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    text += " " * (COUNT_DIGITS - len(str(shape[0])))
    if len(text) + 64 > LONGEST_HEADER:
        raise DefinitionError(f"A dtype of {len(dtype.names or ())} fields is too long for an .npy file. Use Table.")
    if text.isascii():
        return _framed(b"\x01\x00", 2, text.encode())
    return _framed(b"\x03\x00", 4, text.encode())


def _framed(version: bytes, length_bytes: int, text: bytes) -> bytes:
    start = 8 + length_bytes
    length = len(text) + 64 - (start + len(text) + 1) % 64 + 1
    return b"\x93NUMPY" + version + length.to_bytes(length_bytes, "little") + text.ljust(length - 1) + b"\n"


def array_in(file: BinaryIO) -> AnyArray:
    """Return the memory-mapped array of an open `.npy` file. Raises `DecodeError`."""
    name = name_of(file)
    dtype, shape, start = layout_of(file)
    data = mapped(file)
    count = math.prod(shape)
    if len(data) != start + count * dtype.itemsize:
        raise DecodeError(
            f"{name} has {len(data)} bytes; its header says {start + count * dtype.itemsize}. Verify the dataset, then "
            "prepare it again."
        )
    try:
        return np.frombuffer(data, dtype, count, start if count else 0).reshape(shape)
    except (ValueError, OverflowError) as error:
        raise DecodeError(
            f"The header of {name} has the shape {shape}, which is not possible ({error}). Verify the dataset, then "
            "prepare it again."
        ) from error


def layout_of(file: BinaryIO) -> tuple[Dtype, tuple[int, ...], int]:
    """Return dtype and shape of the array in an open `.npy` file, and the offset of its data. Raises `DecodeError`."""
    name = name_of(file)
    try:
        return _parsed_header(file)
    except OSError:
        raise
    except Exception as error:
        # Not only ValueError: a header may make the parsers run out of stack or memory, or raise IndexError.
        raise DecodeError(f"{name} is not an .npy file of this library: {error or type(error).__name__}. Verify the "
                          "dataset, then prepare it again.") from error  # fmt: skip


def _parsed_header(file: BinaryIO) -> tuple[Dtype, tuple[int, ...], int]:
    """Return dtype and shape of the array, and the offset of its data."""
    file.seek(0)
    magic, version = file.read(6), file.read(2)
    if magic != b"\x93NUMPY" or version not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        raise ValueError(f"it begins with {magic + version!r}")
    length = int.from_bytes(file.read(2 if version == b"\x01\x00" else 4), "little")
    if length > LONGEST_HEADER:
        raise ValueError(f"its header has {length} bytes")
    raw = file.read(length)
    if len(raw) < length:
        raise ValueError("it ends inside its header")
    return *_parsed(raw.decode("utf-8" if version == b"\x03\x00" else "latin-1")), file.tell()


@lru_cache(maxsize=64)
def _parsed(text: str) -> tuple[Dtype, tuple[int, ...]]:
    """Return dtype and shape of a header. Nearly all files of a stream have the same."""
    fields = ast.literal_eval(text)
    if not isinstance(fields, dict) or fields.keys() != KEYS or fields["fortran_order"] is not False:
        raise ValueError("its header has other fields, or Fortran order")
    shape, dtype = fields["shape"], npy.descr_to_dtype(fields["descr"])
    if not isinstance(shape, tuple) or not all(type(size) is int and 0 <= size < 1 << 63 for size in shape):
        raise ValueError(f"its shape is {shape!r:.200}")
    if not 0 < len(shape) <= MOST_DIMENSIONS:
        raise ValueError(f"it has {len(shape)} dimensions")
    if dtype.hasobject or dtype.subdtype or not dtype.itemsize:
        raise ValueError(f"it holds {dtype}, which is never written here")
    return dtype, shape
