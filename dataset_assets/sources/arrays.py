"""Infers streams from blocks of numpy arrays."""

from collections import Counter
from typing import Any, Iterable, Mapping

import numpy as np

from dataset_assets.errors import UsageError, nearest
from dataset_assets.formats import Array, Text
from dataset_assets.sources.columns import MOST_CLASSES, Found, stream_names


def streams_of_arrays(blocks: Iterable[Any], target: str | None) -> list[Found]:
    """Return a stream for each array: the first block has its dtype and shape. Raises `UsageError`."""
    first = next(iter(blocks), None)
    if first is None:
        return []
    if target is not None and target not in first:
        raise UsageError(f"There is no array {target!r}, which should be the target.{nearest(target, first)}")
    names = stream_names(first)
    return [_found(names[name], name, rows) for name, rows in first.items()]


def tally_of(blocks: Iterable[Any]) -> Mapping[Any, int] | None:
    """Return how many samples each whole number or boolean has; None if there are many, or other values."""
    tally: Counter[Any] = Counter()
    for rows in blocks:
        if isinstance(rows, list) or rows.dtype.kind not in "biu" or rows.ndim != 1 or len(tally) > MOST_CLASSES:
            return None
        values, counts = np.unique(rows, return_counts=True)
        tally.update(dict(zip(values[: MOST_CLASSES + 1].tolist(), counts.tolist())))
    return tally if len(tally) <= MOST_CLASSES else None


def _found(name: str, array: str, rows: Any) -> Found:
    if isinstance(rows, list):
        return Found(name, Text(), {"from": array, "as": "text"}, "text")
    if rows.dtype.kind not in "biufcM":
        raise UsageError(f"The array {array!r} holds {rows.dtype}. Give numbers, booleans or times.")
    form = Array(rows.dtype.newbyteorder("=").name, tuple(rows.shape[1:]))
    why = f"{rows.dtype} of shape {rows.shape[1:]}"
    return Found(name, form, {"from": array, "as": "numbers", "dtype": form.dtype}, why)
