"""Prepares blocks of values for encoders: distinct values, or floats. None and NaN are missing values."""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import SchemaError

PLAIN = (str, int, float, bool, type(None))


def is_arrow(values: Any) -> bool:
    """Return whether values are an Arrow array."""
    arrow = sys.modules.get("pyarrow")
    return arrow is not None and isinstance(values, (arrow.Array, arrow.ChunkedArray))


def distinct(values: Any) -> tuple[list[Any], NDArray[np.intp]]:
    """Return the distinct values, and for each value its position among them.

    >>> distinct(np.array([3, 1, 3]))
    ([1, 3], array([1, 0, 1]))
    """
    if is_arrow(values):
        different, codes = _distinct_of_arrow(values)
    elif isinstance(values, np.ndarray) and values.dtype.kind in "biufU":
        if values.ndim != 1:
            raise SchemaError(
                f"The values are arrays of shape {values.shape[1:]}; a category is a single number or text. Encode "
                "arrays with Scaled."
            )
        unique, inverse = np.unique(values, return_inverse=True)
        different, codes = unique.tolist(), inverse
    else:
        places: dict[Any, int] = {}
        try:
            codes = np.array([places.setdefault(_plain(value), len(places)) for value in values], np.intp)
        except TypeError as error:
            raise SchemaError(
                f"A category is a number or text, not such a value ({error}). Convert it with view.map first."
            ) from error
        different = list(places)
    return [_checked(value) for value in different], codes


def as_numbers(values: Any) -> NDArray[np.float64]:
    """Return values as floats, with NaN for missing ones. Raises `SchemaError` for a value that is not a number."""
    try:
        if is_arrow(values):
            import pyarrow

            values = values.cast(pyarrow.float64()).to_numpy(zero_copy_only=False) if _numeric(values) else list("?")
        # numpy turns None in an array of objects into NaN. It would also parse numbers from text, which is refused.
        array = np.asarray(values, None if isinstance(values, np.ndarray) else object)
        texts = array.dtype.kind == "O" and any(isinstance(value, (str, bytes)) for value in array.flat)
        if texts or array.dtype.kind not in "biufO":
            raise TypeError("it has text" if texts else f"it has {array.dtype}")
        return np.ascontiguousarray(array, np.float64)
    except (TypeError, ValueError) as error:
        raise SchemaError(
            f"A continuous feature holds only numbers ({error}). Encode categories with OneHot or Ordinal."
        ) from error


def _numeric(values: Any) -> bool:
    from pyarrow import types

    kind = values.type
    return any(is_kind(kind) for is_kind in (types.is_integer, types.is_floating, types.is_boolean, types.is_null))


def _distinct_of_arrow(values: Any) -> tuple[list[Any], NDArray[np.intp]]:
    import pyarrow

    if isinstance(values, pyarrow.ChunkedArray):
        values = values.combine_chunks()
        # With no chunks, or with several, the result may still be chunked.
        if isinstance(values, pyarrow.ChunkedArray):
            values = pyarrow.concat_arrays(values.chunks) if values.num_chunks else pyarrow.array([], values.type)
    encoded = values if pyarrow.types.is_dictionary(values.type) else values.dictionary_encode()
    different = encoded.dictionary.to_pylist()
    codes = encoded.indices.fill_null(len(different)).to_numpy(zero_copy_only=False).astype(np.intp)
    return [*different, None] if encoded.null_count else different, codes


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _checked(value: Any) -> Any:
    """Return a category, or None for NaN, which does not equal itself."""
    if not isinstance(value, PLAIN):
        raise SchemaError(
            f"A category is a number or text, not a {type(value).__name__}. Convert it with view.map first."
        )
    return None if value != value else value
