"""Which epoch an iteration reads: the one after the last that began, unless one was set or a state was loaded."""

from typing import Any, Protocol
from weakref import WeakSet

Place = tuple[int, int]
"""An epoch, and how many samples of its order come before."""


class Listener(Protocol):
    """What is told which iteration comes next."""

    def tell(self, serial: int, place: Place) -> None: ...


class Turns:
    """The epochs of one object that is iterated over.

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
        self.serial = 0
        """Counts the changes of what comes next."""
        self._begun = first - 1
        self._waiting: Place | None = None
        self.running: int | None = None
        """The epoch of the iterator that began last, until it ends."""
        self._listeners: WeakSet[Any] = WeakSet()

    @property
    def next(self) -> Place:
        """Where the next iteration begins."""
        return self._waiting or (self._begun + 1, 0)

    @property
    def epoch(self) -> int:
        """The epoch that is being read, else the next one."""
        return self.next[0] if self.running is None else self.running

    def begin(self, place: Place | None = None) -> Place:
        """Return where an iteration that now asks for its first batch begins: at `place`, if it is given."""
        self.position = self.next if place is None else place
        self.running = self.position[0]
        self.began(self.running)
        return self.position

    def began(self, epoch: int) -> None:
        """An iteration began this epoch, here or in another process."""
        self._begun, self._waiting = epoch, None
        self._changed()

    def end(self, epoch: int) -> None:
        """An iteration of this epoch has ended, or is left."""
        if self.running == epoch:
            self.running = None

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration begin this epoch; a state of it that was just loaded is continued."""
        if self._waiting is None or self._waiting[0] != epoch:
            self.load((epoch, 0))

    def load(self, place: Place) -> None:
        """Let the next iteration begin at a place."""
        self.position = self._waiting = place
        self._changed()

    def listen(self, listener: Listener) -> None:
        """Tell a listener what comes next, now and whenever it changes, as long as it exists."""
        self._listeners.add(listener)
        listener.tell(self.serial, self.next)

    def _changed(self) -> None:
        self.serial += 1
        for listener in list(self._listeners):
            listener.tell(self.serial, self.next)

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: value for name, value in self.__dict__.items() if name != "_listeners"}
        return {**kept, "running": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._listeners = WeakSet()
