"""Makes one array from values of different lengths: padded to the longest, or joined end to end."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Callable, Mapping, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import SchemaError, UsageError
from dataset_assets.formats.dtypes import cast, shown
from dataset_assets.loader.buffer_pool import BufferPool
from dataset_assets.reading.views.view import View

PROBE = 1024


class Form(NamedTuple):
    """The dtype of a stream's values, and their shape without the first `axes`, whose lengths differ."""

    dtype: np.dtype[Any]
    inner: tuple[int, ...]
    axes: int = 1


@dataclass(frozen=True)
class Collate:
    """Makes one array from the values of each of some streams, and leaves all other streams as they are."""

    copied: tuple[str, ...]
    """The streams to change. All values are copied, so the reader may pass views of memory that it owns."""
    change: Callable[[str, list[NDArray[Any]], Form], dict[str, Any]]
    dtype: Any = None
    forms: Mapping[str, Form] | None = None
    """The form of each stream. Without it, a batch decides by itself."""
    axes: int = 1
    """How many axes of the values have lengths that differ."""

    def of(self, view: View) -> "Collate":
        """Return the same function with the forms of a view's streams, so that all its batches have one dtype."""
        return replace(self, forms={name: _form_of(view, name, self.dtype, self.axes) for name in self.copied})

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        collated = dict(batch)
        for name in self.copied:
            values = [_as_array(name, value) for value in batch[name]]
            form = _form(values, self.dtype, self.axes) if self.forms is None else self.forms[name]
            collated |= self.change(name, [_fitted(name, value, form) for value in values], form)
        return collated


def padded(*streams: str, value: float = 0, multiple: int = 1, dtype: Any = None, axes: int = 1) -> Collate:
    """Return a `collate` that makes one array from each stream's values, padded with `value` to the longest.

    Texts and bytes become arrays of their bytes. `<stream>_lengths` holds the lengths; the width is a multiple of
    `multiple`. With `axes=2` the first two axes are padded, such as the height and width of pictures, and the lengths
    are pairs. The dtype of all batches is that of the view's first value that is not empty, or `dtype`. A value that
    it does not hold raises `SchemaError`.

    >>> batch = padded("x")({"x": [np.array([1, 2, 3]), np.array([4])]})
    >>> batch["x"].tolist(), batch["x_lengths"].tolist()
    ([[1, 2, 3], [4, 0, 0]], [3, 1])
    """
    if isinstance(axes, bool) or not isinstance(axes, int) or axes < 1:
        raise UsageError(f"axes={axes!r} is not a number of axes. Give 1 or more, such as 2 for pictures.")
    change = partial(_padded, value=value, multiple=multiple, pool=BufferPool())
    return Collate(streams, change, _named(dtype), axes=axes)


def joined(*streams: str, dtype: Any = None) -> Collate:
    """Return a `collate` that joins each stream's values end to end; `<stream>_borders` holds where each begins.

    The dtype of all batches is that of the view's first value that is not empty, or `dtype`.

    >>> batch = joined("x")({"x": [np.array([1, 2, 3]), np.array([4])]})
    >>> batch["x"].tolist(), batch["x_borders"].tolist()
    ([1, 2, 3, 4], [0, 3, 4])
    """
    return Collate(streams, partial(_joined, pool=BufferPool()), _named(dtype))


def _named(dtype: Any) -> np.dtype[Any] | None:
    return None if dtype is None else np.dtype(dtype)


def _padded(
    name: str, values: list[NDArray[Any]], form: Form, value: float, multiple: int, pool: BufferPool
) -> dict[str, Any]:
    lengths = np.array([one.shape[: form.axes] for one in values], np.int64).reshape(-1, form.axes)
    widths = -(-lengths.max(0, initial=0) // multiple) * multiple
    array = pool.array((len(values), *widths.tolist(), *form.inner), form.dtype)
    padding = _fitted(name, np.array([value]), Form(form.dtype, ()))[0]
    for row, one in zip(array, values):
        if form.axes > 1:
            row[...] = padding
            row[tuple(map(slice, one.shape[: form.axes]))] = one
        else:
            row[: len(one)], row[len(one) :] = one, padding
    return {name: array, f"{name}_lengths": lengths if form.axes > 1 else lengths[:, 0]}


def _joined(name: str, values: list[NDArray[Any]], form: Form, pool: BufferPool) -> dict[str, Any]:
    borders = np.zeros(len(values) + 1, np.int64)
    np.cumsum([len(one) for one in values], out=borders[1:])
    array = pool.array((int(borders[-1]), *form.inner), form.dtype)
    return {name: np.concatenate(values, out=array) if values else array, f"{name}_borders": borders}


def _form_of(view: View, stream: str, dtype: np.dtype[Any] | None, axes: int) -> Form:
    """Return the form of a stream's values, by the first one that is not empty. Raises `UsageError` without any."""
    empty = None
    for lo in range(0, min(len(view), PROBE), 64):
        for value in view.rows_of((stream,), slice(lo, min(lo + 64, len(view))))[stream]:
            if (array := _as_array(stream, value)).size:
                return Form(dtype or array.dtype, array.shape[axes:], axes)
            # An empty list has no dtype, and an empty array may have any.
            empty = array if empty is None and isinstance(value, np.ndarray) else empty
    if empty is not None:
        return Form(dtype or empty.dtype, empty.shape[axes:], axes)
    if dtype is None and len(view):
        raise UsageError(
            f"The first {min(len(view), PROBE)} values of {stream} are empty, so its dtype is not known. Name it: "
            "dtype='int64'."
        )
    return Form(dtype or np.dtype(float), (), axes)


def _form(values: list[NDArray[Any]], dtype: np.dtype[Any] | None, axes: int) -> Form:
    """Return the form of the values of one batch."""
    full = [value for value in values if value.size]
    inner = next((value.shape[axes:] for value in full or values), ())
    return Form(dtype or (np.result_type(*{value.dtype for value in full}) if full else np.dtype(float)), inner, axes)


def _fitted(name: str, value: NDArray[Any], form: Form) -> NDArray[Any]:
    """Return a value in the stream's form. Raises `SchemaError` if that would change it."""
    if not value.size and value.ndim >= form.axes:
        return np.empty((*value.shape[: form.axes], *form.inner), form.dtype)
    if value.ndim < form.axes or value.shape[form.axes :] != form.inner:
        free = tuple("nmopqrs"[: form.axes])
        more = f"Pad more axes: padded({name!r}, axes={form.axes + 1}). Or reshape" if form.inner else "Reshape"
        raise SchemaError(
            f"A value of {name} has the shape {value.shape}, expected {(*free, *form.inner)} as for the other values. "
            f"{more} it with view.map."
        )
    if value.dtype == form.dtype:
        return value
    result = cast(value, form.dtype)
    kept: Any = np.zeros(value.shape, bool) if result is None else result[1]
    if result is None or kept is not None and not kept.all():
        lost = value[~kept][0]
        raise SchemaError(
            f"The number {shown(lost)} for {name} does not fit its dtype {form.dtype}. Name a wider dtype, such as "
            f"dtype='{np.result_type(value.dtype, form.dtype)}', or convert the values with view.map."
        )
    return result[0]


def _as_array(name: str, value: Any) -> NDArray[Any]:
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return np.frombuffer(value, np.uint8)
    if isinstance(value, (list, tuple)) and len(value) and set(map(type, value)) > {bool}:
        raise SchemaError(f"A value of {name} mixes booleans with other values. Give the values one type.")
    array = np.asarray(value)
    if not array.ndim or array.dtype.hasobject or np.ma.is_masked(value):
        raise UsageError(
            f"Cannot pad or join the values of {name}: one is a {type(value).__name__}. Give streams of arrays, texts "
            "or bytes."
        )
    return array
