"""Temporary work folders. A process removes the folders that killed processes left behind.

A kept folder has a key instead: the next process of the same key finds it again within a day.

Only folders created here are removed: they have a name of our pattern and a marker file inside, and their lock is an
empty file. The root that holds them must belong to the user, must not be a link, and must hold nothing else when it is
first used. Removal never follows links: it works on descriptors of folders opened with O_NOFOLLOW.
"""

import hashlib
import logging
import os
import re
import secrets
import shutil
import stat
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Iterator

from dataset_assets.core import files, locks
from dataset_assets.core.processes import lives
from dataset_assets.core.redact import printable
from dataset_assets.errors import Refused

DAY_SECONDS = 86_400.0
MARKER = ".dataset_assets_scratch"
"""The name of the marker file in each work folder."""
NOTE = "note"
"""The name of the file that keeps its folder for the next process."""

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9_]+-[0-9]+-[0-9a-f]{12}")
# Entries that filesystems create themselves.
_SYSTEM = re.compile(r"lost\+found|\.nfs[0-9a-f]+")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OURS: set[str] = set()
_KEPT = "kept-0-"
# The folders that this process holds, each with the thread that holds it.
_HELD: dict[str, threading.Thread] = {}
_POLL_SECONDS = 0.05
_warned: set[Path] = set()


@contextmanager
def scratch_folder(root: Path) -> Iterator[Path]:
    """Create a private folder under `root`, and remove it at the end of the block in any case.

    The folder is locked while the process lives. Its name holds the host and the process number, for filesystems
    without locks. Raises `Refused` if `root` is a link, belongs to another user, or holds other files.
    """
    _claim(root)
    sweep(root)
    owner = os.getpid()
    with _locked(root / f"{_host()}-{owner}-{secrets.token_hex(6)}.lock") as lock:
        folder = lock.with_suffix("")
        _OURS.add(folder.name)
        try:
            files.make_scratch(folder)
            files.Written(folder / MARKER).discard()
            yield folder
        finally:
            # A child forked inside the block must not remove its parent's folder when it leaves the block.
            if os.getpid() == owner:
                _empty(folder)
                lock.unlink(missing_ok=True)
                _OURS.discard(folder.name)


@contextmanager
def kept_folder(root: Path, key: str, patience: float) -> Iterator[Path | None]:
    """Give the folder of a key under `root`. While it has a file `NOTE`, it stays for the next process, for a day.

    One thread at a time gets the folder; others wait. Gives None if its holder writes nothing for `patience` seconds,
    if this thread holds it already, or if locks do not work here. Raises `Refused` like `scratch_folder`.
    """
    _claim(root)
    name, owner = _KEPT + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:12], os.getpid()
    path = root / f"{name}.lock"
    with files.reported(path):
        barred = _HELD.get(name) is threading.current_thread() or (root / name).is_symlink()
        lock = None if barred else _turn(path, patience)
    if lock is None:
        yield None
        return
    with lock:
        _HELD[name] = threading.current_thread()
        try:
            yield _marked(root / name)
        finally:
            if os.getpid() == owner:
                del _HELD[name]
                _end_turn(root / name, lock)


def root_below(folder: Path) -> Path:
    """Return the scratch root inside a storage's folder; one per user if another user owns the usual one."""
    root = folder / ".scratch"
    theirs = root.is_dir() and not root.is_symlink() and _is_foreign(root)
    return folder / f".scratch-{os.geteuid()}" if theirs else root


def leftovers(root: Path) -> list[Path]:
    """Return the folders of ended processes, which `sweep` would remove."""
    try:
        if _problem(root):
            return []
        abandoned = [lock.with_suffix("") for lock in root.iterdir() if _is_lock(lock) and _abandoned(lock)]
        return sorted(folder for folder in abandoned if _is_ours(folder) or not os.path.lexists(folder))
    except OSError:
        return []


def problem(root: Path) -> str | None:
    """Return why `scratch_folder` would refuse a root, and what to do; None if it would not."""
    with suppress(OSError):
        if why := _problem(root):
            return printable(f"{why}. {_remedy(root)}")
    return None


def sweep(root: Path) -> None:
    """Remove the folders of ended processes. Files and folders of others stay."""
    with suppress(OSError):
        if why := _problem(root):
            _warn(root, f"{why}; nothing there was removed. {_remedy(root)}")
            return
        # One that is gone by now was a thread's, or another process's.
        if strange := [one for one in [*root.iterdir()] if not _sweep(one) and os.path.lexists(one)]:
            _warn(
                root, f"dataset_assets did not make {strange[0]}, so it was not removed ({len(strange)} such in all)."
            )


def _sweep(entry: Path) -> bool:
    """Remove an entry if it is ours and its process has ended; return True if it is ours."""
    if _is_lock(entry):
        # Locked until it is removed: the next process of a kept folder may come at any time.
        with suppress(OSError), locks.existing(entry) as lock:
            locks.take_now(lock)
            if _is_left(entry) and _removed(entry.with_suffix("")):
                entry.unlink(missing_ok=True)
        return True
    if not _NAME.fullmatch(entry.name):
        return bool(_SYSTEM.fullmatch(entry.name))
    alone = not os.path.lexists(entry.with_name(f"{entry.name}.lock"))
    if alone and _age(entry) > DAY_SECONDS:
        _removed(entry)
    # A young folder may belong to a process that has not marked it yet, or is just removing it.
    return _is_ours(entry) or _age(entry) < DAY_SECONDS


def _claim(root: Path) -> None:
    """Create the root of the work folders. Raises `Refused` if the root is not ours."""
    if not os.path.lexists(root):
        files.make_folder(root)
    with files.reported(root):
        if why := _problem(root):
            raise Refused(printable(f"{why}, so nothing is created or removed there. {_remedy(root)}"))
    _note(root)


def _problem(root: Path) -> str | None:
    """Return why nothing may be removed in a folder, or None. Raises FileNotFoundError if the folder is missing."""
    info = os.lstat(root)
    if stat.S_ISLNK(info.st_mode):
        return f"{root} is a link to {os.path.realpath(root)}"
    if not stat.S_ISDIR(info.st_mode):
        return f"{root} is not a folder"
    if _is_foreign(root):
        return f"{root} belongs to another user (id {info.st_uid})"
    if not _is_noted(root) and (strange := [path for path in root.iterdir() if not _may_be_ours(path)]):
        return f"{root} holds {strange[0].name}, which dataset_assets did not make"
    return None


def _remedy(root: Path) -> str:
    if root.name.startswith("."):
        return f"Find out who put it into {root.parent}, or set DATASET_ASSETS_STORAGE to a different storage."
    return "Set DATASET_ASSETS_HOME to a folder that nothing else uses."


def _is_foreign(root: Path) -> bool:
    """Return True if a folder belongs neither to us, nor to root, nor to the owner of its parent folder."""
    return root.lstat().st_uid not in (os.geteuid(), 0, root.parent.stat().st_uid)


def _may_be_ours(path: Path) -> bool:
    name = path.name.removesuffix(".lock")
    return bool(_NAME.fullmatch(name) or _SYSTEM.fullmatch(path.name)) and not path.is_symlink()


def _note(root: Path) -> None:
    """Record, in a file beside a folder, that the folder is ours, even if others put files into it later."""
    if not _is_noted(root):
        part = _note_of(root).with_suffix(f".{secrets.token_hex(6)}.part")
        with suppress(OSError):
            try:
                with files.Written(part) as file:
                    file.write(f"{root.lstat().st_ino}\n".encode())
                files.replace(part, _note_of(root))
            finally:
                part.unlink(missing_ok=True)


def _is_noted(root: Path) -> bool:
    with suppress(OSError, ValueError), locks.existing(_note_of(root)) as note:
        own = os.fstat(note.fileno()).st_uid in (os.geteuid(), 0, root.parent.stat().st_uid)
        return own and int(note.read(40)) == root.lstat().st_ino
    return False


def _note_of(root: Path) -> Path:
    return root.parent / f".dataset_assets_{root.name.replace('.', '_')}"


def _warn(path: Path, message: str) -> None:
    """Log a warning about a path, once in a process."""
    if path not in _warned:
        _warned.add(path)
        logger.warning("%s", printable(message))


def _is_lock(path: Path) -> bool:
    """Return True for a lock file of ours: its name has our pattern, and it is a regular file without content."""
    if path.suffix != ".lock" or not _NAME.fullmatch(path.stem):
        return False
    with suppress(FileNotFoundError):
        info = path.lstat()
        return stat.S_ISREG(info.st_mode) and not info.st_size
    return False


def _is_ours(folder: Path) -> bool:
    with suppress(OSError):
        fd = os.open(folder, _FOLDER)
        try:
            return _is_marked(fd)
        finally:
            os.close(fd)
    return False


def _is_marked(folder: int) -> bool:
    try:
        return stat.S_ISREG(os.lstat(MARKER, dir_fd=folder).st_mode)
    except FileNotFoundError:
        return False


def _removed(folder: Path) -> bool:
    """Remove a folder if it is ours or empty; return True if it no longer exists."""
    _empty(folder)
    # A process killed between creating the folder and its marker leaves an empty folder.
    with suppress(OSError):
        os.rmdir(folder)
    return not os.path.lexists(folder)


def _empty(folder: Path) -> None:
    """Remove a folder and its content if it has our marker; the marker is removed last."""
    with suppress(OSError):
        fd = os.open(folder, _FOLDER)
        try:
            if _is_marked(fd):
                for name in os.listdir(fd):
                    _remove_from(fd, name)
                if os.listdir(fd) == [MARKER]:
                    os.unlink(MARKER, dir_fd=fd)
        finally:
            os.close(fd)
        os.rmdir(folder)


def _remove_from(folder: int, name: str) -> None:
    with suppress(OSError):
        if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
            shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
        elif name != MARKER:
            os.unlink(name, dir_fd=folder)


@contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """Create a file and lock it."""
    with files.reported(path):
        lock = _made_and_locked(path)
    with lock:
        yield path


def _made_and_locked(path: Path, attempts: int = 10) -> BinaryIO:
    lock = locks.opened(path)
    try:
        locks.take(lock)
        # Another process may have removed it just before it was locked.
        lost = not _is_at(lock, path)
    except OSError as error:
        lost = False
        if error.errno not in locks.NO_LOCKS:
            lock.close()
            raise
    if not lost or not attempts:
        return lock
    lock.close()
    return _made_and_locked(path, attempts - 1)


def _turn(path: Path, patience: float) -> BinaryIO | None:
    """Wait for a lock and take it. Return None after `patience` seconds without progress, or if locks do not work."""
    since = time.time()
    while True:
        with ExitStack() as stack:
            lock = stack.enter_context(locks.opened(path))
            if locks.taken(lock):
                if _is_at(lock, path):
                    os.utime(lock.fileno())
                    if _excludes(path):
                        stack.pop_all()
                        return lock
                    path.unlink(missing_ok=True)
                    return None
            elif time.time() - max(since, _written(path)) > patience:
                return None
        time.sleep(_POLL_SECONDS)


def _excludes(path: Path) -> bool:
    """Return True if the lock that this process holds keeps others out, as on most filesystems."""
    # Where they do not, another process may just have removed the file.
    with suppress(FileNotFoundError), locks.existing(path) as second:
        return not locks.taken(second)
    return False


def _end_turn(folder: Path, lock: BinaryIO) -> None:
    with suppress(OSError):
        if not os.path.lexists(folder / NOTE) and _removed(folder):
            folder.with_suffix(".lock").unlink(missing_ok=True)
    locks.release(lock)


def _marked(folder: Path) -> Path:
    files.make_scratch(folder)
    if not os.path.lexists(folder / MARKER):
        files.Written(folder / MARKER).discard()
    return folder


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Return True if an open file is still the one at its path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False


def _written(lock: Path) -> float:
    """Return when the note in a kept folder was last written; when its lock was taken if there is none."""
    for path in (lock.with_suffix("") / NOTE, lock):
        with suppress(OSError):
            return path.lstat().st_mtime
    return 0.0


def _abandoned(lock: Path) -> bool:
    with suppress(OSError), locks.existing(lock) as file:
        locks.take_now(file)
        return _is_left(lock)
    return False


def _is_left(lock: Path) -> bool:
    """Return True if nobody needs the folder of a lock that was free."""
    if lock.name.startswith(_KEPT):
        kept = os.path.lexists(lock.with_suffix("") / NOTE)
        return not kept or time.time() - _written(lock) > DAY_SECONDS
    host, _, rest = lock.stem.partition("-")
    owner = rest.partition("-")[0]
    if host != _host() or not owner.isdecimal():
        return _age(lock) > DAY_SECONDS
    # An earlier process may have had our number: in a container the number is often the same every time.
    return lock.stem not in _OURS if int(owner) == os.getpid() else not lives(int(owner))


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", os.uname().nodename) or "host"


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0
