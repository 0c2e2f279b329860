"""Makes one array from values of different lengths: padded to the longest, or joined end to end."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import UsageError
from dataset_assets.loader.buffer_pool import BufferPool


@dataclass(frozen=True)
class Collate:
    """Makes one array from the values of each of some streams, and leaves all other streams as they are."""

    copied: tuple[str, ...]
    """The streams to change. All values are copied, so the reader may pass views of memory that it owns."""
    change: Callable[[str, list[NDArray[Any]]], dict[str, Any]]

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        collated = dict(batch)
        for name in self.copied:
            collated |= self.change(name, [_as_array(name, value) for value in batch[name]])
        return collated


def padded(*streams: str, value: float = 0, multiple: int = 1, dtype: Any = None) -> Collate:
    """Return a `collate` that makes one array from each stream's values, padded with `value` to the longest.

    Texts and bytes become arrays of their bytes. `<stream>_lengths` holds the lengths; the width is a multiple of
    `multiple`. The default dtype is one that holds the values; give `dtype` if a rank may get an empty batch.

    >>> batch = padded("x")({"x": [np.array([1, 2, 3]), np.array([4])]})
    >>> batch["x"].tolist(), batch["x_lengths"].tolist()
    ([[1, 2, 3], [4, 0, 0]], [3, 1])
    """
    return Collate(streams, partial(_padded, value=value, multiple=multiple, dtype=dtype, pool=BufferPool()))


def joined(*streams: str, dtype: Any = None) -> Collate:
    """Return a `collate` that joins each stream's values end to end; `<stream>_borders` holds where each begins.

    The default dtype is one that holds the values; give `dtype` if a rank may get an empty batch.

    >>> batch = joined("x")({"x": [np.array([1, 2, 3]), np.array([4])]})
    >>> batch["x"].tolist(), batch["x_borders"].tolist()
    ([1, 2, 3, 4], [0, 3, 4])
    """
    return Collate(streams, partial(_joined, dtype=dtype, pool=BufferPool()))


def _padded(
    name: str, values: list[NDArray[Any]], value: float, multiple: int, dtype: Any, pool: BufferPool
) -> dict[str, Any]:
    lengths = np.array([len(one) for one in values], np.int64)
    width = -(-int(lengths.max(initial=0)) // multiple) * multiple
    array = pool.array((len(values), width, *_inner(values)), _dtype(values, dtype))
    for row, one in zip(array, values):
        row[: len(one)], row[len(one) :] = one, value
    return {name: array, f"{name}_lengths": lengths}


def _joined(name: str, values: list[NDArray[Any]], dtype: Any, pool: BufferPool) -> dict[str, Any]:
    borders = np.zeros(len(values) + 1, np.int64)
    np.cumsum([len(one) for one in values], out=borders[1:])
    array = pool.array((int(borders[-1]), *_inner(values)), _dtype(values, dtype))
    return {
        name: np.concatenate(values, out=array, casting="same_kind") if values else array,
        f"{name}_borders": borders,
    }


def _inner(values: list[NDArray[Any]]) -> tuple[int, ...]:
    return values[0].shape[1:] if values else ()


def _dtype(values: list[NDArray[Any]], named: Any) -> np.dtype[Any]:
    """Return the dtype that the caller named, else one that holds all values."""
    dtype: np.dtype[Any] = np.dtype(float if named is None else named)
    return np.result_type(*{value.dtype for value in values}) if values and named is None else dtype


def _as_array(name: str, value: Any) -> NDArray[Any]:
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return np.frombuffer(value, np.uint8)
    array = np.asarray(value)
    if not array.ndim or array.dtype.hasobject:
        raise UsageError(
            f"Cannot pad or join the values of {name}: one is a {type(value).__name__}. Give streams of arrays, texts "
            "or bytes."
        )
    return array
