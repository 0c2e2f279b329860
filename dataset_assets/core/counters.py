"""Sums by name that several threads add to, such as the seconds spent on something."""

import os
from contextlib import contextmanager
from threading import Lock
from time import perf_counter
from typing import Iterator

_LOCK = Lock()


class Counters:
    """Sums by name.

    >>> counters = Counters()
    >>> counters.add(files=1, bytes=10)
    >>> counters.add(files=1)
    >>> counters.sums()
    {'files': 2, 'bytes': 10}
    """

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}

    def add(self, **amounts: float) -> None:
        """Add an amount to each of these sums."""
        with _LOCK:
            for name, amount in amounts.items():
                self._sums[name] = self._sums.get(name, 0) + amount

    def sums(self) -> dict[str, float]:
        """Return the sums as they are now."""
        with _LOCK:
            return dict(self._sums)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the seconds that the block takes."""
        began = perf_counter()
        try:
            yield
        finally:
            self.add(**{name: perf_counter() - began})


FETCHED = Counters()
"""Of this process: how long files and ranges of remote storages took, and how often the cache had a file."""


def _renew() -> None:
    global _LOCK
    _LOCK = Lock()


# Another thread may hold it when a process is forked.
os.register_at_fork(after_in_child=_renew)
