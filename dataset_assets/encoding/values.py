"""Blocks of values as encoders look at them: which ones there are, and as numbers. What is missing is None, or NaN."""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import SchemaError

PLAIN = (str, int, float, bool, type(None))


def is_arrow(values: Any) -> bool:
    """Say whether values are an array of arrow."""
    arrow = sys.modules.get("pyarrow")
    return arrow is not None and isinstance(values, (arrow.Array, arrow.ChunkedArray))


def distinct(values: Any) -> tuple[list[Any], NDArray[np.intp]]:
    """Return the different values, and for each value which of them it is.

    >>> distinct(np.array([3, 1, 3]))
    ([1, 3], array([1, 0, 1]))
    """
    if is_arrow(values):
        found, codes = _distinct_of_arrow(values)
    elif isinstance(values, np.ndarray) and values.dtype.kind in "biufU":
        if values.ndim != 1:
            raise SchemaError(f"A category is a single value, not an array of shape {values.shape[1:]}.")
        unique, inverse = np.unique(values, return_inverse=True)
        found, codes = unique.tolist(), inverse
    else:
        places: dict[Any, int] = {}
        try:
            codes = np.array([places.setdefault(_plain(value), len(places)) for value in values], np.intp)
        except TypeError as error:
            raise SchemaError(f"A category is a number or text ({error}).") from error
        found = list(places)
    return [_checked(value) for value in found], codes


def as_numbers(values: Any) -> NDArray[np.float64]:
    """Return values as floats, NaN for what is missing; `SchemaError` for what is no number."""
    try:
        if is_arrow(values):
            import pyarrow

            values = values.cast(pyarrow.float64()).to_numpy(zero_copy_only=False) if _numeric(values) else list("?")
        # An array of objects turns None into NaN; of text, it would read numbers.
        found = np.asarray(values, None if isinstance(values, np.ndarray) else object)
        texts = found.dtype.kind == "O" and any(isinstance(value, (str, bytes)) for value in found.flat)
        if texts or found.dtype.kind not in "biufO":
            raise TypeError("it has text" if texts else f"it has {found.dtype}")
        return np.ascontiguousarray(found, np.float64)
    except (TypeError, ValueError) as error:
        raise SchemaError(
            f"A continuous feature holds numbers only ({error}). Encode categories by OneHot or Ordinal."
        ) from error


def _numeric(values: Any) -> bool:
    from pyarrow import types

    kind = values.type
    return any(is_kind(kind) for is_kind in (types.is_integer, types.is_floating, types.is_boolean, types.is_null))


def _distinct_of_arrow(values: Any) -> tuple[list[Any], NDArray[np.intp]]:
    import pyarrow

    if isinstance(values, pyarrow.ChunkedArray):
        values = values.combine_chunks()
        # Of no chunks, or of several, this may be chunked still.
        if isinstance(values, pyarrow.ChunkedArray):
            values = pyarrow.concat_arrays(values.chunks) if values.num_chunks else pyarrow.array([], values.type)
    encoded = values if pyarrow.types.is_dictionary(values.type) else values.dictionary_encode()
    found = encoded.dictionary.to_pylist()
    codes = encoded.indices.fill_null(len(found)).to_numpy(zero_copy_only=False).astype(np.intp)
    return [*found, None] if encoded.null_count else found, codes


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _checked(value: Any) -> Any:
    """Return a category; None for NaN, which is not equal to itself."""
    if not isinstance(value, PLAIN):
        raise SchemaError(f"A category is a number or text, not a {type(value).__name__}. Change it by view.map first.")
    return None if value != value else value
