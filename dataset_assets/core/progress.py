"""Progress: work reports it with `report`, a caller watches it with `watched_by`. No code between passes it on."""

import os
import sys
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Callable, Iterator, TextIO

from dataset_assets.core.escape import in_line

Progress = Callable[[str, int, "int | None"], None]
"""Called with (what, done, total): bytes of a file, named by its identifier, or samples of a split, named by its
`split_label`. The total is None if unknown. `done` may fall when a transfer restarts."""

SHOWN_AFTER_SECONDS = 0.3
DRAWN_EVERY_SECONDS = 0.1
SILENT_SECONDS = 3

_watcher: ContextVar[Progress | None] = ContextVar("watcher", default=None)


@contextmanager
def watched_by(progress: Progress | None) -> Iterator[None]:
    """Report the progress of the block to a function.

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
    """Report progress to the function that watches, if any."""
    watcher = _watcher.get()
    if watcher is not None:
        watcher(what, done, total)


@contextmanager
def shown(progress: Progress | None) -> Iterator[Progress | None]:
    """Give the function that was asked for; if none was, bars on a terminal or in a notebook, unless somebody watches.

    >>> with shown(print) as progress:
    ...     progress is print
    True
    """
    notebook = "ipykernel" in sys.modules
    if progress is not None or _watcher.get() is not None or not (notebook or _is_terminal(sys.stderr)):
        yield progress
        return
    bars = Bars(sys.stderr)
    try:
        yield bars
    finally:
        bars.close()


def silent(what: str, done: int, total: int | None) -> None:
    """Show nothing."""


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def split_label(dataset: str, split: str) -> str:
    """Return the name of a split in progress reports.

    >>> split_label("com.lecun.mnist", "train")
    'com.lecun.mnist train'
    """
    return f"{dataset} {split}"


class Bars:
    """Draws a progress bar for each file and split, with its rate and, if the total is known, the remaining time.

    Work that finishes at once gets no bar. Finished bars stay on the terminal. A bar without recent reports shows how
    long it has been silent.
    """

    def __init__(self, terminal: TextIO) -> None:
        self.terminal = terminal
        self.open: dict[str, _Bar] = {}
        self.mutex, self.closing = threading.Lock(), threading.Event()
        # A thread of its own, so that bars are also drawn between reports.
        self.drawing = threading.Thread(target=self._draw, daemon=True)
        self.drawing.start()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Receive one report."""
        bar = self.open.get(what)
        if bar is None:
            # No report says that a split is done; it is when another file or split begins.
            self._end([other for other, bar in [*self.open.items()] if bar.of_split])
            with self.mutex:
                bar = self.open[what] = _Bar(what, self.terminal)
        bar.done, bar.total, bar.heard = done, total, time.monotonic()
        if done == total:
            self._end([what])

    def close(self) -> None:
        """Close all bars and leave the cursor at the start of a line."""
        self.closing.set()
        self.drawing.join()
        self._end([*self.open])

    def _end(self, names: list[str]) -> None:
        with self.mutex:
            for what in names:
                # Another thread may have ended it meanwhile.
                if bar := self.open.pop(what, None):
                    bar.close()

    def _draw(self) -> None:
        while not self.closing.wait(DRAWN_EVERY_SECONDS):
            with self.mutex:
                for bar in [*self.open.values()]:
                    bar.draw()


class _Bar:
    def __init__(self, what: str, terminal: TextIO) -> None:
        from tqdm import tqdm

        # Otherwise tqdm starts a monitor thread.
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
    """Return the width of a bar, with room for the ^C that a terminal may echo after it."""
    try:
        columns = os.get_terminal_size(terminal.fileno()).columns
    except OSError:
        columns = 0
    # Terminals of containers may report 0 columns.
    return (columns or 80) - 4
