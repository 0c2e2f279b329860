"""A folder to work in, on the storage's filesystem; what a killed process left there is swept away by the next one."""

import errno
import fcntl
import os
import re
import secrets
import shutil
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Iterator

from dataset_assets import files
from dataset_assets.owners import lives

DAY_SECONDS = 86_400.0
_OURS: set[str] = set()
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextmanager
def scratch_folder(root: Path) -> Iterator[Path]:
    """Make a folder of one's own under `root`, and remove it at the end, whatever happens inside.

    It is locked by the kernel as long as the process lives, and named by host and process, in case locks mean nothing
    on this filesystem.
    """
    files.make_folder(root)
    sweep(root)
    owner = os.getpid()
    with _locked(root / f"{_host()}-{owner}-{secrets.token_hex(6)}.lock") as lock:
        folder = lock.with_suffix("")
        _OURS.add(folder.name)
        try:
            files.make_folder(folder)
            yield folder
        finally:
            # A child that was forked inside the block, and leaves it by an error, must not take it from its parent.
            if os.getpid() == owner:
                shutil.rmtree(folder, ignore_errors=True)
                lock.unlink(missing_ok=True)
                _OURS.discard(folder.name)


def leftovers(root: Path) -> list[Path]:
    """Return the folders of processes that are gone, which `sweep` would remove."""
    try:
        return sorted(lock.with_suffix("") for lock in root.glob("*.lock") if _abandoned(lock))
    except OSError:
        return []


def sweep(root: Path) -> None:
    """Remove the folders of processes that are gone; what may not be removed stays."""
    with suppress(OSError):
        for entry in [*root.iterdir()]:
            if entry.suffix == ".lock":
                if _abandoned(entry):
                    shutil.rmtree(entry.with_suffix(""), ignore_errors=True)
                    entry.unlink(missing_ok=True)
            elif not entry.with_suffix(".lock").exists() and _age(entry) > DAY_SECONDS:
                shutil.rmtree(entry, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """Make a file and lock it."""
    with files.reported(path):
        lock = _made_and_locked(path)
    with lock:
        yield path


def _made_and_locked(path: Path, attempts: int = 10) -> BinaryIO:
    lock = path.open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Another process may have swept it in the moment before it was locked.
        lost = not path.exists() or not os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except FileNotFoundError:
        lost = True
    except OSError as error:
        lost = False
        if error.errno not in _NO_LOCKS:
            lock.close()
            raise
    if not lost or not attempts:
        return lock
    lock.close()
    return _made_and_locked(path, attempts - 1)


def _abandoned(lock: Path) -> bool:
    try:
        with open(lock, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    host, _, rest = lock.stem.partition("-")
    owner = rest.partition("-")[0]
    if host != _host() or not owner.isdecimal():
        return _age(lock) > DAY_SECONDS
    # A process of the same number as ours may have been killed before: in a container it is always the same.
    return lock.stem not in _OURS if int(owner) == os.getpid() else not lives(int(owner))


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", os.uname().nodename) or "host"


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
