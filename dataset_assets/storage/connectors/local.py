"""Storage in a folder: a key is a file, renamed to its place when all of it is on the disk."""

import errno
import io
import os
import re
import stat
import time
from contextlib import contextmanager, suppress
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO, Iterable, Iterator, Mapping, Sequence
from urllib.parse import unquote_to_bytes

from dataset_assets.core import files, locks
from dataset_assets.core.redact import has_login, redacted
from dataset_assets.errors import NameNotAllowed, Refused, StorageError, UsageError
from dataset_assets.storage.storage import Entry, Stat, Stray, check_key

DAY_SECONDS = 86_400.0
SYNCS = 16
"""How many files are synced at a time: 1,500 small ones took 0.4 s, and 6.5 s one after another."""
POINTER = "current.json"
LINKED_LEVELS = 2
"""How deep datasets are looked for in a folder that a link names."""
_PART = re.compile(r"\.\d+-[0-9a-f]{16}\.part")


class LocalStorage:
    """Objects as plain files below a folder, which the first `put` creates.

    Names that begin with a dot are no keys: `.*.part` is being written, `.NAME.lock` guards a swap.

    >>> LocalStorage("/data/my assets").url
    'file:///data/my%20assets'
    """

    def __init__(self, root: Path | str, *, lock_seconds: float = 60.0) -> None:
        self.root = Path(root).expanduser().absolute()
        if "\0" in str(self.root):
            raise UsageError(f"{str(root)[:80]!r} cannot be a folder: it contains a NUL character. Use another name.")
        self.url = self.root.as_uri()
        self._root = os.fspath(self.root)
        self.lock_seconds = lock_seconds
        self._swept: set[Path] = set()

    def get(self, key: str) -> BinaryIO:
        path = self._path(key)
        with files.reading(path):
            # Only plain files are objects; opening a named pipe would wait for ever.
            if not _is_file(path):
                raise self._absent(key)
            return files.opened(path)

    def put(self, key: str, source: Path | bytes) -> None:
        path = self._path(key)
        files.make_folder(path.parent)
        self._put(path, source)
        files.sync(path.parent)

    def put_all(self, sources: Mapping[str, Path | bytes]) -> None:
        """Put many files. Threads sync them, which the kernel then does together, and each folder is synced once."""
        paths = self._paths(sources)
        folders = sorted({path.parent for path in paths})
        files.make_folders(folders)
        # Readers start faster without it.
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(SYNCS, "dataset_assets-put") as pool:
            for _ in pool.map(self._put, paths, sources.values()):
                pass
            for _ in pool.map(files.sync, folders):
                pass

    def _put(self, path: Path, source: Path | bytes) -> None:
        if isinstance(source, Path) and not source.is_file():
            raise FileNotFoundError(errno.ENOENT, f"No such file; {path} was not stored", str(source))
        with files.reported(path):
            if not _renewed(path, source):
                self._store(path, source)

    def exists(self, key: str) -> bool:
        path = self._path(key)
        with files.reading(path):
            return _is_file(path)

    def stat(self, key: str) -> Stat:
        path = self._path(key)
        with files.reading(path):
            if not _is_file(path):
                raise self._absent(key)
            status = path.stat()
            return Stat(status.st_size, status.st_mtime)

    def list(self, prefix: str) -> Iterator[str]:
        return (key for key, _ in self._found(prefix))

    def entries(self, prefix: str, deep: bool = True) -> Iterator[Entry]:
        for key, file in self._found(prefix, deep):
            # What is listed may be deleted meanwhile.
            with suppress(FileNotFoundError):
                yield Entry(key, *(_stat_of(file) if file else self._status(key)))

    def _status(self, key: str) -> Stat:
        try:
            return self.stat(key)
        except Refused:
            # A link out of the storage is listed, so that every verb refuses the dataset.
            return Stat(0, 0.0)

    def _found(self, prefix: str, deep: bool = True) -> "Iterator[tuple[str, os.DirEntry[str] | None]]":
        """Yield the keys below a prefix with their files; without a file if a link is on the way to it."""
        folder = self._path(prefix) if prefix else self.root
        if os.path.lexists(self.root) and not self.root.is_dir():
            raise StorageError(errno.ENOTDIR, f"{self.root} is not a folder, or a link to none. Name another storage.")
        return _below(folder, f"{prefix}/" if prefix else "", deep)

    def delete(self, key: str) -> None:
        if self.exists(key):
            files.remove(self._path(key))

    def swap(self, key: str, new: bytes, expected: str | None) -> bool:
        """Set a small object if it still has the sha256 `expected` (None: is absent); say whether it was set.

        A kernel lock excludes other swaps of the key, but not a `put` or `delete`. On a filesystem without locks two
        simultaneous swaps may both return True; the object is then whole, and that of the last one.
        """
        path = self._path(key)
        files.make_folder(path.parent)
        with files.reported(path), _locked(path.with_name(f".{path.name}.lock"), self.lock_seconds):
            if _digest(path) != expected:
                return False
            self._store(path, new)
            files.sync(path.parent)
            return True

    def settle(self, keys: Iterable[str]) -> None:
        """Sync the folders of these keys: whoever stored them may have been killed just before that."""
        for folder in sorted({path.parent for path in self._paths(keys)}):
            with suppress(FileNotFoundError):
                if folder.is_dir():
                    files.make_folder(folder)
                    files.sync(folder)

    def strays(self, older_than: float) -> Iterator[Stray]:
        """Yield the partial files that killed writers left."""
        for folder, folders, names in os.walk(self.root, onerror=_unread):
            files.passes("list", folder)
            folders[:] = [name for name in folders if _is_key(name)]
            for path in (Path(folder, name) for name in names):
                with suppress(FileNotFoundError):
                    if _is_part(path) and _age(path) >= older_than:
                        yield Stray(None, path.lstat().st_size, partial(files.remove, path))

    def link_in(self, key: str) -> str | None:
        """Return the first symbolic link on the way to a key, or None."""
        return _link_in(self._root, check_key(key))

    def _absent(self, key: str) -> FileNotFoundError:
        return FileNotFoundError(errno.ENOENT, f"{self.url} holds no such object", key)

    def _paths(self, keys: Iterable[str]) -> Sequence[Path]:
        seen: set[str] = set()
        return [self._path(key, seen) for key in keys]

    def _path(self, key: str, seen: set[str] | None = None) -> Path:
        path = self.root / check_key(key)
        if _link_in(self._root, key, seen):
            self._check_inside(path, key)
        return path

    def _check_inside(self, path: Path, key: str) -> None:
        real = Path(os.path.realpath(path))
        # By path components: /data/assets-old is not below /data/assets.
        if not real.is_relative_to(os.path.realpath(self.root)):
            where = f"{key} in {self.url} is a link to {real}, outside of the storage."
            raise Refused(f"{where} Put what it names in its place, or mount that folder there.")

    def _store(self, path: Path, source: Path | bytes) -> None:
        files.make_folder(path.parent)
        if path.parent not in self._swept:
            sweep(path.parent)
            self._swept.add(path.parent)
        part = path.with_name(f".{os.getpid()}-{os.urandom(8).hex()}.part")
        try:
            _fill(part, source)
            files.move(part, path)
        finally:
            # Also after success: renaming a link over another link to the same file does nothing, and leaves both.
            with suppress(OSError):
                files.remove(part)


def _is_file(path: Path) -> bool:
    """Say whether a file exists. Raises OSError if that cannot be seen, where `Path.is_file` may return False."""
    files.passes("stat", path)
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        # A link that leads to itself leads to no file.
        if error.errno == errno.ELOOP:
            return False
        raise


def _unread(error: OSError) -> None:
    """Raise the error of a folder that cannot be listed, unless it was removed meanwhile."""
    with files.reading(Path(error.filename)):
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise error


def _link_in(root: str, key: str, seen: set[str] | None = None) -> str | None:
    """Return the first folder or file of a key that is a link; below a folder that does not exist there is none.

    Folders that are in `seen` are not looked at again.
    """
    path = root
    for part in key.split("/"):
        path = f"{path}/{part}"
        if seen and path in seen:
            continue
        try:
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                return path
            if seen is not None and stat.S_ISDIR(mode):
                seen.add(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            # Such as a name that is too long: using the path then raises a clear error.
            return path
    return None


def open_local(url: str) -> LocalStorage:
    """Open the folder of a `file:///folder` URL."""
    host, slash, path = url.partition(":")[2].removeprefix("//").partition("/")
    # A login before a host, or a query, may hold a secret; in the name of a folder they are written otherwise.
    if host not in ("", "localhost") or not slash or has_login(path) or "?" in path or "#" in path:
        raise UsageError(
            f"{redacted(url)[:80]!r} does not name a folder of this machine. Write it as file:///folder; "
            "in its name, write %3A for :, %40 for @, %3F for ? and %23 for #."
        )
    return LocalStorage(os.fsdecode(unquote_to_bytes(slash + path)))


def sweep(folder: Path, older_than: float = DAY_SECONDS) -> None:
    """Remove the partial files that killed writers left in a folder."""
    with suppress(OSError):
        for path in [*folder.iterdir()]:
            with suppress(OSError):
                if _is_part(path) and _age(path) > older_than:
                    files.remove(path)


def _is_part(path: Path) -> bool:
    """Say whether a file is a partial one: a plain file with a name that only `_store` gives."""
    return bool(_PART.fullmatch(path.name)) and stat.S_ISREG(path.lstat().st_mode)


def _age(part: Path) -> float:
    # Not mtime: a new hard link has that of its source, but linking updates the ctime.
    return time.time() - part.lstat().st_ctime


def _renewed(path: Path, source: Path | bytes) -> bool:
    # The object may be collected while it is compared; then it is stored anew.
    with suppress(FileNotFoundError):
        if _holds(path, source):
            try:
                files.renew(path)
            except StorageError as error:
                # Only its owner may change its time; whoever may write into the folder replaces it.
                if error.errno in (errno.EPERM, errno.EACCES):
                    return False
                raise
            return True
    return False


def _holds(path: Path, source: Path | bytes) -> bool:
    if not path.is_file():
        return False
    size = source.stat().st_size if isinstance(source, Path) else len(source)
    if path.stat().st_size != size:
        return False
    with files.opened(path) as held, _opened(source) as given:
        return all(one == other for one, other in zip_longest(files.chunks_of(held), files.chunks_of(given)))


def _opened(source: Path | bytes) -> BinaryIO:
    return files.opened(source) if isinstance(source, Path) else io.BytesIO(source)


def _fill(part: Path, source: Path | bytes) -> None:
    if not isinstance(source, Path):
        with files.Written(part) as file:
            file.write(source)
        return
    files.link(source, part)
    # A link has the age of its source, whose bytes may not be on the disk yet.
    files.renew(part)
    files.sync(part)


def _stat_of(file: "os.DirEntry[str]") -> Stat:
    with files.reading(file.path):
        files.passes("stat", file.path)
        status = file.stat(follow_symlinks=False)
        return Stat(status.st_size, status.st_mtime)


def _below(folder: Path | str, prefix: str, deep: bool = True) -> "Iterator[tuple[str, os.DirEntry[str] | None]]":
    for entry in _entries(folder):
        key = prefix + entry.name
        if not _is_key(key):
            continue
        # Some filesystems look up the kind of an entry only now, and may refuse.
        with files.reading(Path(entry.path)):
            is_file, is_folder = entry.is_file(follow_symlinks=False), entry.is_dir(follow_symlinks=False)
        if is_file:
            yield key, entry
        elif is_folder and deep:
            yield from _below(entry.path, f"{key}/", deep)
        elif entry.is_symlink() and deep:
            yield from ((key, None) for key in _moved(Path(entry.path), key, 0))


def _moved(path: Path, key: str, level: int) -> Iterator[str]:
    """Yield the pointers of datasets whose folder was moved and a link left, so that every verb refuses them."""
    if (path / POINTER).is_file():
        yield f"{key}/{POINTER}"
    elif level < LINKED_LEVELS and path.is_dir():
        for entry in _entries(path):
            if _is_key(f"{key}/{entry.name}") and entry.is_dir(follow_symlinks=False):
                yield from _moved(Path(entry.path), f"{key}/{entry.name}", level + 1)


def _entries(folder: Path | str) -> "list[os.DirEntry[str]]":
    with files.reading(Path(folder)):
        files.passes("list", folder)
        try:
            with os.scandir(folder) as entries:
                return [*entries]
        except (FileNotFoundError, NotADirectoryError):
            return []


def _is_key(key: str) -> bool:
    try:
        return bool(check_key(key))
    except NameNotAllowed:
        return False


def _digest(path: Path) -> str | None:
    try:
        # Opening a named pipe would wait for ever.
        return files.sha256_of(path) if _is_file(path) else None
    except FileNotFoundError:
        return None


@contextmanager
def _locked(lock: Path, seconds: float) -> Iterator[None]:
    """Hold the kernel lock on a file."""
    with locks.opened(lock) as file:
        _take(file, time.monotonic() + seconds)
        locks.sign(file)
        try:
            yield
        finally:
            locks.release(file)


def _take(file: BinaryIO, until: float) -> None:
    while not locks.taken(file):
        if time.monotonic() > until:
            raise StorageError(
                errno.EAGAIN,
                f"{file.name} is locked by {locks.holder(file)}. If that is stopped, end it. Then run this again.",
            )
        time.sleep(0.002)
