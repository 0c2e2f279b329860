"""The dtypes that can be stored, and casts to them that change no value."""

import ast
import re
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import DefinitionError

AnyArray = NDArray[Any]
Mask = NDArray[np.bool_]
Dtype = np.dtype[Any]

NUMBERS = "biufc"
SMALL_FLOAT = re.compile(r"bfloat16|float8_\w+")
LONGEST = 10_000
"""The longest text of a dtype, and the longest header of an `.npy` file."""


def dtype_text(dtype: Any) -> str:
    """Return a dtype as little-endian text: "<f4", "|u1", or a list of fields.

    >>> dtype_text("float32"), dtype_text(">i8")
    ('<f4', '<i8')
    """
    known = parsed(dtype)
    if is_small_float(known):
        return known.name
    return known.str if known.names is None else str(known.descr)


def parsed(dtype: Any) -> Dtype:
    """Return the dtype from a user or from `dtype_text`, in its stored form. Raises `DefinitionError`."""
    if isinstance(dtype, str) and SMALL_FLOAT.fullmatch(dtype):
        if (small := small_float(dtype)) is None:
            raise DefinitionError(f"{dtype!r} is a dtype of ml_dtypes, which does not have it here. Install ml_dtypes.")
        return small
    try:
        # Python's parser may run out of stack for a very long text.
        if isinstance(dtype, str) and len(dtype) > LONGEST:
            raise ValueError(f"it has {len(dtype)} characters")
        known = np.dtype(ast.literal_eval(dtype) if isinstance(dtype, str) and dtype.startswith("[") else dtype)
    except (TypeError, ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise DefinitionError(
            f"{dtype!r:.200} is not a dtype of numpy. Write one such as 'uint8' or 'float32'."
        ) from error
    if known.subdtype is not None:
        raise DefinitionError(f"{dtype!r} is a dtype with a shape. Give both separately: Array(dtype=..., shape=...).")
    return stored(known)


def is_small_float(dtype: Dtype) -> bool:
    """Return whether a dtype is a float of `ml_dtypes`, such as bfloat16. To numpy it is plain bytes."""
    return dtype.type.__module__ == "ml_dtypes" and SMALL_FLOAT.fullmatch(dtype.name) is not None


def small_float(name: str) -> Dtype | None:
    """Return the dtype of `ml_dtypes` of a name such as "bfloat16", or None where that is not installed."""
    if not SMALL_FLOAT.fullmatch(name):
        return None
    try:
        found: Dtype = np.dtype(getattr(import_module("ml_dtypes"), name))
    except (ImportError, AttributeError):
        return None
    return found


def stored(dtype: Dtype) -> Dtype:
    """Return the dtype with the same bytes on every platform: little-endian, without padding between fields.

    Raises `DefinitionError` for a dtype that has no such form: objects, long double, strings without a length.
    """
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.dtype((stored(base), shape))
    if dtype.names:
        return np.dtype([(name, stored(dtype[name])) for name in dtype.names])
    if dtype.hasobject:
        raise DefinitionError("An Array cannot hold Python objects. Use Text, Bytes, Ragged or Table.")
    if dtype.char in "gG":
        raise DefinitionError(f"{dtype} differs from platform to platform. Cast to float64 or complex128.")
    if dtype.itemsize == 0:
        raise DefinitionError(f"{dtype.str!r} has no length. Give it one, as in 'U20', or use Text or Bytes.")
    if is_small_float(dtype):
        return dtype
    # From its text, to drop the metadata that numpy may attach to a dtype.
    return np.dtype(dtype.str).newbyteorder("<")


def cast(rows: AnyArray, dtype: Dtype) -> tuple[AnyArray, Mask | None] | None:
    """Return rows cast to a dtype, and a mask of the values that it can hold (None: all); None for another kind.

    Casting floats to floats may round; no other value may change. Fields are matched by name, in any order.
    """
    if rows.dtype == dtype:
        return np.ascontiguousarray(rows), None
    if dtype.names is not None:
        return _cast_fields(rows, dtype)
    source, target = rows.dtype.kind, dtype.kind
    if is_small_float(dtype) and source in "f":
        result = rows.astype(dtype)
        return result, np.isfinite(result.astype(np.float32)) | ~np.isfinite(rows)
    if not (source == target and target in "SUmM" or source in NUMBERS and target in NUMBERS):
        return None
    try:
        with np.errstate(all="ignore"):
            result = (rows.real if source == "c" != target else rows).astype(dtype, order="C")
            return result, _held(rows, result)
    except (TypeError, ValueError, OverflowError):
        # Times in units that do not convert, such as months and seconds.
        return None


def _cast_fields(rows: AnyArray, dtype: Dtype) -> tuple[AnyArray, Mask | None] | None:
    assert dtype.names is not None
    if rows.dtype.names is None or set(rows.dtype.names) != set(dtype.names):
        return None
    result, held = np.empty(rows.shape, dtype), np.ones(rows.shape, bool)
    for name in dtype.names:
        if rows.dtype[name].shape != dtype[name].shape or (field := cast(rows[name], dtype[name].base)) is None:
            return None
        result[name] = field[0]
        if field[1] is not None:
            held &= field[1].all(tuple(range(rows.ndim, field[1].ndim)))
    return result, held


def _held(rows: AnyArray, result: AnyArray) -> Any:
    """Return which values a cast preserved, without relying on the result for values that do not fit."""
    source, target = rows.dtype.kind, result.dtype.kind
    if source in "SU":
        return result.astype(rows.dtype) == rows
    if source in "mM":
        return (result.astype(rows.dtype) == rows) | (np.isnat(rows) & np.isnat(result))
    if source == "c":
        imaginary = rows.imag == 0 if target != "c" else _held(rows.imag, result.imag)
        return imaginary & _held(rows.real, result.real)
    if target == "c":
        return _held(rows, result.real)
    if source == "b":
        return np.ones(rows.shape, bool)
    if target == "b":
        return (rows == 0) | (rows == 1)
    if source == "f":
        return ~np.isinf(result) | np.isinf(rows) if target == "f" else _whole_in(rows, result.dtype)
    if target == "f":
        return np.isfinite(result) & _whole_in(result, rows.dtype) & (result.astype(rows.dtype) == rows)
    return (result.astype(rows.dtype) == rows) & ((result < 0) == (rows < 0))


def shown(value: Any) -> str:
    """Return one value of an array as text for a message, the same in every version of numpy."""
    return str(value) if value.dtype.kind in "mM" else repr(value.item())


def _whole_in(floats: AnyArray, dtype: Dtype) -> Any:
    """Return which floats are whole numbers that an integer dtype can hold."""
    wide = floats if floats.dtype.itemsize > 8 else floats.astype(np.float64)
    info = np.iinfo(dtype)
    # The largest integer plus one is a power of two, so a float can hold it; often the largest itself does not fit.
    return (wide >= float(info.min)) & (wide < float(info.max // 2 + 1) * 2) & (wide == np.trunc(wide))
