"""Epochs in the worker processes of torch's DataLoader. It imports torch, so only datasets of torch import it."""

import os
import sys

from torch.utils.data import get_worker_info

from dataset_assets.core.turns import Place, Turns


class WorkerTurns:
    """The turns of a dataset in a worker: all workers of a DataLoader read the same epoch in each iteration.

    The first worker that begins an iteration takes the next epoch, for all of them. Iterations of the main process and
    of several DataLoaders over the dataset take their epochs from the same turns, so none is read twice.
    """

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        turns.share()
        self._in = -1
        self._iteration = 0
        self._serial = turns.set_last[0]
        self._loaded: Place | None = None

    def take(self) -> Place:
        """Return where the iteration of this worker begins."""
        self._enter()
        place = self.turns.begin_in(_group(), _worker(), self._iteration, self._loaded)
        self._iteration, self._loaded = self._iteration + 1, None
        self.at(place)
        return place

    def before(self) -> Place:
        """Return where the next iteration of this worker begins."""
        self._enter()
        return self._loaded or self.turns.before(_group(), _worker(), self._iteration)

    def told(self) -> Place | None:
        """Return the place that was set, if it was since the worker was started or asked last."""
        serial, place = self.turns.set_last
        known, self._serial = self._serial, serial
        return None if serial == known else place

    def load(self, place: Place) -> None:
        """Let the next iteration of this worker begin at a place."""
        self._loaded = place

    def at(self, place: Place) -> None:
        """Say where this worker is."""
        self.turns.at(_worker(), place)

    def _enter(self) -> None:
        if self._in != os.getpid():
            self._in, self._iteration = os.getpid(), 0


def _group() -> str:
    """Return what the workers of one DataLoader have in common: the event that ends them, and their seed."""
    info, frame = get_worker_info(), sys._getframe(1)
    seed = 0 if info is None else info.seed - info.id
    while frame is not None:
        if frame.f_code.co_name == "_worker_loop" and (event := frame.f_locals.get("done_event")) is not None:
            # Two DataLoaders may have the same seed. The semaphore of forked workers has no name.
            lock = event._flag._semlock
            return f"{seed} {lock.name or lock.handle}"
        frame = frame.f_back  # type: ignore[assignment]
    return str(seed)


def _worker() -> int:
    info = get_worker_info()
    return 0 if info is None else info.id
