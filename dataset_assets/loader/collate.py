"""Making one array of values whose lengths differ: padded to the longest, or joined end to end."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import UsageError
from dataset_assets.loader.buffer_pool import Pool


@dataclass(frozen=True)
class Collate:
    """Makes one array of the values of each of some streams, and leaves the others as they are."""

    copied: tuple[str, ...]
    """The streams, whose values may lie in memory that is not the caller's: nothing of it is handed on."""
    change: Callable[[str, list[NDArray[Any]]], dict[str, Any]]

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        found = dict(batch)
        for name in self.copied:
            found |= self.change(name, [_as_array(name, value) for value in batch[name]])
        return found


def padded(*streams: str, value: float = 0, multiple: int = 1, dtype: Any = None) -> Collate:
    """Return a `collate` that makes each stream's values one array, filled up with `value` to the longest.

    Texts and bytes become arrays of their bytes. The lengths are in `<stream>_lengths`; the width is a multiple of
    `multiple`. Without a `dtype` it is one that holds the values; name it, if a rank may get a batch without any.

    >>> batch = padded("x")({"x": [np.array([1, 2, 3]), np.array([4])]})
    >>> batch["x"].tolist(), batch["x_lengths"].tolist()
    ([[1, 2, 3], [4, 0, 0]], [3, 1])
    """
    return Collate(streams, partial(_padded, value=value, multiple=multiple, dtype=dtype, pool=Pool()))


def joined(*streams: str, dtype: Any = None) -> Collate:
    """Return a `collate` that puts each stream's values end to end; `<stream>_borders` says where each begins.

    Without a `dtype` it is one that holds the values; name it, if a rank may get a batch without any.

    >>> batch = joined("x")({"x": [np.array([1, 2, 3]), np.array([4])]})
    >>> batch["x"].tolist(), batch["x_borders"].tolist()
    ([1, 2, 3, 4], [0, 3, 4])
    """
    return Collate(streams, partial(_joined, dtype=dtype, pool=Pool()))


def _padded(
    name: str, values: list[NDArray[Any]], value: float, multiple: int, dtype: Any, pool: Pool
) -> dict[str, Any]:
    lengths = np.array([len(one) for one in values], np.int64)
    width = -(-int(lengths.max(initial=0)) // multiple) * multiple
    found = pool.array((len(values), width, *_inner(values)), _dtype(values, dtype))
    for row, one in zip(found, values):
        row[: len(one)], row[len(one) :] = one, value
    return {name: found, f"{name}_lengths": lengths}


def _joined(name: str, values: list[NDArray[Any]], dtype: Any, pool: Pool) -> dict[str, Any]:
    borders = np.zeros(len(values) + 1, np.int64)
    np.cumsum([len(one) for one in values], out=borders[1:])
    found = pool.array((int(borders[-1]), *_inner(values)), _dtype(values, dtype))
    return {
        name: np.concatenate(values, out=found, casting="same_kind") if values else found,
        f"{name}_borders": borders,
    }


def _inner(values: list[NDArray[Any]]) -> tuple[int, ...]:
    return values[0].shape[1:] if values else ()


def _dtype(values: list[NDArray[Any]], named: Any) -> np.dtype[Any]:
    """Return the dtype that is named, else one that holds all of them."""
    found: np.dtype[Any] = np.dtype(float if named is None else named)
    return np.result_type(*{value.dtype for value in values}) if values and named is None else found


def _as_array(name: str, value: Any) -> NDArray[Any]:
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return np.frombuffer(value, np.uint8)
    found = np.asarray(value)
    if not found.ndim or found.dtype.hasobject:
        raise UsageError(f"The values of {name} have no lengths to make equal: one is a {type(value).__name__}.")
    return found
