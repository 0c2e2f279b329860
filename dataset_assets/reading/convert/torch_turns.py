"""Epochs in the worker processes of torch's DataLoader. It imports torch, so only datasets of torch import it."""

import os
from typing import Any, Callable

import torch
from torch.utils.data import get_worker_info

from dataset_assets.core.turns import Place, Turns
from dataset_assets.errors import UsageError

MOST_WORKERS = 1024


class Table:
    """Shared memory: what the parent process says comes next, and what each worker is reading."""

    def __init__(self) -> None:
        self.told = torch.zeros(3, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        """The serial number of the turns, and the epoch and the consumed samples of the next iteration."""
        self.begun = torch.full((MOST_WORKERS, 3), -1).share_memory_()  # type: ignore[no-untyped-call]
        """For each worker: the serial number with which it began, and where it is."""


class WorkerTurns:
    """The turns of a dataset, which the workers of a DataLoader follow.

    Workers that the DataLoader keeps (`persistent_workers=True`) go to the next epoch by themselves. Workers that it
    starts anew cannot know how many came before: the second time they are refused, unless the epoch was set meanwhile.
    """

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self._sent: Table | None = None
        self._make()

    def _make(self) -> None:
        self._process, self._table = os.getpid(), Table()
        self._in, self._serial, self._epoch = -1, -1, -1
        self._loaded: Place | None = None
        self.turns.listen(self)

    def tell(self, serial: int, place: Place) -> None:
        """Tell the workers what comes next."""
        if self._process == os.getpid():
            self._table.told[:] = torch.tensor((serial, *place))

    # In the process that has the DataLoader

    @property
    def ahead(self) -> bool:
        """Whether workers have begun the next iteration."""
        return bool((self._table.begun[:, 0] == self.turns.serial).any())

    @property
    def epoch(self) -> int:
        """The epoch of the next iteration."""
        return self._last() + 1 if self.ahead else self.turns.next[0]

    def learn(self) -> None:
        """Let the turns know which epoch workers have begun. Call it before any change of them."""
        if self._process != os.getpid():  # a process that was forked, such as a rank
            self._make()
        if self.ahead:
            self.turns.began(self._last())

    def _last(self) -> int:
        begun = self._table.begun
        return int(begun[begun[:, 0] == self.turns.serial, 1].max())

    def working(self) -> list[tuple[int, int, int]]:
        """Return the number, the epoch and the position of each worker that has begun."""
        return [(worker, *at[1:]) for worker, at in enumerate(self._table.begun.tolist()) if at[0] >= 0]

    # In a worker

    def take(self, same: Callable[[], bool]) -> Place:
        """Return where the iteration of a worker begins. Raises `UsageError` if it cannot know and epochs differ."""
        table, worker = self._of_parent(), _worker()
        if self._in != os.getpid():
            serial, place = self.turns.serial, self.turns.next
            if self._loaded is None and int(table.begun[worker, 0]) == serial and not same():
                raise UsageError(
                    "These worker processes were started anew and do not know which epoch comes next: it would be the "
                    "one before, again. Call set_epoch(epoch) on the dataset before each epoch, or give the DataLoader "
                    "persistent_workers=True."
                )
            self._in = os.getpid()
        else:
            serial, *told = table.told.tolist()
            place = (self._epoch + 1, 0) if serial == self._serial else (told[0], told[1])
        place, self._loaded = self._loaded or place, None
        self._serial, self._epoch = serial, place[0]
        self.at(place)
        return place

    def told(self) -> Place | None:
        """Return what the parent says, if it changed since the worker was started or asked last."""
        if self._process not in (os.getpid(), os.getppid()):
            return None
        serial, epoch, consumed = self._of_parent().told.tolist()
        known = self._serial if self._in == os.getpid() else self.turns.serial
        self._in, self._serial = os.getpid(), serial
        return None if serial == known else (epoch, consumed)

    def load(self, place: Place) -> None:
        """Let the next iteration of this worker begin at a place."""
        self._loaded = place

    def at(self, place: Place) -> None:
        """Say where this worker is."""
        self._of_parent().begun[_worker()] = torch.tensor((self._serial, *place))

    def _of_parent(self) -> Table:
        if self._process == os.getpid() and self._sent is not None:
            return self._sent
        if self._process not in (os.getpid(), os.getppid()):
            raise UsageError(
                "The dataset was made in another process than the DataLoader that starts these workers. Call "
                "set_epoch(epoch) on it before each epoch, or make it in the process that iterates."
            )
        return self._table

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # A worker shares the memory of the process that sent it; any other process has its own.
        loaded, self._sent = self._loaded, self._table
        self._make()
        self._loaded = loaded


def _worker() -> int:
    info = get_worker_info()
    return info.id % MOST_WORKERS if info is not None else 0
