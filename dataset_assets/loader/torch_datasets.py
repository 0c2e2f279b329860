"""Runs a loader inside torch's DataLoader. This module imports torch."""

import multiprocessing
import multiprocessing.connection
import os
import sys
import threading
from functools import cache, partial
from typing import Any, Iterator, Mapping

import numpy.random  # noqa: F401  torch seeds it in each worker, which would import it after the fork
from torch.utils.data import IterableDataset, get_worker_info

from dataset_assets.core.turns import Place
from dataset_assets.errors import UsageError
from dataset_assets.loader.loader import AHEAD, Loader
from dataset_assets.loader.state import check_state
from dataset_assets.reading.convert.torch_turns import WorkerTurns
from dataset_assets.reading.views.document import fingerprint_by_name


class Batches(IterableDataset[Any]):
    """A loader's batches, for `DataLoader(Batches(loader), batch_size=None, num_workers=2)`.

    Each worker process makes every n-th batch, so the DataLoader yields the batches of the loader, in order, with any
    number of workers. Each iteration is the loader's next epoch, also if workers are started anew for each. Several
    DataLoaders over one loader share its epochs.

    Its state is the loader's. With worker processes, save the state of torchdata's `StatefulDataLoader`, or
    `loader.state_at(epoch, steps)`: workers are ahead of the batches that were used.
    """

    def __init__(self, loader: Loader) -> None:
        if not loader.copy:
            raise UsageError(
                "A DataLoader makes tensors of arrays, and to write into the read-only arrays of copy=False through a "
                "tensor ends the process. Leave out copy=False."
            )
        self.loader = loader
        self._turns = WorkerTurns(loader.turns)
        self._own: Place | None = None
        self._loaded = False

    @property
    def epoch(self) -> int:
        """The epoch of the next iteration."""
        return self.loader.turns.next[0]

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration. The epoch of a loaded state continues where the state was taken."""
        self.loader.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        if dealt_by_accelerate(self):
            raise UsageError(DEALT_TWICE)
        info = get_worker_info()
        if info is None:
            return iter(self.loader)
        epoch, consumed = self._turns.take()
        if not self._loaded:
            consumed = self.loader.after(epoch, consumed, info.id)
        self._own, self._loaded = (epoch, consumed), False
        return self._dealt(epoch, consumed, info.num_workers)

    def _dealt(self, epoch: int, consumed: int, workers: int) -> Iterator[Any]:
        """Yield this worker's batches; the first one is at this position."""
        if self.loader.ledger is not None:
            raise UsageError(
                "A ledger does not see the batches of worker processes. Use num_workers=0: the loader has threads of "
                "its own."
            )
        _end_with_parent()
        self._turns.at((epoch, consumed))
        for batch, after, _ in self.loader.batches(epoch, consumed, workers):
            self._own = (epoch, after)
            self._turns.at(self._own)
            yield batch

    def working(self) -> list[str]:
        """Return a line for each worker with the batch that it is making, or was making when it was killed."""
        return [f"worker {worker}: {self.loader.place(*at)}" for worker, *at in self.loader.turns.working()]

    def state_dict(self) -> dict[str, Any]:
        """Return the loader's state; in a worker, the state before the worker's own next batch.

        Raises `UsageError` where workers, or Accelerate, are ahead of the batches that were used.
        """
        info = get_worker_info()
        if info is not None:
            epoch, consumed = self._own or self._first(info.id)
            return self.loader.state_of(epoch, consumed) | {"worker": [info.id, info.num_workers]}
        if self.loader.turns.ahead or dealt_by_accelerate(self, 1):
            raise UsageError(AHEAD)
        return self.loader.state_of(*self._at())

    def _at(self) -> Place:
        """Return where the loader is; for StatefulDataLoader at the end of an epoch until its iterator ends."""
        epoch, consumed = self.loader.position
        if _asked_by_torchdata() and not consumed and self.loader.turns.running == epoch - 1:
            return epoch - 1, self.loader.after(epoch - 1, 0, sys.maxsize)
        return epoch, consumed

    def _first(self, worker: int) -> Place:
        """Return the position of a worker's first batch."""
        epoch, consumed = self._turns.before()
        return epoch, self.loader.after(epoch, consumed, worker)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where a state was taken. Raises `Conflict` as the loader does, and for another worker's state."""
        info = get_worker_info()
        if info is None:
            self.loader.load_state_dict(state)
        else:
            check_state(state, self.state_dict(), partial(fingerprint_by_name, self.loader.view))
            self._turns.load((state["epoch"], state["consumed"]))
            self._loaded = True

    def __getstate__(self) -> dict[str, Any]:
        if dealt_by_accelerate(self):
            raise UsageError(DEALT_TWICE)
        return self.__dict__


DEALT_TWICE = (
    "Accelerate deals the batches of this DataLoader(Batches(loader)) to its processes, and the loader deals its "
    "samples to them too, so samples would be lost. Iterate over the Loader itself: accelerator.prepare(loader) leaves "
    "it as it is, and it finds its rank by itself."
)


def dealt_by_accelerate(dataset: Any, alone: int = 2) -> bool:
    """Return whether a DataLoader that Accelerate prepared reads a dataset now, for at least `alone` processes."""
    state = sys.modules.get("accelerate.state")
    if state is None or not state.GradientState._shared_state or not state.PartialState._shared_state:
        return False
    data = state.GradientState().active_dataloader
    while data is not None and data is not dataset:
        data = getattr(data, "dataset", None)
    return data is not None and state.PartialState().num_processes >= alone


def _asked_by_torchdata() -> bool:
    frame: Any = sys._getframe(1) if "torchdata" in sys.modules else None
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith("torchdata."):
            return True
        frame = frame.f_back
    return False


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
