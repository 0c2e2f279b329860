"""Progress: whoever works says how far it is, whoever waits may watch; nothing is passed through in between."""

import os
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Callable, Iterator, TextIO

from dataset_assets.core.escape import in_line

Progress = Callable[[str, int, "int | None"], None]
"""Told what is being worked on, how much is done and how much there is, if it is known: bytes of a file, by its
identifier, or samples of a split, by its `split_label`. What is done may fall, when a transfer begins anew."""

SHOWN_AFTER_SECONDS = 0.3
DRAWN_EVERY_SECONDS = 0.1
SILENT_SECONDS = 3

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
    """Draws reports on a terminal: a bar for each thing, with its rate and, if its total is known, the remaining time.

    What is done sooner than one could read it is not drawn. Finished bars stay, as lines; one of which nothing is heard
    says for how long.
    """

    def __init__(self, terminal: TextIO) -> None:
        self.terminal = terminal
        self.open: dict[str, _Bar] = {}
        self.mutex, self.closing = threading.Lock(), threading.Event()
        # Somebody has to draw while nobody reports.
        self.drawing = threading.Thread(target=self._draw, daemon=True)
        self.drawing.start()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Take one report."""
        bar = self.open.get(what)
        if bar is None:
            # Nobody says when a split is done, but something else is begun after it.
            self._end([other for other, bar in self.open.items() if bar.of_split])
            bar = self.open[what] = _Bar(what, self.terminal)
        bar.done, bar.total, bar.heard = done, total, time.monotonic()
        if done == total:
            self._end([what])

    def close(self) -> None:
        """End all bars; the terminal then stands at the beginning of a line."""
        self.closing.set()
        self.drawing.join()
        self._end([*self.open])

    def _end(self, names: list[str]) -> None:
        with self.mutex:
            for what in names:
                self.open.pop(what).close()

    def _draw(self) -> None:
        while not self.closing.wait(DRAWN_EVERY_SECONDS):
            with self.mutex:
                for bar in [*self.open.values()]:
                    bar.draw()


class _Bar:
    def __init__(self, what: str, terminal: TextIO) -> None:
        from tqdm import tqdm

        # Else it starts a thread of its own.
        tqdm.monitor_interval = 0
        self.of_split = " " in what
        self.done, self.heard = 0, time.monotonic()
        self.total: int | None = None
        unit = {"unit": " samples"} if self.of_split else {"unit": "B", "unit_scale": True}
        size = {"ncols": _columns(terminal), "nrows": 24}
        often = {"mininterval": 0, "miniters": 0, "delay": SHOWN_AFTER_SECONDS}
        self.bar: Any = tqdm(desc=in_line(what), file=terminal, **unit, **size, **often)

    def draw(self) -> None:
        silent = int(time.monotonic() - self.heard)
        self.bar.set_postfix_str(f"nothing for {silent} s" if silent >= SILENT_SECONDS else "", refresh=False)
        self.bar.total, self.bar.ncols = self.total, _columns(self.bar.fp)
        self.bar.update(self.done - self.bar.n)

    def close(self) -> None:
        self.draw()
        self.bar.close()


def _columns(terminal: Any) -> int:
    """Return how wide a bar may be, with room for a ^C that the terminal writes beside it."""
    try:
        columns = os.get_terminal_size(terminal.fileno()).columns
    except OSError:
        columns = 0
    # Those of containers may say that they have none.
    return (columns or 80) - 4
