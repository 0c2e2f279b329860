"""Views as torch's datasets. Only `to_torch` imports this file: torch is imported with it.

The classes are here, and not in a function, because what DataLoader sends to a worker has to be found by its name.
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
    """A view as a map-style dataset: samples by number, and many at once, as DataLoader asks for a batch."""

    def __init__(self, view: View) -> None:
        self.view = view

    def __len__(self) -> int:
        return len(self.view)

    def __getitem__(self, i: int) -> Any:
        return _tensors(self.view[i])

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        return read(self.view, checked(indices, len(self.view)))


class IterableSamples(IterableDataset[Any]):
    """A view as an iterable dataset: each worker of a DataLoader reads a part of its own, and no sample twice.

    Of several processes that train, each takes a view of its own first: a shard.
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
    """Return samples at some rows, with tensors for arrays; they share no memory with the store."""
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
    """Return a value with tensors for its arrays of numbers, in memory of their own."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        # Torch takes no other order of bytes than this machine's; a read-only array would be written through.
        return torch.from_numpy(owned(value.astype(value.dtype.newbyteorder("="), copy=False)))
    if isinstance(value, Mapping):
        return {key: _tensors(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_tensors, value))
    return value
