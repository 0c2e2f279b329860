"""Converts a block of values to one array; raises `Misfit` if that would change, drop or invent a value."""

import sys
from itertools import chain
from typing import Any, Iterable, Sequence

import numpy as np

from dataset_assets.formats.dtypes import NUMBERS, AnyArray
from dataset_assets.formats.format import Misfit

ADVICE = "Give them one dtype in the split function, or declare the dtype."
OBJECTS = "an array cannot hold {}. Use Text, Bytes, Ragged or Table."
NULL = "it is null, which an array cannot hold. Fill or drop it, or use Table."
EXACT = 2**53
_ARROW_TEXTS = ("string", "large_string", "dictionary")
PYTHON = {bool: "b", int: "i", float: "f", complex: "c", str: "U", bytes: "S"}


def as_rows(values: Any) -> AnyArray:
    """Return a block as one array. Raises `Misfit` if its values have no common shape or type."""
    if is_arrow(values):
        rows = _from_arrow(values)
    elif hasattr(values, "iloc"):
        rows = _from_pandas(values)
    elif isinstance(values, (list, tuple)):
        rows = _from_values(values) if values else np.empty(0)
    else:
        rows = _plain(values, None)
    if rows.ndim == 0:
        raise Misfit(0, "a block must have a length. Yield a single value as a sample.")
    return rows


def is_arrow(values: Any) -> bool:
    """Return whether a block is an Arrow array; it cannot be one if pyarrow is not imported."""
    arrow = sys.modules.get("pyarrow")
    return arrow is not None and isinstance(values, (arrow.Array, arrow.ChunkedArray))


def names_in(values: Any) -> list[Any] | None:
    """Return a block as a list if it has text, else None."""
    if is_arrow(values):
        found = values.to_pylist() if str(values.type).startswith(_ARROW_TEXTS) else []
    elif isinstance(values, np.ndarray) or hasattr(values, "iloc"):
        # pandas has text as objects, or in types of its own.
        found = values.tolist() if values.ndim == 1 and getattr(values.dtype, "kind", "O") in "UO" else []
    else:
        found = list(values) if isinstance(values, (list, tuple)) else []
    return found if any(isinstance(value, str) for value in found) else None


def _plain(value: Any, at: int | None) -> AnyArray:
    """Return an array, or a value that numpy converts to one."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise Misfit(at, "it is masked, which an array cannot hold. Fill or drop it, or use Table.")
    try:
        rows = np.asarray(value)
    except Exception as error:
        # The value's own conversion may raise anything, as for a tensor on a device or with a gradient.
        raise Misfit(
            at, f"a {type(value).__name__} does not convert to an array ({error}). Convert it in the split function."
        ) from error
    if rows.dtype.hasobject:
        raise Misfit(at, OBJECTS.format(_kinds(np.ravel(rows)[:1000]) or type(value).__name__))
    return rows


def _from_values(values: Sequence[Any]) -> AnyArray:
    kinds = set(map(type, values))
    if len(kinds) == 1 and _of_one_kind(values, *kinds):
        return np.asarray(values)
    if not kinds <= PYTHON.keys() and any(hasattr(value, "__array__") for value in values):
        return _from_arrays([_plain(value, at) for at, value in enumerate(values)])
    try:
        rows = np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise _uneven([_shape(value) for value in values]) or Misfit(
            None, f"the values do not convert to an array ({error}). Convert them in the split function."
        ) from error
    leaves: Any = values
    for _ in range(rows.ndim - 1):
        leaves = chain.from_iterable(leaves)
    _check_leaves(leaves if isinstance(leaves, Sequence) else list(leaves), rows)
    return rows


def _of_one_kind(values: Sequence[Any], kind: type) -> bool:
    """Return whether numpy converts values of this type correctly without further checks; true for most."""
    if issubclass(kind, np.generic):
        return np.dtype(kind).kind in NUMBERS
    if kind is np.ndarray:
        return len({(value.dtype, value.shape) for value in values}) == 1 and values[0].dtype.kind in NUMBERS
    return kind is float or kind is bool


def _from_arrays(rows: Sequence[AnyArray]) -> AnyArray:
    if uneven := _uneven([row.shape for row in rows]):
        raise uneven
    first = rows[0].dtype
    for at, row in enumerate(rows):
        if row.dtype != first and not row.dtype.kind == first.kind in "SU":
            raise Misfit(at, f"dtype {row.dtype}, expected {first} as in the samples before it. {ADVICE}")
    return np.stack(rows)


def _check_leaves(leaves: Sequence[Any], rows: AnyArray) -> None:
    """Compare the Python values with numpy's array, since numpy accepts conversions that change values."""
    kinds = {_kind(kind) for kind in set(map(type, leaves))}
    if kinds == {"i"} and rows.dtype.kind not in "iu":
        raise Misfit(None, "some whole numbers do not fit in 64 bits. Use Text, or floats.")
    if rows.dtype.hasobject or len(kinds) > 1 and not kinds <= {"i", "f", "c"}:
        odd = next((at for at, leaf in enumerate(leaves) if _kind(type(leaf)) != _kind(type(leaves[0]))), 0)
        raise Misfit(odd if rows.ndim == 1 else None, OBJECTS.format(_kinds(leaves[:1000])))
    if kinds > {"i"} and any(not -EXACT <= leaf <= EXACT for leaf in leaves if isinstance(leaf, (int, np.integer))):
        raise Misfit(
            None,
            "floats cannot hold all the whole numbers among them. Give the values one type.",
        )
    if kinds <= {"S", "U"} and any(leaf and leaf[-1] in ("\0", 0) for leaf in leaves):
        raise Misfit(None, "some text or bytes end in NUL, which numpy would drop. Use Text or Bytes.")


def _kind(kind: type) -> str:
    if issubclass(kind, np.generic):
        return {"u": "i"}.get(letter := np.dtype(kind).kind, letter)
    return PYTHON.get(kind, kind.__name__)


def _kinds(values: Iterable[Any]) -> str:
    return ", ".join(sorted({type(value).__name__ for value in values}))


def _shape(value: Any) -> Any:
    try:
        return np.shape(value)
    except ValueError:
        return "uneven"


def _uneven(shapes: Sequence[Any]) -> Misfit | None:
    for at, shape in enumerate(shapes):
        if shape != shapes[0] or shape == "uneven":
            return Misfit(at, f"shape {shape}, expected {shapes[0]} as in the samples before it: values of an Array "
                          "have one shape. Use Ragged, or make the shapes equal.")  # fmt: skip
    return None


def _from_pandas(values: Any) -> AnyArray:
    if values.ndim == 2:
        if not values.shape[1]:
            raise Misfit(None, "the DataFrame has no columns. Give it at least one.")
        if len(dtypes := set(values.dtypes)) > 1:
            raise Misfit(None, f"the DataFrame has columns of {', '.join(sorted(map(str, dtypes)))}. Use Table.")
        return np.stack([_from_pandas(values.iloc[:, k]) for k in range(values.shape[1])], 1)
    if not isinstance(values.dtype, np.dtype) and (missing := np.asarray(values.isna())).any():
        raise Misfit(int(np.argmax(missing)), NULL)
    # Nullable and Arrow-backed columns would become objects by default.
    plain = getattr(values.dtype, "numpy_dtype", None)
    if plain is not None and plain.kind in NUMBERS:
        return values.to_numpy(plain)  # type: ignore[no-any-return]
    return _plain(values, None)


def _from_arrow(values: Any) -> AnyArray:
    import pyarrow
    from pyarrow import types

    if isinstance(values, pyarrow.ChunkedArray):
        if not values.num_chunks:
            return np.empty(0)
        values = values.combine_chunks() if values.num_chunks > 1 else values.chunk(0)
    if isinstance(values, pyarrow.ExtensionArray):
        if values.type.extension_name.startswith("pandas."):
            raise Misfit(None, OBJECTS.format(f"the type {values.type}"))
        values = values.storage
    if isinstance(values, pyarrow.DictionaryArray):
        values = values.dictionary_decode()
    if values.null_count:
        at = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
        raise Misfit(at, NULL)
    kind = values.type
    if types.is_fixed_size_list(kind):
        inner = _from_arrow(values.flatten())
        return inner.reshape(len(values), kind.list_size, *inner.shape[1:])
    if not (types.is_primitive(kind) or types.is_fixed_size_binary(kind)) or types.is_time(kind) or types.is_null(kind):
        raise Misfit(None, OBJECTS.format(f"Arrow's {kind}"))
    if types.is_fixed_size_binary(kind):
        _, data = values.buffers()
        return np.frombuffer(data, f"V{kind.byte_width}", len(values), values.offset * kind.byte_width)
    return values.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
