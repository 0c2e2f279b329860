"""The cache: files of remote storages, whole, on this machine's disk, named by their content, for all its processes.

Each object is fetched by one process while the others wait for it, is hashed as it arrives, and has its name when all
of it is there. What is opened is a plain local file, which formats map and forked workers may read. Locks only save
work: where they lock nothing, an object is fetched twice and is whole all the same. When there is no room, what was not
opened for the longest time goes first; who has a file open or mapped keeps it.
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
from dataset_assets.core.settings import settings
from dataset_assets.errors import DigestMismatch, NoSpace, StorageError, StoreUnavailable
from dataset_assets.reading import cache_folder
from dataset_assets.storage import Storage
from dataset_assets.storage.object_file import Changed

T = TypeVar("T")

ATTEMPTS = 3
PATIENCE_SECONDS = 60.0
_ABANDONED_SECONDS = 600.0
_POLL_SECONDS = 0.02
_PAUSE_SECONDS = 0.1


def open_cached(storage: Storage, key: str, sha256: str, size: int, patient: bool = True) -> BinaryIO:
    """Open an object by its content: in the cache if the storage says that it is `cached`, else in the storage.

    If `patient`, a store that does not answer is waited for as long as the setting `stall_seconds` says. Raises
    `StoreUnavailable` then, `NoSpace` if the object is larger than `cache_bytes`, `DigestMismatch` if other bytes
    arrive, FileNotFoundError if there is no such object.
    """
    if not is_cached(storage):
        return storage.get(key)
    return _cache_of(storage, size, patient).open(storage, key, sha256, size)


def drop_damaged(storage: Storage, sha256: str) -> None:
    """Remove the copy of an object if it is not what its name says."""
    if is_cached(storage):
        Cache(settings().cache, 0).drop_damaged(sha256)


def is_cached(storage: Storage) -> bool:
    """Say whether files of a storage are read through the cache: it has none on this machine."""
    return bool(getattr(storage, "cached", False))


def _cache_of(storage: Storage, size: int, patient: bool) -> "Cache":
    chosen = settings()
    if size > chosen.cache_bytes:
        raise NoSpace(
            errno.EFBIG,
            f"A file of {storage.url} has {size} bytes, and the cache may hold {chosen.cache_bytes}. Set "
            f"DATASET_ASSETS_CACHE_BYTES to {size} or more, or prepare it with a smaller file_bytes.",
        )
    return Cache(chosen.cache, chosen.cache_bytes, stall=chosen.stall_seconds if patient else 0)


def patiently(act: Callable[[], T], seconds: float, progress: Callable[[], int] = lambda: 0) -> T:
    """Act until the store answers; raise `StoreUnavailable` when there was no progress for so many seconds."""
    seen, since, pause = progress(), time.monotonic(), _PAUSE_SECONDS
    while True:
        try:
            return act()
        except StoreUnavailable as error:
            if progress() != seen:
                seen, since, pause = progress(), time.monotonic(), _PAUSE_SECONDS
            if time.monotonic() - since + pause > seconds:
                error.add_note(f"It was asked again for {seconds:g} s, as the setting stall_seconds says.")
                raise
        time.sleep(pause)
        pause = min(2 * pause, 5)


@dataclass(frozen=True)
class Cache:
    """A folder of copies that may hold so many bytes, those included that are being fetched."""

    folder: Path
    limit: int
    patience: float = PATIENCE_SECONDS
    stall: float = 0

    def open(self, storage: Storage, key: str, sha256: str, size: int) -> BinaryIO:
        """Open the copy of an object; fetch it if it is not there."""
        path = self.folder / sha256
        if (file := self._found(path, size, cache_folder.is_known)) is not None:
            return file
        self._make()
        with _turn(path, self.patience):
            return self._found(path, size, cache_folder.is_right) or self._fetched(storage, key, path, size)

    def drop_damaged(self, sha256: str) -> None:
        """Remove a copy if it is not what its name says."""
        path = self.folder / sha256
        file = cache_folder.opened(path)
        if file is not None:
            with file:
                damaged = files.sha256_in(file) != sha256
            if damaged and cache_folder.problem(self.folder) is None:
                files.remove(path)

    def _found(self, path: Path, size: int, is_right: Callable[[Path, BinaryIO], bool]) -> BinaryIO | None:
        """Open a copy, which is then the last one to be evicted; None if it is not there, not whole or not right."""
        with files.reported(path):
            file = cache_folder.opened(path)
        if file is None:
            return None
        if os.fstat(file.fileno()).st_size == size and is_right(path, file):
            cache_folder.touch(path)
            return file
        file.close()
        return None

    def _fetched(self, storage: Storage, key: str, path: Path, size: int) -> BinaryIO:
        part = self._room(path, size)
        try:
            with part:
                found = _filled(part, storage, key, self.stall)
            if found != path.name:
                raise DigestMismatch(
                    f"{key} in {storage.url} has sha256 {found}, not that of its name. The copy was discarded; delete "
                    "the object and prepare the dataset again."
                )
            # Opened before it has its name: from then on it may be evicted.
            file = open(part.path, "rb")  # noqa: SIM115 -- the caller's
            # Not while somebody counts what is there, who could miss it between its two names.
            with _turn(self.folder / "room", self.patience):
                files.replace(part.path, path)
            cache_folder.remember(path, file)
            return file
        except FileNotFoundError as error:
            if error.filename != str(part.path):
                raise
        finally:
            part.discard()
            with suppress(OSError):
                files.remove(part.path)
            _begun.paths.discard(part.path)
        raise StorageError(errno.ENOENT, f"{part.path} was taken away while it was written. Open the dataset again.")

    def _room(self, path: Path, size: int) -> files.Written:
        """Begin a copy when there is room for all of it; its name reserves that."""
        until = time.monotonic() + self.patience
        while time.monotonic() < until:
            with _turn(self.folder / "room", self.patience):
                if self._has_room(size):
                    return _begun.part(self.folder / f".{path.name}.{os.getpid()}-{os.urandom(6).hex()}.{size}.part")
            time.sleep(_POLL_SECONDS)
        raise NoSpace(
            errno.ENOSPC,
            f"The cache {self.folder} may hold {self.limit} bytes, and others are fetching that much. Set "
            "DATASET_ASSETS_CACHE_BYTES to more, or try again later.",
        )

    def _has_room(self, size: int) -> bool:
        """Evict what was not opened for the longest time until so many bytes more may be held."""
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
        """Return size and path of each copy, and how much is reserved for those that are being written."""
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
        """Make the folder, or see that it is ours. Raises `Refused` if it is not."""
        files.make_folder(self.folder)
        with files.reported(self.folder):
            cache_folder.claim(self.folder)


def _filled(part: files.Written, storage: Storage, key: str, stall: float) -> str:
    """Copy an object and return the sha256 of what arrived; begin anew if it is replaced meanwhile."""
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
    """Copy an object from where an earlier attempt ended."""
    with storage.get(key) as source:
        if part.tell():
            source.seek(part.tell())
        for chunk in files.chunks_of(source):
            part.write(chunk)
            digest.update(chunk)


class _Begun:
    """The copies that this process is making. Its end does not wait for the threads that make them."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()
        self.ended = False
        # Held while a file is created, so that the end comes before that or sees the file; who holds it may fork.
        self.lock = threading.RLock()

    def part(self, path: Path) -> files.Written:
        with self.lock:
            if self.ended:
                raise StorageError(errno.ECANCELED, f"{path.name} is not fetched: this process is ending.")
            self.paths.add(path)
            return files.Written(path)

    def end(self) -> None:
        with self.lock:
            self.ended = True
            for path in [*self.paths]:
                # Of a forked child the parent's are none of its business.
                if f".{os.getpid()}-" in path.name:
                    with suppress(OSError):
                        files.remove(path)


_begun = _Begun()
atexit.register(_begun.end)
os.register_at_fork(before=_begun.lock.acquire, after_in_parent=_begun.lock.release, after_in_child=_begun.lock.release)


def _abandoned(entry: "os.DirEntry[str]") -> bool:
    """Remove what a killed process left."""
    old = time.time() - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED_SECONDS
    if old:
        files.remove(Path(entry.path))
    return old


def _evicted(path: Path) -> bool:
    """Remove a copy, unless somebody is just about to publish and open it."""
    lock = cache_folder.lock_of(path)
    with locks.opened(lock) as file:
        if not locks.taken(file):
            return False
        files.remove(path)
        files.remove(lock)
        return True


@contextmanager
def _turn(path: Path, patience: float) -> Iterator[None]:
    """Hold the kernel's lock for a file, which dies with its holder; go on without it if the holder does nothing."""
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
    """Return how much was written of each copy that is being made of an object."""
    found = []
    for part in path.parent.glob(f".{path.name}.*.part"):
        with suppress(FileNotFoundError):
            found.append(part.stat().st_size)
    return found
