"""Torch datasets over views. Only `to_torch` imports this file, because it imports torch.

The classes are at the top level, because a DataLoader pickles them by name to send them to workers.
"""

import sys
from typing import Any, Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from dataset_assets.core.turns import Turns
from dataset_assets.formats.columns import values_of
from dataset_assets.reading.convert.tensors import tensor_of, tensors_in
from dataset_assets.reading.convert.torch_turns import WorkerTurns
from dataset_assets.reading.views.blocks import numbers_in, owned
from dataset_assets.reading.views.epochs import epoch_of
from dataset_assets.reading.views.forms import Forms
from dataset_assets.reading.views.rows import Where, checked
from dataset_assets.reading.views.view import View

ROWS = 1024
BYTES = 4 << 20


class Samples(Dataset[Any]):
    """A view as a map-style dataset: single samples, and many at once for a DataLoader's batch.

    Call `set_epoch` before each epoch, if the view has a shuffle, a mixture or random numbers.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self._turns = Turns()
        self._workers, self._forms = WorkerTurns(self._turns), Forms(view, self._turns.noted)

    def set_epoch(self, epoch: int) -> None:
        """Read the view of this epoch from now on, in the workers of a DataLoader too."""
        self.view = self.view.at_epoch(epoch)
        self._turns.load((epoch, 0))

    def __len__(self) -> int:
        return len(self.view)

    def __getitem__(self, i: int) -> Any:
        return self.__getitems__([range(len(self.view))[i]])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        if get_worker_info() is not None and (place := self._workers.told()) is not None:
            self.view = self.view.at_epoch(place[0])
        return read(self.view, checked(indices, len(self.view)), self._forms)


class IterableSamples(IterableDataset[Any]):
    """A view as an iterable dataset. Each iteration is an epoch: that of the view, then the next, or `set_epoch`'s.

    The workers of a DataLoader make its batches in turn, so these are the same with any number of workers. Several
    DataLoaders over it share its epochs. To train with several processes, pass a different shard of the view in each.
    """

    def __init__(self, view: View) -> None:
        self.view, self._first = view, epoch_of(view)
        self._turns = Turns(self._first)
        self._workers, self._forms = WorkerTurns(self._turns), Forms(view, self._turns.noted)

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration begin this epoch."""
        self.view.at_epoch(epoch)  # which refuses what is no epoch
        self._turns.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._at(self._turns.epoch))

    def _at(self, epoch: int) -> View:
        return self.view if epoch == self._first else self.view.at_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        if info is None:
            return self._here()
        epoch, _ = self._workers.take()
        return self._dealt(self._at(epoch), info.id, info.num_workers)

    def _here(self) -> Iterator[Any]:
        epoch, _ = self._turns.begin()
        try:
            yield from self._dealt(self._at(epoch), 0, 1)
        finally:
            self._turns.end(epoch)

    def _dealt(self, view: View, worker: int, workers: int) -> Iterator[Any]:
        for where in _dealt(view, _batch_size() if workers > 1 else 1, worker, workers):
            yield from read(view, where, self._forms)


def _dealt(view: View, batch: int, worker: int, workers: int) -> Iterator[Where]:
    """Yield the rows of every n-th batch, many at a time."""
    size = len(view)
    step = min(max(int(BYTES / view.row_bytes()), 1), ROWS) if size else 1
    if workers == 1:
        yield from (slice(lo, min(lo + step, size)) for lo in range(0, size, step))
        return
    starts = np.arange(worker * batch, size, workers * batch)
    each = max(1, step // batch)
    for k in range(0, len(starts), each):
        rows = (starts[k : k + each, None] + np.arange(batch)).reshape(-1)
        yield rows[rows < size]


def _batch_size() -> int:
    """Return how many samples the DataLoader takes at a time. Only the call that asks for them says it."""
    frame = sys._getframe(1)
    while frame is not None:
        asked = frame.f_locals.get("possibly_batched_index") if frame.f_code.co_name == "fetch" else None
        if isinstance(asked, list) and asked:
            return len(asked)
        frame = frame.f_back  # type: ignore[assignment]
    return 1


def read(view: View, where: Where, forms: Forms) -> list[Any]:
    """Return the samples at some rows, with tensors for arrays and numbers. They share no memory with the storage."""
    if view.computed or not view.streams:
        return [tensors_in(forms.sample(sample, row)) for row, sample in zip(numbers_in(where), view.each(where))]
    columns = []
    for block in view.rows(where).values():
        mine = owned(block)
        tensor = tensor_of(mine) if isinstance(mine, np.ndarray) else mine
        columns.append(list(tensor) if torch.is_tensor(tensor) else [tensors_in(value) for value in values_of(mine)])
    return [dict(zip(view.streams, row)) for row in zip(*columns)]
