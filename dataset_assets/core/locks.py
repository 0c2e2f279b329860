"""File locks of the kernel (flock). The kernel releases a lock when its process ends; the lock file may stay.

In a folder that other users can write to, anything may lie at the lock's path. So links are never followed, and a file
is only overwritten if it holds the signature of an earlier holder. A lock file of another user works as well.
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
"""The error numbers of a filesystem without locks."""
_SIGNED = re.compile(rb"process \d+ on [ -~]*\n|\0*")
_MOST = 400


def opened(path: Path) -> BinaryIO:
    """Open a lock file; create it if it is missing. Raises `Refused` if the path is a link or not a regular file."""
    while True:
        with suppress(FileNotFoundError):
            return existing(path)
        with suppress(FileExistsError):
            _make(path)


def existing(path: Path) -> BinaryIO:
    """Open a lock file. Raises FileNotFoundError, or `Refused` if the path is a link or not a regular file."""
    files.passes("open", path)
    try:
        file = open(path, "rb+", buffering=0, opener=_open)  # noqa: SIM115 -- the caller closes it
    except PermissionError:
        # The file of another user can be locked, but not signed.
        file = open(path, "rb", buffering=0, opener=_open)  # noqa: SIM115 -- the caller closes it
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EMLINK, errno.EISDIR, errno.ENXIO):
            raise
        raise _refused(path) from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _refused(path)
    return file


def take(file: BinaryIO, shared: bool = False) -> None:
    """Wait for a lock and take it. Raises OSError with one of `NO_LOCKS` if the filesystem has no locks."""
    fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)


def take_now(file: BinaryIO) -> None:
    """Take a lock without waiting. Raises BlockingIOError if it is held, OSError if the filesystem has no locks."""
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def taken(file: BinaryIO) -> bool:
    """Take a lock if it is free; return False if it is held. Without locks on the filesystem, return True."""
    try:
        take_now(file)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return True


def release(file: BinaryIO) -> None:
    """Release a lock. Closing the file is not enough: a forked child has it open too and would keep the lock."""
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_UN)


def sign(file: BinaryIO) -> None:
    """Write our process into a held lock file, unless the file has content that is not such a signature."""
    with suppress(OSError):
        info = os.fstat(file.fileno())
        # A hard link may give an unrelated file this name.
        if info.st_nlink == 1 and info.st_size <= _MOST and _SIGNED.fullmatch(_text(file)):
            files.passes("truncate", file.name)
            os.ftruncate(file.fileno(), 0)
            files.passes("write", file.name)
            os.pwrite(file.fileno(), f"{this_process()}\n".encode(), 0)


def holder(file: BinaryIO) -> str:
    """Return the process that signed a lock file, in words."""
    signature = _text(file) if _SIGNED.fullmatch(_text(file)) else b""
    return signature.decode().strip("\n\0") or "another process"


def _text(file: BinaryIO) -> bytes:
    return os.pread(file.fileno(), _MOST, 0)


def _open(path: str, flags: int) -> int:
    # Without O_NONBLOCK, opening a named pipe waits for a writer.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _make(path: Path) -> None:
    try:
        # It creates a new file or fails, so it never follows a link.
        files.Written(path).discard()
    except StorageError as error:
        if error.errno != errno.EEXIST:
            raise


def _refused(path: Path) -> Refused:
    what = "a link" if path.is_symlink() else "not a plain file"
    return Refused(
        f"{path} is {what}; dataset_assets needs a lock file of that name. Nothing was written through it. Find out "
        f"who put it there, remove it, and run the same command again."
    )
