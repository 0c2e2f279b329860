"""Numpy arrays as `.npy`, which `np.load` opens: of every dtype without Python objects, shape and order, exactly."""

import ast
import math
from typing import Any

import numpy as np
from numpy.lib import format as npy

from dataset_assets.errors import DecodeError, SchemaError

LONGEST_HEADER = 1 << 20
MOST_DIMENSIONS = 64


def write_array(value: Any, path: str) -> list[Any]:
    """Return the buffers of an array. Raises `SchemaError` for Python objects."""
    if value.dtype.hasobject:
        raise SchemaError(
            f"{path} is an array of Python objects, which only pickle could write. Give it another dtype, or store a "
            "list."
        )
    # A dtype with padding, or of another byte order, is written as it is.
    if npy.descr_to_dtype(npy.dtype_to_descr(value.dtype)) != value.dtype:
        raise SchemaError(f"{path} has the dtype {value.dtype!r}, which .npy cannot hold. Store its fields as arrays.")
    order = not value.flags.c_contiguous and value.flags.f_contiguous
    head = _header({"descr": npy.dtype_to_descr(value.dtype), "fortran_order": order, "shape": value.shape})
    flat = value.T.reshape(-1) if order else np.ascontiguousarray(value).reshape(-1)
    return [head, flat.view(np.uint8).data] if flat.nbytes else [head]


def _header(fields: dict[str, Any]) -> bytes:
    """Return the header as numpy writes it: the first version that can hold it."""
    text = f"{fields!r}"
    version, length = (1, 2) if len(text) < 60_000 and text.isascii() else (3, 4)
    data = text.encode()
    data = data.ljust(-(-(len(data) + 9 + length) // 64) * 64 - 9 - length) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(data).to_bytes(length, "little") + data


def read_array(data: memoryview) -> Any:
    """Return the array in a buffer, without a copy. Raises `DecodeError`."""
    try:
        dtype, order, shape, start = _parsed_header(data)
        if len(data) - start != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"it has {len(data) - start} bytes of data for {shape} of {dtype}")
        flat = np.frombuffer(data, np.uint8, offset=start) if len(data) > start else np.empty(0, np.uint8)
        # Other functions make texts of no characters one character long.
        flat = flat.view(dtype) if flat.size else np.ndarray((math.prod(shape),), dtype)
        return flat.reshape(shape[::-1]).T if order else flat.reshape(shape)
    except DecodeError:
        raise
    except Exception as error:
        # A header may make the parsers run out of stack or memory.
        raise DecodeError(f"An array is not an .npy file: {error or type(error).__name__}.") from error


def _parsed_header(data: memoryview) -> tuple[Any, bool, tuple[int, ...], int]:
    version = bytes(data[:8])
    if version[:6] != b"\x93NUMPY" or version[6:] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        raise ValueError(f"it begins with {version!r}")
    start = 10 if version[6] == 1 else 12
    length = int.from_bytes(data[8:start], "little")
    if length > min(LONGEST_HEADER, len(data) - start):
        raise ValueError(f"its header has {length} bytes")
    text = bytes(data[start : start + length]).decode("utf-8" if version[6] == 3 else "latin-1")
    fields = ast.literal_eval(text)
    shape, order, dtype = fields["shape"], fields["fortran_order"], npy.descr_to_dtype(fields["descr"])
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"its shape is {shape!r:.80}")
    if len(shape) > MOST_DIMENSIONS or dtype.hasobject or type(order) is not bool:
        raise ValueError("its header has a dtype of Python objects, or fields that numpy never writes")
    return dtype, order, shape, start + length
