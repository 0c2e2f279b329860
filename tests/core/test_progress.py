"""Progress: reports reach who watches, and are drawn as bars."""

import doctest
import io
import logging
import os
import pty
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import tiny

import dataset_assets.core.progress as module
from dataset_assets import Dataset, prepare
from dataset_assets.cli.common import BarSafeHandler
from dataset_assets.core.progress import Bars, report, split_label, watched_by
from dataset_assets.testing.storage import at_once


def told_by(act) -> list[tuple[str, int, int | None]]:
    told: list[tuple[str, int, int | None]] = []
    with watched_by(lambda *of: told.append(of)):
        act()
    return told


def test_the_examples_run():
    assert doctest.testmod(module).attempted >= 2
    assert not doctest.testmod(module).failed


def test_a_report_reaches_the_innermost_watcher_and_nobody_afterwards():
    inner: list[str] = []

    def work() -> None:
        report("a", 1)
        with watched_by(lambda what, done, total: inner.append(what)):
            report("b", 1)
        with watched_by(None):
            report("c", 1)
        report("d", 2, 4)

    assert told_by(work) == [("a", 1, None), ("d", 2, 4)]
    assert inner == ["b"]
    report("e", 1)


def test_what_a_watcher_raises_ends_the_watching_too():
    with pytest.raises(KeyError), watched_by(lambda *of: {}["missing"]):
        report("a", 1)
    report("a", 1)


def test_threads_are_watched_by_whom_they_choose():
    told: list[str] = []

    def work(name: str) -> None:
        with watched_by(lambda what, done, total: told.append(f"{name} {what}")):
            report("x", 1)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
        thread.join()
    assert told == ["a x", "b x"]


def test_preparing_tells_of_files_in_bytes_and_of_splits_in_samples(home: Path, dataset: Dataset):
    told = told_by(lambda: prepare(dataset))
    assert ("numbers_csv", len(tiny.NUMBERS), len(tiny.NUMBERS)) in told
    assert (split_label(tiny.NAME, "train"), 6, None) in told
    assert (split_label(tiny.NAME, "test"), 4, None) in told
    assert told_by(lambda: prepare(dataset)) == []


def test_a_watcher_given_by_hand_is_told_instead(home: Path, dataset: Dataset):
    mine: list[str] = []
    assert told_by(lambda: prepare(dataset, progress=lambda what, done, total: mine.append(what))) == []
    assert {"numbers_csv", split_label(tiny.NAME, "test")} <= {*mine}


# Bars.


class Screen:
    """A terminal whose screen can be looked at."""

    def __init__(self) -> None:
        self.side, other = pty.openpty()
        self.terminal = os.fdopen(other, "w")
        self.text = ""
        self.reading = threading.Thread(target=self._read, daemon=True)
        self.reading.start()

    def _read(self) -> None:
        try:
            while piece := os.read(self.side, 4096):
                self.text += piece.decode()
        except OSError:
            pass

    def lines(self) -> list[str]:
        """Return what stands on the screen at last."""
        self.terminal.close()
        self.reading.join(60)
        os.close(self.side)
        rows = self.text.replace("\r\n", "\n").split("\n")
        return [row.rstrip("\r").rpartition("\r")[2].rstrip() for row in rows]


@pytest.fixture
def screen() -> Screen:
    return Screen()


def test_a_bar_is_drawn_on_a_terminal_that_says_it_has_no_columns(screen: Screen):
    bars = Bars(screen.terminal)
    for done in range(0, 1001, 10):
        bars("a_file", done * 1000, 1_000_000)
        time.sleep(0.006)
    bars.close()
    first, last = screen.lines()
    assert first.startswith("a_file: 100%|") and re.search(r"1\.00M/1\.00M \[00:\d\d<00:00, .*[kM]B/s\]$", first)
    assert len(first) <= 80 and last == ""


def test_what_is_quick_is_not_drawn(screen: Screen, monkeypatch: pytest.MonkeyPatch):
    # However long this thread has to wait for its turn, it is quick.
    monkeypatch.setattr(module, "SHOWN_AFTER_SECONDS", 1000.0)
    bars = Bars(screen.terminal)
    for what in ("a_file", "another"):
        bars(what, 0, 10)
        bars(what, 10, 10)
    bars("com.example.x train", 5, None)
    bars.close()
    assert screen.lines() == [""]


def test_a_split_is_counted_in_samples_to_the_last_and_ends_when_the_next_thing_begins(screen: Screen):
    bars = Bars(screen.terminal)
    for done in range(1, 51):
        bars("com.example.x train", done, None)
        time.sleep(0.01)
    bars("a_file", 1, 10)
    assert list(bars.open) == ["a_file"]
    bars.close()
    assert re.match(r"com\.example\.x train: 50 samples \[00:\d\d, ", screen.lines()[0])


def test_a_transfer_that_begins_anew_goes_back(screen: Screen):
    bars = Bars(screen.terminal)
    for done in (*range(0, 60), *range(0, 30)):
        bars("a_file", done, 100)
        time.sleep(0.008)
    bars.close()
    assert screen.lines()[0].startswith("a_file:  29%|")


def test_files_that_come_at_once_have_a_bar_each(screen: Screen):
    bars = Bars(screen.terminal)
    for done in range(0, 51):
        bars("one", done, 50)
        bars("other", done, 100)
        time.sleep(0.01)
    assert list(bars.open) == ["other"]
    bars.close()
    screen.lines()
    assert "one: 100%|" in screen.text and "other:  50%|" in screen.text


class Met(dict[str, Any]):
    """Bars at which two threads look at the same time."""

    both = threading.Barrier(2)

    def items(self) -> Any:
        found = [*super().items()]
        self.both.wait(60)
        return found


def test_threads_that_begin_at_once_end_the_bar_of_a_split_once(screen: Screen):
    bars = Bars(screen.terminal)
    bars("com.example.x train", 1, None)
    bars.open = Met(bars.open)
    at_once(2, lambda number: bars(f"file_{number}", 0, 10))
    assert sorted(bars.open) == ["file_0", "file_1"]
    bars.close()
    screen.lines()


def test_reports_are_cheap(screen: Screen):
    bars = Bars(screen.terminal)
    began = time.process_time()
    for done in range(100_000):
        bars("com.example.x train", done, None)
    assert time.process_time() - began < 2
    bars.close()
    screen.lines()


def test_what_is_logged_stands_on_a_line_of_its_own(screen: Screen):
    bars, handler = Bars(screen.terminal), BarSafeHandler(screen.terminal)
    for done in range(60):
        bars("a_file", done, 100)
        if done == 50:
            handler.emit(logging.LogRecord("x", logging.WARNING, "", 0, "a mirror failed", (), None))
        time.sleep(0.01)
    bars.close()
    assert "a mirror failed" in screen.lines()


def test_where_there_is_no_terminal_a_bar_is_80_wide():
    assert module._columns(io.StringIO()) == 76


def test_prepare_shows_its_progress_on_a_terminal_by_itself_and_nowhere_else(
    home: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
):
    def seen() -> list[object]:
        found: list[object] = []
        with module.shown(None) as told:
            found.append(told)
        return found

    assert seen() == [None]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(seen()[0], Bars)
    with watched_by(module.silent):
        assert seen() == [None], "somebody watches already"
    with module.shown(module.silent) as told:
        assert told is module.silent
