"""Random kills of all verbs in one home, so that what they leave adds up; the six invariants are checked after each.

What readers may see after a kill is what they saw before, or what the verb makes of it.
"""

import os
import random
import signal
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Callable, NamedTuple

import tiny
from children import in_child
from verbs import PARTIAL, VERBS, Home, damage, require, unreleased

from dataset_assets import Dataset, load
from dataset_assets.core import files
from dataset_assets.errors import DatasetAssetsError, NotPrepared
from dataset_assets.moving.gc import collect
from dataset_assets.storage import LocalStorage
from dataset_assets.storage.pins import pins, unpin
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.testing.faults import installed

SETTLE = 25
"""After so many kills all is brought to its end, and compared with a home in which nothing was killed."""
ABSENT = "NotPrepared"


class Seen(NamedTuple):
    """What readers see of the two storages and of the bundle: "old", "new", or `ABSENT`."""

    first: str
    second: str
    tar: str


Act = Callable[[Home], object]
Makes = Callable[[Seen, bool], Seen]
"""What a finished verb makes of what was seen; and whether the old version is stored."""


def _spoilt(home: Home) -> None:
    home.prepare(home.new, home.second)
    damage(home)


ACTS: dict[str, tuple[Act, Makes]] = {
    "prepare": (VERBS["prepare"].act, lambda seen, old: seen._replace(first="new")),
    "prepare the old one": (lambda home: home.prepare(home.old), lambda seen, old: seen._replace(first="old")),
    "release": (VERBS["release"].act, lambda seen, old: seen._replace(first="new")),
    "copy": (VERBS["copy"].act, lambda seen, old: seen._replace(second=seen.first)),
    "bundle": (VERBS["bundle"].act, lambda seen, old: seen._replace(tar=seen.first)),
    "unbundle": (VERBS["unbundle"].act, lambda seen, old: seen._replace(second=seen.tar)),
    "verify --repair": (VERBS["verify --repair"].act, lambda seen, old: seen._replace(first="new")),
    "rm": (VERBS["rm"].act, lambda seen, old: seen._replace(first=ABSENT)),
    "rm of a version": (
        VERBS["rm of a version"].act,
        lambda seen, old: seen if seen.first != "new" else seen._replace(first="old" if old else ABSENT),
    ),
    **{verb: (VERBS[verb].act, lambda seen, old: seen) for verb in ("gc", "pin", "unpin", "load", "rm of a file")},
}
BEGINS: dict[str, Act] = {"release": unreleased, "verify --repair": _spoilt}
"""What is done first, without a kill, in a home that has both versions."""


class Kills:
    """A home whose verbs are killed."""

    def __init__(self, folder: Path, old: Dataset, new: Dataset, seed: int) -> None:
        self.random, self.tried = random.Random(seed), Counter[str]()
        self.samples, self.digests = dict[str, Any](), dict[str, str]()
        self.home = self._home(folder / "clean", old, new)
        for name in ("old", "new"):
            self.digests[name] = self.home.prepare(getattr(self.home, name))
            self.samples[name] = tiny.plain(load(tiny.NAME, storage=self.home.storage))
        self.calls = {verb: self._counted(verb) for verb in ACTS}
        self.keys = self._settled()
        self.home = self._home(folder / "killed", old, new)

    def _home(self, path: Path, old: Dataset, new: Dataset) -> Home:
        os.environ["DATASET_ASSETS_HOME"] = str(path)
        (path / "second").mkdir(parents=True)
        (path / "storage").mkdir()
        return Home(path, old, new)

    def _counted(self, verb: str) -> int:
        """Return how many calls to the disk a verb makes on a full home."""
        self._fill()
        BEGINS.get(verb, lambda home: None)(self.home)
        calls = Counter[str]()
        with installed(lambda operation, path, size: calls.update([operation])):
            ACTS[verb][0](self.home)
        return calls.total()

    def _fill(self) -> None:
        """Store both versions, and remember the newer one, which `release` and `rm` are about."""
        self.home.prepare(self.home.old)
        (self.home.path / "version").write_text(self.home.prepare(self.home.new))
        for verb in ("bundle", "copy"):
            VERBS[verb].act(self.home)

    def run(self, kills: int) -> None:
        """Kill verbs at random until so many were killed. Raises `Violation`."""
        (self.home.path / "version").write_text(self.digests["new"])
        while self.tried.total() < kills:
            verb = self.random.choice([*ACTS])
            if self._strike(verb, self.random.randint(1, self.calls[verb])):
                self.tried[verb] += 1
                if self.tried.total() % SETTLE == 0:
                    require("I2", self._settled() == self.keys, f"settled, it holds {self.home.keys()}")
                    require("I6", self.home.left() == [], f"it leaves {self.home.left()}")

    def _strike(self, verb: str, n: int) -> bool:
        """Kill a verb at its n-th call, and see what it left; return whether it was killed."""
        if verb == "unbundle" and not self.home.tar.exists():
            return False
        if verb in BEGINS:
            self._fill()
            BEGINS[verb](self.home)
        act, makes = ACTS[verb]
        broken, before = self.home.misnamed(), self._seen()
        after = makes(before, self.digests["old"] in self.home.stored.versions())
        code = in_child(partial(_until, partial(act, self.home), n))
        require("I6", code != -signal.SIGALRM, f"{verb} did not end")
        if code == NotPrepared.exit_code and self._lacks(verb, before):
            after = before
        else:
            require("I4", code in (0, -signal.SIGKILL), f"{verb} ended with {code}, of {before}")
        self._look(verb, before, after, broken, finished=code != -signal.SIGKILL)
        if broken:
            act(self.home)
        elif code == -signal.SIGKILL and self.random.random() < 0.5 and not self._lacks(verb, before):
            act(self.home)
            require("I2", self._seen() == after, f"{verb}, run again after {before}, makes {self._seen()}")
        return code == -signal.SIGKILL

    def _lacks(self, verb: str, seen: Seen) -> bool:
        """Say whether a verb finds nothing to work on."""
        return seen.first == ABSENT and verb in ("copy", "bundle", "pin", "unpin", "load")

    def _look(self, verb: str, before: Seen, after: Seen, broken: set[str], finished: bool) -> None:
        wrong = self.home.misnamed() - broken
        require("I1", not wrong, f"{wrong} are partial, or left behind by {verb}")
        for now, was, may in zip(self._seen(), before, after):
            # What was damaged may be repaired in part.
            seen = was if broken and {was, now} <= {*PARTIAL} else now
            require("I1", seen not in PARTIAL or seen == was, f"after {verb} readers see a part: {now}")
            require("I3", seen in (was, may), f"after {verb} of {was} readers see neither it nor {may}, but {now}")
            require("I5", not finished or seen == may, f"{verb} said that it is done, and readers see {now}")
        if not broken:
            self._look_at_versions(verb)

    def _look_at_versions(self, verb: str) -> None:
        names = {digest: name for name, digest in self.digests.items()}
        for storage in self.home.storages:
            stored = StoredDataset(storage, tiny.NAME)
            # What is current was read just now.
            for digest in stored.versions() - {str(stored.pointer().version)}:
                require("I2", digest in names, f"{verb} made version {digest}, which no clean run makes")
                found = self._of(storage, f"{tiny.NAME}@{digest}")
                require("I1", found == names[digest], f"after {verb} version {names[digest]} is listed, and is {found}")

    def _seen(self) -> Seen:
        return Seen(self._of(self.home.storage), self._of(self.home.second), self._in_bundle())

    def _of(self, storage: LocalStorage, name: str = tiny.NAME) -> str:
        try:
            found = tiny.plain(load(name, storage=storage, verify="all"))
        except DatasetAssetsError as error:
            return type(error).__name__
        return next((name for name, samples in self.samples.items() if samples == found), "a mixture")

    def _in_bundle(self) -> str:
        """Return which version is in the bundle, whose bytes are the same each time."""
        if not self.home.tar.exists():
            return ABSENT
        data = self.home.tar.read_bytes()
        named = [name for name, digest in self.digests.items() if f"versions/{digest}.json".encode() in data]
        return named[0] if len(named) == 1 else "a mixture"

    def _settled(self) -> list[list[str]]:
        """Run all that writes to its end; return the keys that are left."""
        self._fill()
        VERBS["unbundle"].act(self.home)
        for storage in self.home.storages:
            for digest in pins(StoredDataset(storage, tiny.NAME)):
                unpin(f"{tiny.NAME}@{digest}", storage)
            collect(storage, keep_versions=1, grace_seconds=0)
        return self.home.keys()


def _until(act: Callable[[], object], n: int) -> None:
    """Act, and be killed at the n-th call to the disk."""
    calls = iter(range(1, n + 1))

    def kill(operation: str, path: Path, size: int) -> None:
        if next(calls, None) == n:
            os.kill(os.getpid(), signal.SIGKILL)

    # Another process knows no folder.
    files._synced.clear()
    with installed(kill):
        act()
