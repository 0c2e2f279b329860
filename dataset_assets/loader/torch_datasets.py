"""Runs a loader inside torch's DataLoader. This module imports torch."""

import multiprocessing
import multiprocessing.connection
import os
import threading
from functools import cache, partial
from typing import Any, Iterator, Mapping

import torch
from torch.utils.data import IterableDataset, get_worker_info

from dataset_assets.errors import UsageError
from dataset_assets.loader.loader import Loader, recorded
from dataset_assets.loader.state import check_state
from dataset_assets.reading.views.document import fingerprint_by_name

MOST_WORKERS = 1024


class Batches(IterableDataset[Any]):
    """A loader's batches, for `DataLoader(Batches(loader), batch_size=None, num_workers=2)`.

    Each worker process makes every n-th batch, so the DataLoader yields the batches of the loader, in order, with any
    number of workers. Call `set_epoch` before each epoch, as with torch's own `DistributedSampler`.

    Its state is the loader's. With worker processes, save the state of torchdata's `StatefulDataLoader`, or
    `loader.state_at(epoch, steps)`: workers are ahead of the batches that were used.
    """

    def __init__(self, loader: Loader) -> None:
        self.loader = loader
        # In shared memory, so that persistent workers see it too.
        self._at = torch.tensor(loader.position).share_memory_()  # type: ignore[no-untyped-call]
        self._begun = torch.full((MOST_WORKERS, 2), -1).share_memory_()  # type: ignore[no-untyped-call]
        self._own: tuple[int, int] | None = None
        self._loaded = False

    @property
    def epoch(self) -> int:
        """The epoch of the next iteration."""
        return int(self._at[0])

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration. The epoch of a loaded state continues where the state was taken."""
        if epoch != self.epoch:
            self._at[:] = torch.tensor([epoch, 0])

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        if info is None:
            return self._here()
        if self._own is None or not self._loaded:
            self._own = self._first(info.id)
        self._loaded = False
        return self._dealt(*self._own, info.num_workers)

    def _here(self) -> Iterator[Any]:
        epoch, consumed = self._position()
        for batch, after, _ in recorded(self.loader, epoch, consumed):
            self._at[:] = torch.tensor((epoch, after))
            yield batch
        self._at[:] = torch.tensor((epoch + 1, 0))

    def _dealt(self, epoch: int, consumed: int, workers: int) -> Iterator[Any]:
        """Yield this worker's batches; the first one is at this position."""
        if self.loader.ledger is not None:
            raise UsageError(
                "A ledger does not see the batches of worker processes. Use num_workers=0: the loader has threads of "
                "its own."
            )
        _end_with_parent()
        begun = self._begun[_worker() % MOST_WORKERS]
        begun[:] = torch.tensor((epoch, consumed))
        for batch, after, _ in self.loader.batches(epoch, consumed, workers):
            self._own = (epoch, after)
            begun[:] = torch.tensor((epoch, after))
            yield batch

    def working(self) -> list[str]:
        """Return a line for each worker with the batch that it is making, or was making when it was killed."""
        places = [(worker, *at) for worker, at in enumerate(self._begun.tolist()) if at[0] >= 0]
        return [f"worker {worker}: {self.loader.place(epoch, consumed)}" for worker, epoch, consumed in places]

    def _first(self, worker: int) -> tuple[int, int]:
        """Return the position of a worker's first batch."""
        epoch, consumed = self._position()
        return epoch, self.loader.after(epoch, consumed, worker)

    def _position(self) -> tuple[int, int]:
        epoch, consumed = self._at.tolist()
        return epoch, consumed

    def state_dict(self) -> dict[str, Any]:
        """Return the loader's state; in a worker, the state before the worker's own next batch."""
        info = get_worker_info()
        if info is None:
            return self.loader.state_of(*self._position())
        own = self.loader.state_of(*(self._own or self._first(info.id)))
        return own | {"worker": [info.id, info.num_workers]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where a state was taken. Raises `Conflict` as the loader does, and for another worker's state."""
        check_state(state, self.state_dict(), partial(fingerprint_by_name, self.loader.view))
        position = (state["epoch"], state["consumed"])
        if get_worker_info() is None:
            self._at[:] = torch.tensor(position)
        else:
            self._own, self._loaded = position, True


@cache
def _end_with_parent() -> None:
    """End this worker as soon as its parent process is gone; torch checks that only every 5 seconds."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        watch = partial(_exit_after, parent.sentinel)
        threading.Thread(target=watch, name="dataset_assets-parent", daemon=True).start()


def _exit_after(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def _worker() -> int:
    info = get_worker_info()
    return info.id if info is not None else 0
