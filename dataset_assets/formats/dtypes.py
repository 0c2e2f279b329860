"""The dtypes that are stored, and casting to them without changing a value."""

import ast
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import DefinitionError

AnyArray = NDArray[Any]
Mask = NDArray[np.bool_]
Dtype = np.dtype[Any]

NUMBERS = "biufc"
LONGEST = 10_000
"""What the header of an `.npy` file may have."""


def dtype_text(dtype: Any) -> str:
    """Return a dtype as text, little-endian: "<f4", "|u1", or a list for fields.

    >>> dtype_text("float32"), dtype_text(">i8")
    ('<f4', '<i8')
    """
    found = parsed(dtype)
    return found.str if found.names is None else str(found.descr)


def parsed(dtype: Any) -> Dtype:
    """Return the dtype that a user or `dtype_text` wrote, as it is stored. Raises `DefinitionError`."""
    try:
        # Python's parser may run out of stack for a text that goes on and on.
        if isinstance(dtype, str) and len(dtype) > LONGEST:
            raise ValueError(f"it has {len(dtype)} characters")
        found = np.dtype(ast.literal_eval(dtype) if isinstance(dtype, str) and dtype.startswith("[") else dtype)
    except (TypeError, ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise DefinitionError(
            f"{dtype!r:.200} is not a dtype of numpy. Write one such as 'uint8' or 'float32'."
        ) from error
    if found.subdtype is not None:
        raise DefinitionError(f"{dtype!r} is a dtype with a shape. Give them apart: Array(dtype=..., shape=...).")
    return stored(found)


def stored(dtype: Dtype) -> Dtype:
    """Return the dtype whose bytes are the same everywhere: little-endian, without padding between fields.

    Raises `DefinitionError` for those that have none: objects, the platform's long double, strings without a length.
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
    # From its text, so that what numpy keeps beside it (metadata) is left behind.
    return np.dtype(dtype.str).newbyteorder("<")


def cast(rows: AnyArray, dtype: Dtype) -> tuple[AnyArray, Mask | None] | None:
    """Return rows in another dtype, and which of their values it holds (None: all); None if it is of another kind.

    Floats are rounded to a float dtype; nothing else may change. Fields are matched by their names, not by their order.
    """
    if rows.dtype == dtype:
        return np.ascontiguousarray(rows), None
    if dtype.names is not None:
        return _cast_fields(rows, dtype)
    source, target = rows.dtype.kind, dtype.kind
    if not (source == target and target in "SUmM" or source in NUMBERS and target in NUMBERS):
        return None
    try:
        with np.errstate(all="ignore"):
            found = (rows.real if source == "c" != target else rows).astype(dtype, order="C")
            return found, _held(rows, found)
    except (TypeError, ValueError, OverflowError):
        # Times of units that have nothing in common, such as months and seconds.
        return None


def _cast_fields(rows: AnyArray, dtype: Dtype) -> tuple[AnyArray, Mask | None] | None:
    assert dtype.names is not None
    if rows.dtype.names is None or set(rows.dtype.names) != set(dtype.names):
        return None
    found, held = np.empty(rows.shape, dtype), np.ones(rows.shape, bool)
    for name in dtype.names:
        if rows.dtype[name].shape != dtype[name].shape or (field := cast(rows[name], dtype[name].base)) is None:
            return None
        found[name] = field[0]
        if field[1] is not None:
            held &= field[1].all(tuple(range(rows.ndim, field[1].ndim)))
    return found, held


def _held(rows: AnyArray, found: AnyArray) -> Any:
    """Return which values came through a cast, without relying on what a cast makes of those that do not."""
    source, target = rows.dtype.kind, found.dtype.kind
    if source in "SU":
        return found.astype(rows.dtype) == rows
    if source in "mM":
        return (found.astype(rows.dtype) == rows) | (np.isnat(rows) & np.isnat(found))
    if source == "c":
        imaginary = rows.imag == 0 if target != "c" else _held(rows.imag, found.imag)
        return imaginary & _held(rows.real, found.real)
    if target == "c":
        return _held(rows, found.real)
    if source == "b":
        return np.ones(rows.shape, bool)
    if target == "b":
        return (rows == 0) | (rows == 1)
    if source == "f":
        return ~np.isinf(found) | np.isinf(rows) if target == "f" else _whole_in(rows, found.dtype)
    if target == "f":
        return np.isfinite(found) & _whole_in(found, rows.dtype) & (found.astype(rows.dtype) == rows)
    return (found.astype(rows.dtype) == rows) & ((found < 0) == (rows < 0))


def shown(value: Any) -> str:
    """Return one value of an array as a message shows it, whatever the version of numpy."""
    return str(value) if value.dtype.kind in "mM" else repr(value.item())


def _whole_in(floats: AnyArray, dtype: Dtype) -> Any:
    """Return which floats are whole numbers that an integer dtype holds."""
    wide = floats if floats.dtype.itemsize > 8 else floats.astype(np.float64)
    info = np.iinfo(dtype)
    # The largest integer plus one is a power of two, and so a float; the largest itself often is not.
    return (wide >= float(info.min)) & (wide < float(info.max // 2 + 1) * 2) & (wide == np.trunc(wide))
