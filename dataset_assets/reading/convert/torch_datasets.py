"""Torch datasets over views. Only `to_torch` imports this file, because it imports torch.

The classes are at the top level, because a DataLoader pickles them by name to send them to workers.
"""

from typing import Any, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from dataset_assets.formats.columns import values_of
from dataset_assets.reading.views.blocks import owned
from dataset_assets.reading.views.rows import Where, checked
from dataset_assets.reading.views.view import View

ROWS = 1024
BYTES = 4 << 20


class Samples(Dataset[Any]):
    """A view as a map-style dataset: single samples, and many at once for a DataLoader's batch."""

    def __init__(self, view: View) -> None:
        self.view = view

    def __len__(self) -> int:
        return len(self.view)

    def __getitem__(self, i: int) -> Any:
        return _tensors(self.view[i])

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        return read(self.view, checked(indices, len(self.view)))


class IterableSamples(IterableDataset[Any]):
    """A view as an iterable dataset: the workers of a DataLoader each read a different part of it.

    To train with several processes, pass a different shard of the view in each.
    """

    def __init__(self, view: View) -> None:
        self.view = view

    def __len__(self) -> int:
        return len(self.view)

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        lo, hi = (len(self.view) * k // workers for k in (worker, worker + 1))
        step = min(max(int(BYTES / self.view.row_bytes()), 1), ROWS) if hi > lo else 1
        for at in range(lo, hi, step):
            yield from read(self.view, slice(at, min(at + step, hi)))


def read(view: View, where: Where) -> list[Any]:
    """Return the samples at some rows, with tensors for arrays. They share no memory with the storage."""
    if view.computed or not view.streams:
        return [_tensors(sample) for sample in view.each(where)]
    names, columns = [], []
    for name, block in view.rows(where).items():
        mine = owned(block)
        many = isinstance(mine, np.ndarray) and mine.ndim > 1
        names.append(name)
        columns.append(list(_tensors(mine)) if many else [_tensors(value) for value in values_of(mine)])
    return [dict(zip(names, row)) for row in zip(*columns)]


def _tensors(value: Any) -> Any:
    """Return a value with tensors for its arrays of numbers, in their own memory."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        # torch supports only this machine's byte order, and would write to a read-only array.
        return torch.from_numpy(owned(value.astype(value.dtype.newbyteorder("="), copy=False)))
    if isinstance(value, Mapping):
        return {key: _tensors(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_tensors, value))
    return value
