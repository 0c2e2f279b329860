"""Progress: whoever works says how far it is, whoever waits may watch; nothing is passed through in between."""

import os
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Callable, Iterator, TextIO

Progress = Callable[[str, int, "int | None"], None]
"""Told what is being worked on, how much is done and how much there is, if it is known: bytes of a file, by its
identifier, or samples of a split, by its `split_label`. What is done may fall, when a transfer begins anew."""

SHOWN_AFTER_SECONDS = 0.3
DRAWN_EVERY_SECONDS = 0.05

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


def split_label(dataset: str, split: str) -> str:
    """Return what a split is called in reports.

    >>> split_label("com.lecun.mnist", "train")
    'com.lecun.mnist train'
    """
    return f"{dataset} {split}"


class Bars:
    """Draws reports on a terminal: a bar for each thing, with its rate and, if the total is known, the time that remains.

    What is done sooner than one could read it is not drawn. Finished bars stay, as lines.
    """

    def __init__(self, terminal: TextIO) -> None:
        self.terminal = terminal
        self.open: dict[str, _Bar] = {}

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Take one report."""
        if what not in self.open:
            # Nobody says when a split is done, but something else is begun after it.
            self._end([other for other, bar in self.open.items() if bar.of_split])
            self.open[what] = _Bar(what, self.terminal)
        self.open[what].take(done, total)
        if done == total:
            self._end([what])

    def close(self) -> None:
        """End all bars; the terminal then stands at the beginning of a line."""
        self._end([*self.open])

    def _end(self, names: list[str]) -> None:
        for what in names:
            self.open.pop(what).close()


class _Bar:
    def __init__(self, what: str, terminal: TextIO) -> None:
        from tqdm import tqdm

        # Else it starts a thread, to look after bars that are seldom drawn; ours are drawn by the clock.
        tqdm.monitor_interval = 0
        self.of_split = " " in what
        unit = {"unit": " samples"} if self.of_split else {"unit": "B", "unit_scale": True}
        self.done, self.drawn = 0, 0.0
        # Some terminals, of containers for instance, say that they have no columns; tqdm would draw nothing there.
        known = os.isatty(terminal.fileno()) and os.get_terminal_size(terminal.fileno()).columns > 0
        size = {"dynamic_ncols": True} if known else {"ncols": 80, "nrows": 24}
        often = {"mininterval": 0, "miniters": 0, "delay": SHOWN_AFTER_SECONDS}
        self.bar: Any = tqdm(desc=what, file=terminal, **unit, **size, **often)

    def take(self, done: int, total: int | None) -> None:
        self.done, self.bar.total = done, total
        # Reports come by the thousand in a second; asking for the time is cheap, drawing is not.
        if (now := time.monotonic()) - self.drawn >= DRAWN_EVERY_SECONDS:
            self.drawn = now
            self._draw()

    def close(self) -> None:
        self._draw()
        self.bar.close()

    def _draw(self) -> None:
        self.bar.update(self.done - self.bar.n)
