"""The one place where bytes and names on a local disk change: every call passes a fail point.

A test installs a `hook` (see `dataset_assets.testing.faults`) that is told of every call and may raise, cut a write
short or end the process, so that "what if this very call fails" can be asked of each of them in turn.
"""

import errno
import hashlib
import os
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterator

from dataset_assets.errors import NoSpace, Refused, StorageError

CHUNK = 1 << 20

hook: Callable[[str, Path, int], int | None] | None = None
"""Called with (operation, path, bytes); may raise OSError; a number back cuts a write to so many bytes."""


class Written:
    """A file being written in full: `write` takes any buffer, `close` makes it durable."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        _pass("create", path)
        with reported(path):
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self.closed = False

    def write(self, data: Any) -> int:
        """Append the buffer; a short write is continued until all of it is in the file."""
        view = memoryview(data)
        # A buffer of several dimensions cannot be cast when one of them is 0.
        view = view.cast("B") if view.nbytes else memoryview(b"")
        with reported(self.path):
            self._write_all(view, None)
        self.bytes += len(view)
        return len(view)

    def write_at(self, offset: int, data: bytes) -> None:
        """Replace bytes already written, such as a header that counts what came after it."""
        with reported(self.path):
            self._write_all(memoryview(data), offset)

    def _write_all(self, view: memoryview, offset: int | None) -> None:
        while len(view):
            limit = _pass("write", self.path, len(view))
            part = view if limit is None else view[:limit]
            if offset is None:
                done = os.write(self._fd, part)
            else:
                done = os.pwrite(self._fd, part, offset)
                offset += done
            view = view[done:]

    def restart(self) -> None:
        """Empty the file, to write it anew from the beginning."""
        with reported(self.path):
            _pass("truncate", self.path)
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
        self.bytes = 0

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self.bytes

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def close(self) -> None:
        """Force the file to the disk and close it."""
        if self.closed:
            return
        self.closed = True
        try:
            with reported(self.path):
                _pass("fsync", self.path)
                os.fsync(self._fd)
        finally:
            os.close(self._fd)

    def discard(self) -> None:
        """Close the file without forcing it to the disk; for one that is given up."""
        if not self.closed:
            self.closed = True
            os.close(self._fd)

    def __enter__(self) -> "Written":
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        self.close() if kind is None else self.discard()


class reported:
    """Turn an OSError inside the block into a `StorageError` (`NoSpace` when the disk or a quota is full)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, OSError) or isinstance(error, (StorageError, Refused, FileNotFoundError)):
            return
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(
                error.errno,
                f"No space left for {self.path}{_free(self.path)}. Free some, or set DATASET_ASSETS_HOME "
                "to a larger disk; then run the same command again.",
            ) from error
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise StorageError(
                error.errno,
                f"{self.path} cannot be opened: this process has as many files open as it may. Allow more with: "
                "ulimit -n 65536; or prepare with a larger file_bytes.",
            ) from error
        raise StorageError(
            error.errno,
            f"{self.path}: {error.strerror or error}. Nothing was published; run the same command again "
            "when this is mended.",
        ) from error


def make_folder(path: Path) -> None:
    """Make a folder and those above it, and force them to the disk."""
    if path.is_dir():
        return
    make_folder(path.parent)
    _pass("mkdir", path)
    with reported(path):
        path.mkdir(exist_ok=True)
    sync(path.parent)


def link(source: Path, target: Path) -> None:
    """Give a finished file a second name, or copy it where the filesystem has no links."""
    _pass("link", target)
    try:
        # Linux would link a symbolic link itself, not the file that it names.
        os.link(os.path.realpath(source), target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
            with reported(target):
                raise
        copy(source, target)


def copy(source: Path, target: Path) -> None:
    """Copy a file and force the copy to the disk."""
    with reported(source), open(source, "rb") as read, Written(target) as write:
        while chunk := read.read(CHUNK):
            write.write(chunk)


def replace(source: Path, target: Path) -> None:
    """Move a file over another in one step, and force the folder's new state to the disk."""
    _pass("replace", target)
    with reported(target):
        os.replace(source, target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Force a file, or a folder's entries, to the disk."""
    _pass("fsync", path)
    with reported(path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as error:
            # Some network filesystems know no fsync of a folder.
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(fd)


def renew(path: Path) -> None:
    """Set a file's times to now, which keeps it from being collected."""
    _pass("utime", path)
    with reported(path):
        os.utime(path)


def remove(path: Path) -> None:
    """Remove a file; one that is not there is no error."""
    _pass("unlink", path)
    with reported(path):
        path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with open(path, "rb") as file:
        return sha256_in(file)


def sha256_in(file: BinaryIO) -> str:
    """Return the sha256 of an open file from its start, in hex."""
    file.seek(0)
    digest = hashlib.sha256()
    for chunk in chunks_of(file):
        digest.update(chunk)
    return digest.hexdigest()


def chunks_of(file: BinaryIO, size: int = CHUNK) -> Iterator[bytes]:
    """Read an open file to its end, a chunk at a time."""
    while chunk := file.read(size):
        yield chunk


def _pass(operation: str, path: Path, count: int = 0) -> int | None:
    if hook is None:
        return None
    with reported(path):
        return hook(operation, path, count)


def _free(path: Path) -> str:
    try:
        info = os.statvfs(path if path.is_dir() else path.parent)
    except OSError:
        return ""
    return f" ({info.f_bavail * info.f_frsize / 1e6:.0f} MB free)"


class Hashed:
    """Writes to a file, and hashes what it writes."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self._digest = file, hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was written until now."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Write all of the data."""
        self._digest.update(data)
        self.file.write(data)

    def flush(self) -> None:
        """Flush the file."""
        self.file.flush()
