"""The cache: whole files of remote storages on the local disk, named by their digest, shared by all processes.

One process downloads an object while the others wait. The file is hashed as it arrives, and gets its name when it is
complete. Formats memory-map these local files, and forked workers can read them. Locks only save work: without them an
object may be downloaded twice, but is still complete. If the cache is full, the least recently opened files are removed
first; a process that has such a file open or mapped can still read it.
"""

import atexit
import errno
import hashlib
import os
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Callable, Iterator, TypeVar

from dataset_assets.core import files, locks
from dataset_assets.core.counters import FETCHED
from dataset_assets.core.settings import settings
from dataset_assets.errors import DigestMismatch, NoSpace, StorageError, StoreUnavailable
from dataset_assets.reading import cache_folder
from dataset_assets.storage import Storage
from dataset_assets.storage.object_file import Changed
from dataset_assets.storage.storage import open_object

T = TypeVar("T")

ATTEMPTS = 3
PATIENCE_SECONDS = 60.0
_ABANDONED_SECONDS = 600.0
_POLL_SECONDS = 0.02
_PAUSE_SECONDS = 0.1


def open_cached(storage: Storage, key: str, sha256: str, size: int, patient: bool = True) -> BinaryIO:
    """Open an object by its digest: through the cache if the storage is `cached`, else in the storage.

    If `patient`, requests to a storage that does not answer are retried for `stall_seconds` (a setting). Raises
    `StoreUnavailable` after that, `NoSpace` if the object is larger than `cache_bytes`, `DigestMismatch` if its bytes
    do not match the digest, and FileNotFoundError if there is no such object.
    """
    if not is_cached(storage):
        return open_object(storage, key)
    return _cache_of(storage, size, patient).open(storage, key, sha256, size)


def drop_damaged(storage: Storage, sha256: str) -> None:
    """Remove the cached copy of an object if its bytes do not match its digest."""
    if is_cached(storage):
        Cache(settings().cache, 0).drop_damaged(sha256)


def drop(storage: Storage, sha256: str) -> None:
    """Remove the cached copy of an object that was removed from its storage."""
    if is_cached(storage) and cache_folder.problem(settings().cache) is None:
        files.remove(settings().cache / sha256)


def is_cached(storage: Storage) -> bool:
    """Return whether files of a storage are read through the cache, because the storage is remote."""
    return bool(getattr(storage, "cached", False))


def _cache_of(storage: Storage, size: int, patient: bool) -> "Cache":
    chosen = settings()
    if size > chosen.cache_bytes:
        raise NoSpace(
            errno.EFBIG,
            f"A file of {storage.url} has {size} bytes, but the cache may hold only {chosen.cache_bytes}. Set "
            f"DATASET_ASSETS_CACHE_BYTES to {size} or more, or prepare the dataset with a smaller file_bytes.",
        )
    return Cache(chosen.cache, chosen.cache_bytes, stall=chosen.stall_seconds if patient else 0)


def patiently(act: Callable[[], T], seconds: float, progress: Callable[[], int] = lambda: 0) -> T:
    """Retry an action until the storage answers. Raises `StoreUnavailable` after `seconds` without progress."""
    seen, since, pause = progress(), time.monotonic(), _PAUSE_SECONDS
    while True:
        try:
            return act()
        except StoreUnavailable as error:
            if progress() != seen:
                seen, since, pause = progress(), time.monotonic(), _PAUSE_SECONDS
            if time.monotonic() - since + pause > seconds:
                error.add_note(f"The request was retried for {seconds:g} s, the setting stall_seconds.")
                raise
        time.sleep(pause)
        pause = min(2 * pause, 5)


@dataclass(frozen=True)
class Cache:
    """A folder of copies of at most `limit` bytes, including unfinished downloads."""

    folder: Path
    limit: int
    patience: float = PATIENCE_SECONDS
    stall: float = 0

    def open(self, storage: Storage, key: str, sha256: str, size: int) -> BinaryIO:
        """Open the copy of an object; download it first if necessary."""
        path = self.folder / sha256
        if (file := self._open_copy(path, size, cache_folder.is_known)) is not None:
            FETCHED.add(cache_hits=1)
            return file
        self._make()
        with FETCHED.timed("fetching_seconds"), _turn(path, self.patience):
            if (file := self._open_copy(path, size, cache_folder.is_right)) is not None:
                FETCHED.add(cache_hits=1)
                return file
            FETCHED.add(cache_misses=1)
            return self._download(storage, key, path, size)

    def drop_damaged(self, sha256: str) -> None:
        """Remove a copy if its bytes do not match its name."""
        path = self.folder / sha256
        file = cache_folder.opened(path)
        if file is not None:
            with file:
                damaged = files.sha256_in(file) != sha256
            if damaged and cache_folder.problem(self.folder) is None:
                files.remove(path)

    def _open_copy(self, path: Path, size: int, is_right: Callable[[Path, BinaryIO], bool]) -> BinaryIO | None:
        """Open a copy and mark it as used; return None if it is missing, incomplete or wrong."""
        with files.reported(path):
            file = cache_folder.opened(path)
        if file is None:
            return None
        if os.fstat(file.fileno()).st_size == size and is_right(path, file):
            cache_folder.touch(path)
            return file
        file.close()
        return None

    def _download(self, storage: Storage, key: str, path: Path, size: int) -> BinaryIO:
        part = self._room(path, size)
        try:
            digest = _fill(part, storage, key, self.stall)
            synced = cache_folder.must_be_synced()
            (part.close if synced else part.discard)()
            if digest != path.name:
                raise DigestMismatch(
                    f"{key} in {storage.url} has sha256 {digest}, expected {path.name}. The copy was discarded. Delete "
                    "the object and prepare the dataset again."
                )
            # Opened before it gets its name, because after that it may be evicted.
            file = files.opened(part.path)
            # Not while another process counts the files, which could miss this one between its two names.
            with _turn(self.folder / "room", self.patience):
                (files.replace if synced else files.move)(part.path, path)
            cache_folder.remember(path, file)
            return file
        except FileNotFoundError as error:
            if str(error.filename) != str(part.path):
                raise
        finally:
            part.discard()
            with suppress(OSError):
                files.remove(part.path)
            _unfinished.paths.discard(part.path)
        raise StorageError(errno.ENOENT, f"{part.path} was removed while it was written. Open the dataset again.")

    def _room(self, path: Path, size: int) -> files.Written:
        """Start a copy as soon as there is room for all of it; its file name reserves that room."""
        until = time.monotonic() + self.patience
        while time.monotonic() < until:
            with _turn(self.folder / "room", self.patience):
                if self._has_room(size):
                    return _unfinished.part(
                        self.folder / f".{path.name}.{os.getpid()}-{os.urandom(6).hex()}.{size}.part"
                    )
            time.sleep(_POLL_SECONDS)
        raise NoSpace(
            errno.ENOSPC,
            f"The cache {self.folder} may hold {self.limit} bytes, and other downloads take all of them. Raise "
            "DATASET_ASSETS_CACHE_BYTES, or try again later.",
        )

    def _has_room(self, size: int) -> bool:
        """Evict the least recently opened copies until there is room for `size` bytes; return whether there is."""
        kept, reserved = self._entries()
        over = sum(bytes_ for bytes_, _ in kept) + reserved + size - self.limit
        if over <= 0:
            return True
        for _, bytes_, path in sorted((cache_folder.used(path), bytes_, path) for bytes_, path in kept):
            if over <= 0:
                break
            over -= bytes_ if _evicted(path) else 0
        return over <= 0

    def _entries(self) -> tuple[list[tuple[int, Path]], int]:
        """Return size and path of each copy, and how many bytes are reserved for unfinished downloads."""
        kept, reserved = [], 0
        for entry in os.scandir(self.folder):
            with suppress(FileNotFoundError):
                if not entry.is_file(follow_symlinks=False):
                    continue
                if part := cache_folder.PART.fullmatch(entry.name):
                    reserved += 0 if _abandoned(entry) else int(part["bytes"])
                elif cache_folder.NAME.fullmatch(entry.name):
                    kept.append((entry.stat(follow_symlinks=False).st_size, Path(entry.path)))
        return kept, reserved

    def _make(self) -> None:
        """Create the folder if necessary. Raises `Refused` if it is not a cache of ours."""
        files.make_folder(self.folder)
        with files.reported(self.folder):
            cache_folder.claim(self.folder)


def _fill(part: files.Written, storage: Storage, key: str, stall: float) -> str:
    """Copy an object and return its sha256; start over if the object is replaced meanwhile."""
    for left in reversed(range(ATTEMPTS)):
        digest = hashlib.sha256()
        try:
            patiently(partial(_copy, part, storage, key, digest), stall, part.tell)
            return digest.hexdigest()
        except Changed:
            if not left:
                raise
            part.restart()
    raise AssertionError


def _copy(part: files.Written, storage: Storage, key: str, digest: "hashlib._Hash") -> None:
    """Copy an object, continuing where an earlier attempt ended."""
    with open_object(storage, key, whole=not part.tell()) as source:
        if part.tell():
            source.seek(part.tell())
        for chunk in files.chunks_of(source):
            part.write(chunk)
            digest.update(chunk)


class _Unfinished:
    """The unfinished copies of this process. They are removed at its exit, which does not wait for their threads."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()
        self.ended = False
        # Held while a file is created, so that `end` either prevents that or sees the file. Reentrant, for a fork.
        self.lock = threading.RLock()

    def part(self, path: Path) -> files.Written:
        with self.lock:
            if self.ended:
                raise StorageError(errno.ECANCELED, f"{path.name} is not downloaded, because this process is exiting.")
            self.paths.add(path)
            return files.Written(path)

    def end(self) -> None:
        with self.lock:
            self.ended = True
            for path in [*self.paths]:
                # A forked child leaves the parent's files alone.
                if f".{os.getpid()}-" in path.name:
                    with suppress(OSError):
                        files.remove(path)


_unfinished = _Unfinished()
atexit.register(_unfinished.end)
os.register_at_fork(
    before=_unfinished.lock.acquire,
    after_in_parent=_unfinished.lock.release,
    after_in_child=_unfinished.lock.release,
)


def _abandoned(entry: "os.DirEntry[str]") -> bool:
    """Remove an unfinished copy that a killed process left behind; return whether it is one."""
    old = time.time() - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED_SECONDS
    if old:
        files.remove(Path(entry.path))
    return old


def _evicted(path: Path) -> bool:
    """Remove a copy, unless a process is just publishing or opening it; return whether it was removed."""
    lock = cache_folder.lock_of(path)
    with locks.opened(lock) as file:
        if not locks.taken(file):
            return False
        files.remove(path)
        files.remove(lock)
        return True


@contextmanager
def _turn(path: Path, patience: float) -> Iterator[None]:
    """Hold the kernel's lock for a file; continue without it if the holder makes no progress for `patience` seconds.

    The kernel releases the lock when its holder dies.
    """
    with files.reported(path):
        file = locks.opened(cache_folder.lock_of(path))
    with file:
        _wait(file, path, patience)
        try:
            yield
        finally:
            locks.release(file)


def _wait(file: BinaryIO, path: Path, patience: float) -> None:
    seen, since = None, time.monotonic()
    while not locks.taken(file):
        written = _written(path)
        if written != seen:
            seen, since = written, time.monotonic()
        elif time.monotonic() - since > patience:
            return
        time.sleep(_POLL_SECONDS)


def _written(path: Path) -> list[int]:
    """Return the current size of each unfinished copy of an object."""
    sizes = []
    for part in path.parent.glob(f".{path.name}.*.part"):
        with suppress(FileNotFoundError):
            sizes.append(part.stat().st_size)
    return sizes
