"""Progress: whoever works says how far it is, whoever waits may watch; nothing is passed through in between."""

from contextlib import contextmanager
from contextvars import ContextVar
from typing import Callable, Iterator

Progress = Callable[[str, int, "int | None"], None]
"""Told what is being worked on, how much is done and how much there is: bytes of a file, samples of a split."""

_watcher: ContextVar[Progress | None] = ContextVar("watcher", default=None)


@contextmanager
def watched_by(progress: Progress | None) -> Iterator[None]:
    """Have the work inside the block reported to a function.

    >>> with watched_by(lambda what, done, total: print(what, done, total)):
    ...     report("train.gz", 512, 1024)
    train.gz 512 1024
    """
    token = _watcher.set(progress)
    try:
        yield
    finally:
        _watcher.reset(token)


def report(what: str, done: int, total: int | None = None) -> None:
    """Say how far the work on something is."""
    watcher = _watcher.get()
    if watcher is not None:
        watcher(what, done, total)
