"""Which epoch an iteration reads: the one after the last that began, unless one was set or a state was loaded."""

import os
import sys
from contextlib import contextmanager
from threading import Lock
from typing import Any, Iterator
from weakref import WeakSet

from dataset_assets.core.shared_record import SharedRecord

Place = tuple[int, int]
"""An epoch, and how many samples of its order come before."""

GROUPS, KEPT = 64, 4
"""How many groups of workers are remembered, and how many of the last iterations of each."""
_LOCK = Lock()
_SHARED: "WeakSet[Turns]" = WeakSet()


class Turns:
    """The epochs of one object that is iterated over, by this process and by the workers of torch's DataLoader.

    >>> turns = Turns()
    >>> turns.begin(), turns.begin(), turns.begin((7, 0)), turns.begin()
    ((0, 0), (1, 0), (7, 0), (8, 0))
    >>> turns.load((3, 20))
    >>> turns.set_epoch(3)
    >>> turns.begin(), turns.begin()
    ((3, 20), (4, 0))
    """

    def __init__(self, first: int = 0) -> None:
        self.position: Place = (first, 0)
        """Where the iterator that was used last stands; or where the next one begins, if that was set or loaded."""
        self.running: int | None = None
        """The epoch of the iterator of this process that began last, until it ends."""
        self._record: dict[str, Any] = {"begun": first - 1, "waiting": None, "serial": 0, "ahead": False, "decided": {}}
        self._shared: SharedRecord | None = None
        self._process = os.getpid()

    @property
    def next(self) -> Place:
        """Where the next iteration begins."""
        with self._changing() as record:
            return _next(record)

    @property
    def epoch(self) -> int:
        """The epoch that this process is reading, else the next one."""
        running = self.running
        return self.next[0] if running is None else running

    @property
    def ahead(self) -> bool:
        """Whether a worker began the last iteration."""
        with self._changing() as record:
            return bool(record["ahead"])

    @property
    def set_last(self) -> tuple[int, Place]:
        """How often the next iteration was set, and where it begins."""
        with self._changing() as record:
            return record["serial"], _next(record)

    def begin(self, place: Place | None = None) -> Place:
        """Return where an iteration that now asks for its first batch begins: at `place`, if it is given."""
        with self._changing() as record:
            begun = _begin(record, place)
            record["ahead"] = False
            self.position, self.running = begun, begun[0]
        return begun

    def begin_in(self, group: str, worker: int, iteration: int, place: Place | None = None) -> Place:
        """Return where an iteration of a group of workers begins. The first worker that asks decides for all."""
        with self._changing() as record:
            known = _group(record, group, worker)
            if (found := _made(known, iteration)) is None:
                found = _begin(record, place)
                record["ahead"], known["made"] = True, [*known["made"][1 - KEPT :], [iteration, *found]]
            known["workers"][str(worker)] = os.getpid()
            others = [(name, other) for name, other in record["decided"].items() if name != group]
            record["decided"] = {**dict(others[1 - GROUPS :]), group: known}
        return place or found

    def before(self, group: str, worker: int, iteration: int) -> Place:
        """Return what `begin_in` would, without beginning it."""
        with self._changing() as record:
            return _made(_group(record, group, worker), iteration) or _next(record)

    def end(self, epoch: int) -> None:
        """An iteration of this epoch has ended, or is left."""
        if self.running == epoch:
            self.running = None

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration begin this epoch; a state of it that was just loaded is continued."""
        with self._changing() as record:
            if record["waiting"] is None or record["waiting"][0] != epoch:
                self._load(record, (epoch, 0))

    def load(self, place: Place) -> None:
        """Let the next iteration begin at a place."""
        with self._changing() as record:
            self._load(record, place)

    def _load(self, record: dict[str, Any], place: Place) -> None:
        record["waiting"], record["ahead"] = list(place), False
        record["serial"] += 1
        self.position = place

    def noted(self, name: str, value: Any) -> Any:
        """Return what was noted under a name, as JSON; a value that is not None is noted if nothing was."""
        with self._changing() as record:
            notes: dict[str, Any] = record.setdefault("notes", {})
            return notes.get(name) if value is None else notes.setdefault(name, value)

    # Sharing with workers

    def share(self) -> None:
        """Share what comes next with the workers of DataLoaders that this process starts from now on."""
        with _LOCK:
            _SHARED.add(self)

    def at(self, worker: int, place: Place) -> None:
        """Say where a worker is."""
        if in_worker() and self._shared is not None:
            self._shared.set_row(worker, place)

    def working(self) -> list[tuple[int, int, int]]:
        """Return the number, the epoch and the position of each worker that has begun."""
        shared = self._ours
        return [] if shared is None else shared.rows()

    @property
    def _ours(self) -> SharedRecord | None:
        """The record of the process that iterates: of this one, or of that which started this worker."""
        return self._shared if in_worker() or self._process == os.getpid() else None

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        with _LOCK:
            shared = self._ours
            if shared is None:
                yield self._record
            else:
                with shared.changing() as record:
                    yield record
                self._record = record

    def _share_now(self) -> None:
        if in_worker():
            return
        if self._ours is None:  # also in a process that was forked, such as a rank: its workers follow it
            self._shared, self._process = SharedRecord(self._record), os.getpid()
        else:
            self._record = self._ours.read()

    def __getstate__(self) -> dict[str, Any]:
        with _LOCK:
            if self in _SHARED:
                self._share_now()
            return {**self.__dict__, "running": None, "shares": self in _SHARED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A worker follows the process that sent it; any other process goes on by itself.
        shares = state.pop("shares")
        self.__dict__.update(state, _process=-1)
        if shares:
            self.share()


def _next(record: dict[str, Any]) -> Place:
    epoch, consumed = record["waiting"] or (record["begun"] + 1, 0)
    return epoch, consumed


def _begin(record: dict[str, Any], place: Place | None) -> Place:
    begun = place or _next(record)
    record["begun"], record["waiting"] = begun[0], None
    return begun


def _group(record: dict[str, Any], name: str, worker: int) -> dict[str, Any]:
    """Return what a group of workers began, and its processes; a worker of another process is of a new group."""
    known: dict[str, Any] = record["decided"].get(name, {"made": [], "workers": {}})
    return known if known["workers"].get(str(worker), os.getpid()) == os.getpid() else {"made": [], "workers": {}}


def _made(group: dict[str, Any], iteration: int) -> Place | None:
    return next(((epoch, consumed) for number, epoch, consumed in group["made"] if number == iteration), None)


def in_worker() -> bool:
    """Return whether this is a worker process of torch's DataLoader."""
    data = sys.modules.get("torch.utils.data")
    return data is not None and data.get_worker_info() is not None


def _before_fork() -> None:
    _LOCK.acquire()
    for turns in list(_SHARED):
        turns._share_now()


def _after_fork() -> None:
    _LOCK.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
