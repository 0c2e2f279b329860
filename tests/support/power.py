"""A power failure: what was written and not synced is lost.

A `Journal` watches the fail points. It knows which names (of files and folders) were made, replaced or removed since
their folder was synced, and which files were written since they were synced. `lose` undoes all of that, as a disk may.
"""

import os
import pickle
import shutil
import threading
from pathlib import Path
from typing import Callable

from dataset_assets.core.files import READS

Change = tuple[Path, Path | None]


class Journal:
    """What a power failure would undo below a folder; the files that it may bring back are kept in another folder."""

    def __init__(self, root: Path, keep: Path) -> None:
        self.root, self.keep = root, keep
        self.changes: list[Change] = []
        self.unsynced: set[tuple[int, int]] = set()
        keep.mkdir(exist_ok=True)

    def watching(self, n: int, then: Callable[["Journal"], None]) -> Callable[[str, Path, int], None]:
        """Return a hook that notes all changes, and calls a function at the n-th of them, while other threads wait."""
        calls, one_at_a_time = iter(range(1, n + 1)), threading.RLock()

        def hook(operation: str, path: Path, size: int) -> None:
            if operation in READS:
                return
            with one_at_a_time:
                if next(calls, None) == n:
                    then(self)
                self.note(operation, path)

        return hook

    def note(self, operation: str, path: Path) -> None:
        """Note a change that is about to be made."""
        if not path.is_relative_to(self.root):
            return
        if operation == "fsync":
            self._synced(path)
        elif operation in ("write", "truncate"):
            self.unsynced.add(_identity(path))
        elif operation in ("create", "link", "mkdir", "replace", "unlink"):
            there = os.path.lexists(path)
            if not there or operation in ("replace", "unlink"):
                self.changes.append((path, self._kept(path) if there else None))

    def lose(self, names: bool) -> None:
        """Undo all that is not synced; without `names`, only what was written into files."""
        for path, kept in reversed(self.changes) if names else ():
            _remove(path)
            if kept and path.parent.is_dir():
                os.link(kept, path)
        for path in self.root.rglob("*"):
            if path.is_file() and not path.is_symlink() and _identity(path) in self.unsynced:
                os.truncate(path, 0 if names else path.stat().st_size // 2)

    def save(self) -> None:
        """Save the journal for the process that goes on."""
        (self.keep / "journal").write_bytes(pickle.dumps((self.changes, self.unsynced)))

    def saved(self) -> "Journal":
        """Return this journal with what another process saved."""
        self.changes, self.unsynced = pickle.loads((self.keep / "journal").read_bytes())
        return self

    def _synced(self, path: Path) -> None:
        if path.is_dir():
            self.changes = [change for change in self.changes if change[0].parent != path]
        elif path.exists():
            self.unsynced.discard(_identity(path))

    def _kept(self, path: Path) -> Path:
        kept = self.keep / os.urandom(8).hex()
        os.link(path, kept, follow_symlinks=False)
        return kept


def _identity(path: Path) -> tuple[int, int]:
    info = path.lstat()
    return info.st_dev, info.st_ino


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
