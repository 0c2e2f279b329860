"""All reads and writes of the local disk go through here, and each passes a fail point.

A test installs a `hook` (see `dataset_assets.testing.faults`). The hook sees every call and may raise, cut a read or a
write short or end the process, so a test can make each call fail in turn.
"""

import errno
import hashlib
import io
import os
import stat
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterable, Iterator

from dataset_assets.core.few_open import Shelf
from dataset_assets.errors import NoSpace, Refused, StorageError

CHUNK = 1 << 20
READS = ("open", "read", "map", "stat", "list")
"""The operations of fail points that change nothing."""

# The new files that have a descriptor: a split may have thousands of streams.
_WRITTEN = Shelf()

hook: Callable[[str, Path, int], int | None] | None = None
"""Called with (operation, path, bytes). It may raise OSError, or return a number of bytes to cut a read or write to."""

_synced: dict[Path, tuple[int, int]] = {}
"""The folders that this process saw and whose parents it synced, with device and inode."""


class Written:
    """A new file: `write` takes any buffer and writes all of it, `close` makes the file durable.

    With `keep`, an existing file is cut to its first `keep` bytes and continued. `mode` is that of a new file.
    """

    def __init__(self, path: Path, keep: int = 0, mode: int = 0o666) -> None:
        self.path = path
        self.bytes = keep
        passes("create", path)
        new = os.O_NOFOLLOW if keep else os.O_CREAT | os.O_EXCL
        self._lock, self.closed = threading.Lock(), False
        with reported(path):
            self._fd: int | None = os.open(path, os.O_WRONLY | os.O_CLOEXEC | new, mode)
        _WRITTEN.use(self)
        if keep:
            self._cut(keep)

    def write(self, data: Any) -> int:
        """Append the buffer. A short write is continued until the whole buffer is written."""
        view = memoryview(data)
        # memoryview cannot cast a buffer with a dimension of 0.
        view = view.cast("B") if view.nbytes else memoryview(b"")
        with self._lock, reported(self.path):
            self._write_all(view, None)
        self.bytes += len(view)
        return len(view)

    def write_at(self, offset: int, data: bytes) -> None:
        """Overwrite earlier bytes, such as a header with the count of what follows."""
        with self._lock, reported(self.path):
            self._write_all(memoryview(data), offset)

    def _write_all(self, view: memoryview, offset: int | None) -> None:
        while len(view):
            limit = passes("write", self.path, len(view))
            part = view if limit is None else view[:limit]
            if offset is None:
                count = os.write(self._opened(), part)
            else:
                count = os.pwrite(self._opened(), part, offset)
                offset += count
            view = view[count:]

    def restart(self) -> None:
        """Truncate the file, to write it again from the start."""
        self._cut(0)

    def _cut(self, size: int) -> None:
        with self._lock, reported(self.path):
            passes("truncate", self.path)
            os.ftruncate(self._opened(), size)
            os.lseek(self._opened(), size, os.SEEK_SET)
        self.bytes = size

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self.bytes

    def flush(self) -> None:
        """Do nothing: writes are not buffered."""

    def close(self) -> None:
        """Sync the file to disk and close it."""
        if self.closed:
            return
        with self._lock:
            try:
                with reported(self.path):
                    passes("fsync", self.path)
                    os.fsync(self._opened())
            finally:
                self._end()

    def discard(self) -> None:
        """Close the file without syncing it: it is not wanted, or what stores it syncs it."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        self.closed = True
        _WRITTEN.drop(self)
        self._release()

    def put_away(self) -> bool:
        """Close the descriptor until the next write, if nobody is writing; return whether it is closed."""
        if not self._lock.acquire(blocking=False):
            return False
        self._release()
        self._lock.release()
        return True

    def _release(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _opened(self) -> int:
        """Return the descriptor; the caller holds the lock."""
        if self._fd is None:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            os.lseek(self._fd, self.bytes, os.SEEK_SET)
        _WRITTEN.use(self)
        return self._fd

    def __enter__(self) -> "Written":
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        self.close() if kind is None else self.discard()


@contextmanager
def whole(path: Path) -> Iterator[Written]:
    """Give a file to write, which gets its name at the end of the block, and only if nothing failed."""
    part = path.with_name(f".{path.name}.{os.urandom(8).hex()}.part")
    try:
        with Written(part) as file:
            yield file
        replace(part, path)
    finally:
        part.unlink(missing_ok=True)


class reported:
    """Turn an OSError inside the block into a `StorageError` (`NoSpace` when the disk or a quota is full)."""

    remedy = "Nothing was published. Fix the cause, then run the same command again."

    def __init__(self, path: "Path | str") -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, OSError) or isinstance(error, (StorageError, Refused, FileNotFoundError)):
            return
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(
                error.errno,
                f"No space left for {self.path}{_free(self.path)}. Free some space, or set DATASET_ASSETS_HOME "
                "to a folder on a larger disk; then run the same command again.",
            ) from error
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise StorageError(
                error.errno,
                f"{self.path} cannot be opened: this process has reached its limit of open files. Raise the limit "
                "with: ulimit -n 65536; or prepare with a larger file_bytes.",
            ) from error
        raise StorageError(error.errno, f"{self.path}: {error.strerror or error}. {self.remedy}") from error


class reading(reported):
    """Turn an OSError of a read inside the block into a `StorageError` that names the file."""

    remedy = "The file cannot be read. Check the disk and the permissions, then run the same command again."


class _Readable(io.FileIO):
    """A file whose reads fail with a `StorageError`."""

    def readinto(self, buffer: Any) -> int | None:
        with reading(self.name):
            limit = passes("read", self.name, len(buffer))
            return super().readinto(buffer if limit is None else memoryview(buffer)[:limit])

    def readall(self) -> bytes:
        with reading(self.name):
            passes("read", self.name)
            return super().readall()


def opened(path: Path, opener: Callable[[str, int], int] | None = None) -> io.BufferedReader:
    """Open a file for reading. Raises `StorageError`, here and at each read, and `FileNotFoundError`."""
    with reading(path):
        passes("open", path)
        return io.BufferedReader(_Readable(path, opener=opener))


def make_folder(path: Path) -> None:
    """Make a folder and its parents, and sync them to disk."""
    make_folders([path])


def make_folders(paths: Iterable[Path]) -> None:
    """Make folders and their parents, and sync them to disk, each parent once.

    A folder that is there already may have been made by a process that was killed before it synced the parent. So it
    is synced too, once in a process.
    """
    new = [path for path in dict.fromkeys(path.absolute() for path in paths) if not _is_synced(path)]
    parents: dict[Path, bool] = {}
    for path in new:
        if was_there := path.is_dir():
            # As far up as this process could have made folders itself.
            if os.path.ismount(path) or not os.access(path.parent, os.W_OK | os.R_OK):
                continue
            with suppress(FileNotFoundError):
                make_folder(path.parent)
        else:
            make_folder(path.parent)
            passes("mkdir", path)
            with reported(path):
                path.mkdir(exist_ok=True)
        parents[path.parent] = was_there and parents.get(path.parent, True)
    for parent, was_there in parents.items():
        with suppress(*([FileNotFoundError] if was_there else [])):
            sync(parent)
    for path in new:
        # Somebody may remove it at any time.
        with suppress(FileNotFoundError):
            info = path.stat()
            _synced[path] = info.st_dev, info.st_ino


def make_scratch(path: Path) -> None:
    """Make a folder that need not outlive a power failure, and its parents."""
    passes("mkdir", path)
    with reported(path):
        path.mkdir(parents=True, exist_ok=True)


def _is_synced(path: Path) -> bool:
    try:
        info = os.stat(path)
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and _synced.get(path) == (info.st_dev, info.st_ino)


def link(source: Path, target: Path) -> None:
    """Hard-link a finished file; copy it if the filesystem has no hard links, or if it needs another group.

    A folder with the setgid bit gives its group to new files, so that its members can read them; not to links.
    """
    passes("link", target)
    try:
        # Linux would link a symbolic link itself, not the file that it points to.
        os.link(os.path.realpath(source) if os.path.islink(source) else source, target)
        if not _has_group(target, target.parent.stat()):
            remove(target)
            raise OSError(errno.EPERM, "it needs the group of its folder")
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
            with reported(target):
                raise
        copy(source, target)


def _has_group(linked: Path, folder: os.stat_result) -> bool:
    """Say whether a new link has the group that a new file would have, or was given it."""
    if not folder.st_mode & stat.S_ISGID:
        return True
    info = linked.lstat()
    if info.st_gid == folder.st_gid:
        return True
    if info.st_nlink == 2:
        # Only our own file has this second name, so nobody else sees the change.
        with suppress(OSError):
            os.chown(linked, -1, folder.st_gid)
            return True
    return False


def copy(source: Path, target: Path) -> None:
    """Copy a file and sync the copy to disk."""
    with opened(source) as read, Written(target) as write:
        while chunk := read.read(CHUNK):
            write.write(chunk)


def replace(source: Path, target: Path) -> None:
    """Atomically move a file over another, and sync the folder to disk."""
    move(source, target)
    sync(target.parent)


def move(source: Path, target: Path) -> None:
    """Atomically move a file over another, without a sync, for a file that need not outlive a power failure."""
    passes("replace", target)
    with reported(target):
        os.replace(source, target)


def sync(path: Path) -> None:
    """Sync a file, or the entries of a folder, to disk."""
    passes("fsync", path)
    with reported(path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as error:
            # Some network filesystems cannot fsync a folder.
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(fd)


def renew(path: Path) -> None:
    """Set a file's times to now, so that garbage collection keeps it."""
    passes("utime", path)
    with reported(path):
        os.utime(path)


def remove(path: Path) -> None:
    """Remove a file; do nothing if it does not exist."""
    passes("unlink", path)
    with reported(path):
        path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with opened(path) as file:
        return sha256_in(file)


def sha256_in(file: BinaryIO) -> str:
    """Return the sha256 of a whole open file, in hex."""
    file.seek(0)
    digest = hashlib.sha256()
    for chunk in chunks_of(file):
        digest.update(chunk)
    return digest.hexdigest()


def chunks_of(file: BinaryIO, size: int = CHUNK) -> Iterator[bytes]:
    """Yield the rest of an open file in chunks."""
    while chunk := file.read(size):
        yield chunk


def passes(operation: str, path: "Path | str", count: int = 0) -> int | None:
    """Pass the fail point of a call that is about to be made. Return how many bytes to cut it to, if a test says so."""
    if hook is None:
        return None
    with (reading if operation in READS else reported)(path):
        return hook(operation, Path(path), count)


def _free(path: "Path | str") -> str:
    path = Path(path)
    try:
        info = os.statvfs(path if path.is_dir() else path.parent)
    except OSError:
        return ""
    return f" ({info.f_bavail * info.f_frsize / 1e6:.0f} MB free)"
