"""The `.npy` file: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.

Headers are written here, so that they do not change with numpy; and read here, so that no file reaches numpy's parsers
for older versions, or makes anything allocate what it claims to hold.
"""

import ast
import math
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from dataset_assets.errors import DecodeError, DefinitionError
from dataset_assets.formats.dtypes import AnyArray, Dtype
from dataset_assets.formats.format import mapped, name_of

LONGEST_HEADER = 10_000
"""What np.load reads without being told to trust the file."""
MOST_DIMENSIONS = 64
COUNT_DIGITS = 21
KEYS = {"descr", "fortran_order", "shape"}


def header(dtype: Dtype, shape: tuple[int, ...]) -> bytes:
    """Return the header as numpy writes it; as long for any count, so that it can be written again with another.

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
    """Return the array of an open `.npy` file, on its map. Raises `DecodeError`."""
    name = name_of(file)
    dtype, shape, start = layout_of(file)
    data = mapped(file)
    count = math.prod(shape)
    if len(data) != start + count * dtype.itemsize:
        raise DecodeError(f"{name} has {len(data)} bytes; its header says {start + count * dtype.itemsize}.")
    try:
        return np.frombuffer(data, dtype, count, start if count else 0).reshape(shape)
    except (ValueError, OverflowError) as error:
        raise DecodeError(f"{name} says to hold an array of {shape}, which cannot be ({error}).") from error


def layout_of(file: BinaryIO) -> tuple[Dtype, tuple[int, ...], int]:
    """Return dtype and shape of the array in an open `.npy` file, and where its data begin. Raises `DecodeError`."""
    name = name_of(file)
    try:
        return _parsed_header(file)
    except OSError:
        raise
    except Exception as error:
        # Not only ValueError: a header can make the parsers run out of stack, memory or index.
        raise DecodeError(f"{name} is not an .npy file as written here: {error or type(error).__name__}. Verify the "
                          "dataset, then prepare it again.") from error  # fmt: skip


def _parsed_header(file: BinaryIO) -> tuple[Dtype, tuple[int, ...], int]:
    """Return dtype and shape of the array, and where its data begin."""
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
    fields = ast.literal_eval(raw.decode("utf-8" if version == b"\x03\x00" else "latin-1"))
    if not isinstance(fields, dict) or fields.keys() != KEYS or fields["fortran_order"] is not False:
        raise ValueError("its header is another one")
    shape, dtype = fields["shape"], npy.descr_to_dtype(fields["descr"])
    if not isinstance(shape, tuple) or not all(type(size) is int and 0 <= size < 1 << 63 for size in shape):
        raise ValueError(f"its shape is {shape!r:.200}")
    if not 0 < len(shape) <= MOST_DIMENSIONS:
        raise ValueError(f"it has {len(shape)} dimensions")
    if dtype.hasobject or dtype.subdtype or not dtype.itemsize:
        raise ValueError(f"it holds {dtype}, which is never written here")
    return dtype, shape, file.tell()
