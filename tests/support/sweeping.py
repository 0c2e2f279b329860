"""The sweep: each call of a verb to the disk fails once in every way, and the six invariants are checked after it.

A row of `VERBS` says what lies in the home before a verb, and what the verb does. What readers see before and after it
is found out by a run without a fault.
"""

import errno
import os
import re
import shutil
import signal
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, Literal, get_args

import tiny
from children import in_child
from power import Journal
from verbs import PARTIAL, VERBS, Home, Verb, Violation, require

from dataset_assets.core import files
from dataset_assets.errors import DatasetAssetsError, NoSpace, StorageError
from dataset_assets.testing import FaultyServer, failing
from dataset_assets.testing.faults import installed

Fault = Literal["EIO", "short", "ENOSPC", "EDQUOT", "short-ENOSPC", "kill", "loss", "torn", "kill and loss"]
"""System errors; short reads and writes; SIGKILL; a power failure that undoes what was not synced, or only the bytes of
files; and a power failure after the verb was run again by another process."""

FAULTS: tuple[Fault, ...] = get_args(Fault)
OF_READS = ("EIO", "short")


class Sweep:
    """A verb, a home to begin from, and what a run without a fault makes of it."""

    def __init__(self, verb: Verb, folder: Path, server: FaultyServer) -> None:
        self.verb, self.folder, self.tried = verb, folder, 0
        self.old, self.new = tiny.small(server.url + "/old/numbers.csv"), tiny.small(server.url + "/new/numbers.csv")
        with self._at("begin") as home:
            verb.begin(home)
            home.second.root.mkdir(exist_ok=True)
        with self.fresh() as home:
            self.before, self.damaged = home.seen(), home.misnamed()
            self.calls: list[tuple[str, str]] = []
            with installed(lambda operation, path, size: self.calls.append((operation, str(path)))):
                verb.act(home)
            self.changes = [call for call in self.calls if call[0] not in files.READS]
            self.after, self.keys = home.seen(), home.keys()

    @contextmanager
    def fresh(self) -> Iterator[Home]:
        """Give a home as the verb finds it. Its files are links: none of them is ever written to."""
        shutil.copytree(self.folder / "begin", self.folder / "home", copy_function=os.link)
        try:
            with self._at("home") as home:
                yield home
        finally:
            shutil.rmtree(self.folder / "home")
            shutil.rmtree(self.folder / "kept", ignore_errors=True)

    @contextmanager
    def _at(self, name: str) -> Iterator[Home]:
        os.environ["DATASET_ASSETS_HOME"] = str(self.folder / name)
        (self.folder / name).mkdir(exist_ok=True)
        yield Home(self.folder / name, self.old, self.new)

    def run(self, fault: Fault, numbers: Iterator[int]) -> int:
        """Let each of these calls fail, until there is none; return the number of the last one. Raises `Violation`."""
        last = 0
        for n in numbers:
            try:
                with self.fresh() as home:
                    if not self._strike(home, fault, n):
                        break
            except Violation as violation:
                raise Violation(f"{violation} ({fault}, call {n})") from violation
            last, self.tried = n, self.tried + 1
        return last

    def _strike(self, home: Home, fault: Fault, n: int) -> bool:
        finished = _in_process(self, home, fault, n) if fault in ERRORS else _in_child(self, home, fault, n)
        if finished is None:
            return False
        if finished == "unharmed":
            return True
        self._look(home, finished)
        if fault == "kill and loss":
            act = partial(_until, self, home, 1 << 30, lambda journal: None, resume=True, lose=True)
            self._ended(in_child(act), (0,))
            self._look(home, False)
        self._rerun(home)
        return True

    def _look(self, home: Home, finished: "bool | str") -> None:
        """See that readers find what was there, or what was made."""
        self._look_at_names(home)
        for seen, before, after in zip(home.seen(), self.before, self.after):
            require("I5", not finished or seen == after, f"it said that it is done, and readers see {seen}")
            require("I1", seen in (before, after) or seen not in PARTIAL, f"readers see a part: {seen}")
            require("I3", seen in (before, after), f"readers see neither the old nor the new version, but {seen}")

    def _look_at_names(self, home: Home) -> None:
        wrong = home.misnamed() - self.damaged
        require("I1", not wrong, f"{wrong} are partial, or left behind")

    def _rerun(self, home: Home) -> None:
        """See that the same verb gives what a run without a fault gives, and leaves nothing."""
        try:
            self.verb.act(home)
        except (DatasetAssetsError, OSError) as error:
            raise Violation(f"I2: run again, it raises {error!r}") from error
        require("I2", home.seen() == self.after, f"run again, it makes {home.seen()}")
        require("I2", home.keys() == self.keys, f"run again, it leaves {home.keys()}, not {self.keys}")
        require("I6", home.left() == [], f"it leaves {home.left()}")
        self._look_at_names(home)

    def _ended(self, code: int, right: tuple[int, ...]) -> int:
        require("I6", code != -signal.SIGALRM, "it did not end")
        require("I2", code in right, f"the process ended with {code}")
        return code


ERRORS = ("EIO", "short", "ENOSPC", "EDQUOT", "short-ENOSPC")


def _in_process(sweep: Sweep, home: Home, fault: Any, n: int) -> "bool | str | None":
    """Let the n-th call fail; return whether the verb did its work all the same, and None if there was no such call."""
    error: BaseException | None = None
    with failing(n, fault, reads=fault in OF_READS) as calls:
        try:
            sweep.verb.act(home)
        except BaseException as caught:
            error = caught
    if not calls.tripped:
        if error is not None:
            raise error
        return None
    if error is not None:
        check_error(error, calls.struck)
        # A lock that could not be opened may be held by another process: the next one removes it.
        require("I6", home.left(locks=False) == [], f"it leaves {home.left()}")
    return error is None if calls.struck else "unharmed"


def check_error(error: BaseException, struck: str | None) -> None:
    """See that a failure is one typed error with a place, its errno, a remedy and an exit code."""
    require("I4", isinstance(error, StorageError), f"{struck} became {error!r}")
    assert isinstance(error, StorageError) and struck
    require("I4", error.errno == getattr(errno, struck), f"{struck} became {error!r}")
    require("I4", isinstance(error, NoSpace) == (struck != "EIO"), f"{struck} became {error!r}")
    require("I4", error.exit_code == 6 and bool(re.search(r"/\S+.*\bagain\b", str(error))), f"{error} does not help")


def _in_child(sweep: Sweep, home: Home, fault: Fault, n: int) -> bool | None:
    act = partial(_until, sweep, home, n, ENDS[fault])
    return None if sweep._ended(in_child(act), (0, -signal.SIGKILL)) == 0 else False


def _until(
    sweep: Sweep, home: Home, n: int, then: Callable[[Journal], None], resume: bool = False, lose: bool = False
) -> None:
    """Act until the n-th change; then end as the fault says, and with `lose` by a power failure when all is done."""
    journal = Journal(home.path, home.path.with_name("kept"))
    if resume:
        journal.saved()
        # Another process knows no folder.
        files._synced.clear()
    with installed(journal.watching(n, then)):
        sweep.verb.act(home)
    if lose:
        journal.lose(names=True)


def _die(journal: Journal) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_saving(journal: Journal) -> None:
    journal.save()
    _die(journal)


def _die_losing(names: bool, journal: Journal) -> None:
    journal.lose(names)
    _die(journal)


ENDS: dict[Fault, Callable[[Journal], None]] = {
    "kill": _die,
    "loss": partial(_die_losing, True),
    "torn": partial(_die_losing, False),
    "kill and loss": _die_saving,
}


@contextmanager
def sweep_of(verb: str, folder: Path) -> Iterator[Sweep]:
    """Give the sweep of a verb. The settings must be those of the test."""
    with FaultyServer({"/old/numbers.csv": tiny.NUMBERS, "/new/numbers.csv": tiny.CHANGED}) as server:
        yield Sweep(VERBS[verb], folder, server)


__all__ = ["FAULTS", "VERBS", "Fault", "Sweep", "Violation", "sweep_of"]
