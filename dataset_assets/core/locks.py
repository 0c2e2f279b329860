"""Locks of the kernel on files beside what they guard: a lock dies with its holder, and its file may stay.

Where others can write, a lock's name may hold anything. So no link is followed, and nothing is emptied or overwritten
but what an earlier holder wrote there. A lock that another user made is as good as one of ours.
"""

import errno
import fcntl
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dataset_assets.core import files
from dataset_assets.core.processes import this_process
from dataset_assets.errors import Refused, StorageError

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""What a filesystem says that has no locks."""
_SIGNED = re.compile(rb"process \d+ on [ -~]*\n|\0*")
_MOST = 400


def opened(path: Path) -> BinaryIO:
    """Open the file of a lock, and make it if it is not there. Raises `Refused` for a link, or what is not a file."""
    while True:
        with suppress(FileNotFoundError):
            return existing(path)
        with suppress(FileExistsError):
            _make(path)


def existing(path: Path) -> BinaryIO:
    """Open the file of a lock. Raises FileNotFoundError, and `Refused` for a link, or what is not a file."""
    try:
        file = open(path, "rb+", buffering=0, opener=_open)  # noqa: SIM115 -- the caller's
    except PermissionError:
        # Another user's: it can be locked, but not signed.
        file = open(path, "rb", buffering=0, opener=_open)  # noqa: SIM115 -- the caller's
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EMLINK, errno.EISDIR, errno.ENXIO):
            raise
        raise _refused(path) from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _refused(path)
    return file


def take(file: BinaryIO) -> None:
    """Wait for a lock and hold it. Raises OSError with one of `NO_LOCKS` where there are none."""
    fcntl.flock(file, fcntl.LOCK_EX)


def take_now(file: BinaryIO) -> None:
    """Hold a lock. Raises BlockingIOError if another process does, and OSError where there are no locks."""
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def taken(file: BinaryIO) -> bool:
    """Take a lock if it is free, and say whether it was; where there are no locks it always is."""
    try:
        take_now(file)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return True


def release(file: BinaryIO) -> None:
    """Give a lock back. Closing is not enough: a child forked meanwhile has the file open too, and would keep it."""
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_UN)


def sign(file: BinaryIO) -> None:
    """Write into a lock that is held who holds it, unless the file holds anything but an earlier holder's name."""
    with suppress(OSError):
        info = os.fstat(file.fileno())
        # A second name of the file may be that of something else.
        if info.st_nlink == 1 and info.st_size <= _MOST and _SIGNED.fullmatch(_text(file)):
            os.ftruncate(file.fileno(), 0)
            os.pwrite(file.fileno(), f"{this_process()}\n".encode(), 0)


def holder(file: BinaryIO) -> str:
    """Return who signed a lock."""
    held = _text(file) if _SIGNED.fullmatch(_text(file)) else b""
    return held.decode().strip("\n\0") or "another process"


def _text(file: BinaryIO) -> bytes:
    return os.pread(file.fileno(), _MOST, 0)


def _open(path: str, flags: int) -> int:
    # A named pipe would wait for its other end.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _make(path: Path) -> None:
    try:
        # It follows no link, because it makes a new file or none.
        files.Written(path).discard()
    except StorageError as error:
        if error.errno != errno.EEXIST:
            raise


def _refused(path: Path) -> Refused:
    what = "a link" if path.is_symlink() else "not a plain file"
    return Refused(
        f"{path} is {what}, and dataset_assets makes a lock of that name. Nothing was written through it. Find out "
        f"who put it there, remove it, and run the same command again."
    )
