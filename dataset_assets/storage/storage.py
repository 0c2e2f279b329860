"""The interface of every storage connector: keys and bytes, seven methods, one suite of tests (`StorageTests`)."""

import errno
import io
import re
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import (
    Any,
    BinaryIO,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    NamedTuple,
    Protocol,
    Sequence,
    TypeGuard,
    runtime_checkable,
)

from dataset_assets.core.files import reading
from dataset_assets.errors import ListingCut, NameNotAllowed

_KEY_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class Stat(NamedTuple):
    """The size and age of an object, known without reading it."""

    bytes: int
    modified: float
    """When it was last put or swapped, in seconds since 1970, by the clock of the storage."""


@runtime_checkable
class Storage(Protocol):
    """A storage connector. Every verb raises `NameNotAllowed` for a key that `check_key` refuses."""

    url: str
    """Opens the same storage by `open_storage`, in another process too (except `memory:`). Holds no secret."""

    def get(self, key: str) -> BinaryIO:
        """Open an object for reading: seekable, read when asked. Raises FileNotFoundError."""
        ...

    def put(self, key: str, source: Path | bytes) -> None:
        """Store all of a finished file, or nothing. The caller no longer writes to `source`, so it may be linked.

        Overwrites the object. Its modification time is reset even if the bytes are unchanged.
        """
        ...

    def exists(self, key: str) -> bool:
        """Say whether the object exists. Raises `StorageError` if the storage refuses to say."""
        ...

    def stat(self, key: str) -> Stat:
        """Return the object's size and when it was last put, in one request. Raises FileNotFoundError."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Yield all keys below a folder ("": every key), in any order. Raises `StorageError` rather than omit one."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; an absent one is no error."""
        ...

    def swap(self, key: str, new: bytes, expected: str | None) -> bool:
        """Set a small object if its sha256 is still `expected` (None: it is absent); say whether it was set."""
        ...


class Entry(NamedTuple):
    """An object as a listing shows it: its key, its size, and when it was last put, as `Stat` says."""

    key: str
    bytes: int
    modified: float

    @property
    def stat(self) -> Stat:
        """Its size and age."""
        return Stat(self.bytes, self.modified)


@runtime_checkable
class ListsEntries(Protocol):
    """An optional method of connectors whose listings show sizes and times. Without it, each object is asked for."""

    def entries(self, prefix: str, deep: bool = True) -> Iterator[Entry]:
        """Yield all objects below a folder, or with `deep=False` those that lie directly in it, as `list` does."""
        ...


class Level(NamedTuple):
    """What lies directly in a folder: the keys of objects, and folders, which are written like keys."""

    keys: Sequence[str]
    folders: Sequence[str]


@runtime_checkable
class ListsLevels(Storage, Protocol):
    """An optional method of connectors that list a folder without what is in the folders below it."""

    def level(self, prefix: str) -> Level:
        """Return what lies directly in a folder. Raises `StorageError` rather than omit anything."""
        ...


@runtime_checkable
class ReadsWhole(Protocol):
    """An optional method of connectors that open an object without asking for its size first."""

    def get_whole(self, key: str) -> BinaryIO:
        """Open an object that is read once, from its beginning to its end. Raises FileNotFoundError."""
        ...


class Stray(NamedTuple):
    """Bytes that a killed writer left in a storage, under no key."""

    key: str | None
    """The key that it was meant for; None if that is unknown and only this connector writes there."""
    bytes: int
    remove: Callable[[], object]


@runtime_checkable
class LeavesStrays(Protocol):
    """An optional method of connectors whose storage keeps what killed writers leave."""

    def strays(self, older_than: float) -> Iterator[Stray]:
        """Yield what was left by writes that began at least so many seconds ago, by the clock of the storage."""
        ...


@runtime_checkable
class PutsTogether(Protocol):
    """An optional method of connectors that store many files faster together than one after another."""

    def put_all(self, sources: "Mapping[str, Path | bytes]") -> None:
        """Put each file under its key, as `put` does; when this returns, all are stored."""
        ...


def put_all(storage: Storage, sources: "Mapping[str, Path] | Mapping[str, bytes]") -> None:
    """Put many files, together if the storage can."""
    if len(sources) > 1 and _puts_together(storage):
        storage.put_all(sources)
    else:
        for key, source in sources.items():
            storage.put(key, source)


@runtime_checkable
class Settles(Protocol):
    """An optional method of connectors whose writers may be killed before what they did is on the disk."""

    def settle(self, keys: Iterable[str]) -> None:
        """Return when all that any process stored or removed under these keys outlasts a power failure."""
        ...


def settle(storage: Storage, keys: Iterable[str]) -> None:
    """Settle some keys, if the storage is one that needs it."""
    if _settles(storage):
        storage.settle(keys)


def check_key(key: str) -> str:
    """Return the key if its parts are plain names. Raises `NameNotAllowed` for `..`, empty or hidden parts."""
    if not isinstance(key, str) or len(key) > 1000 or not all(map(_KEY_PART.fullmatch, key.split("/"))):
        raise NameNotAllowed(
            f"{str(key)[:80]!r} is not a storage key. Keys are names of letters, digits, '_', '-' and '.', joined by "
            "'/', none of them beginning with '.' or '-'."
        )
    return key


def open_object(storage: Storage, key: str, whole: bool = False) -> BinaryIO:
    """Open an object of any connector. Raises FileNotFoundError, and `StorageError` here and at each read.

    With `whole` it is read once, from its beginning to its end, which takes fewer requests.
    """
    place = f"{key} in {storage.url}"
    with reading(place):
        file = storage.get_whole(key) if whole and _reads_whole(storage) else storage.get(key)
    raw = getattr(file, "raw", file)
    if isinstance(raw, (io.FileIO, io.BytesIO)) or getattr(raw, "reports", False):
        return file
    return io.BufferedReader(_Reported(file, place))


class _Reported(io.RawIOBase):
    """A file whose reads fail with a `StorageError`, whatever its connector raises."""

    def __init__(self, file: BinaryIO, place: str) -> None:
        self.file, self.place = file, place

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with reading(self.place):
            return self.file.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        with reading(self.place):
            data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self.file.close()
        super().close()


def size_of(storage: Storage, key: str) -> int | None:
    """Return the size of an object in bytes, or None if it is absent."""
    try:
        return storage.stat(key).bytes
    except FileNotFoundError:
        return None


# Of the class: a wrapper that passes on every attribute need not have what it wraps.


def _lists_entries(storage: Storage) -> TypeGuard[ListsEntries]:
    return hasattr(type(storage), "entries")


def lists_levels(storage: Storage) -> TypeGuard[ListsLevels]:
    """Say whether a connector can list a folder without what is in the folders below it."""
    return hasattr(type(storage), "level")


def _reads_whole(storage: Storage) -> TypeGuard[ReadsWhole]:
    return hasattr(type(storage), "get_whole")


def _puts_together(storage: Storage) -> TypeGuard[PutsTogether]:
    return hasattr(type(storage), "put_all")


def _settles(storage: Storage) -> TypeGuard[Settles]:
    return hasattr(type(storage), "settle")


FEW = 4
"""So many sizes are asked for one by one: a listing may show thousands of other objects."""
PAGE = 1000
"""How many objects a server lists in one request."""


def sizes_of(storage: Storage, folder: str, keys: Collection[str], surely: bool = True) -> dict[str, int]:
    """Return the sizes of those objects of a folder that exist, with few requests.

    An object that a listing lacks is asked for by its key; not `surely`, it counts as absent.
    """
    found: dict[str, int] = {}
    if len(keys) > FEW and _lists_entries(storage):
        wanted = {*keys}
        # No longer than it takes to ask for each.
        shown = [*islice(storage.entries(folder), PAGE * len(keys))]
        found = {entry.key: entry.bytes for entry in shown if entry.key in wanted}
        if not surely and len(shown) < PAGE * len(keys):
            return found
    for key in keys:
        if key not in found and (size := size_of(storage, key)) is not None:
            found[key] = size
    return found


def listed(storage: Storage, prefix: str) -> "Iterator[str] | Iterator[Entry]":
    """Return the objects below a folder, with their sizes and times if the connector lists them, else their keys."""
    return storage.entries(prefix) if _lists_entries(storage) else storage.list(prefix)


def entries_of(storage: Storage, prefix: str, deep: bool = True) -> Iterator[Entry]:
    """Yield the objects below a folder of any connector, or with `deep=False` those that lie directly in it."""
    if _lists_entries(storage):
        yield from storage.entries(prefix, deep)
        return
    for key in storage.list(prefix):
        # What is listed may be deleted meanwhile.
        with suppress(FileNotFoundError):
            if deep or is_directly_in(prefix, key):
                yield Entry(key, *storage.stat(key))


def is_directly_in(prefix: str, key: str) -> bool:
    """Say whether a key below a folder lies directly in it.

    >>> is_directly_in("com/lecun", "com/lecun/mnist"), is_directly_in("com", "com/lecun/mnist")
    (True, False)
    """
    return "/" not in key[len(prefix) + 1 if prefix else 0 :]


def level_in(prefix: str, keys: Iterable[str]) -> Level:
    """Return what lies directly in a folder, by the keys of all that lies below it.

    >>> level_in("com", ["com/lecun/mnist/current.json", "com/note.txt"])
    Level(keys=['com/note.txt'], folders=['com/lecun'])
    """
    start, direct, folders = len(prefix) + 1 if prefix else 0, [], set()
    for key in keys:
        if is_directly_in(prefix, key):
            direct.append(key)
        else:
            folders.add(key[: key.index("/", start)])
    return Level(direct, sorted(folders))


def listing_cut(key: str, url: str) -> ListingCut:
    """Return the error for an object that is stored and was not listed."""
    return ListingCut(
        errno.EIO,
        f"{key} is in {url}, and is not in the list of what is there: the list was cut, or these credentials may not "
        "see all of it. Nothing more was removed. Look at the rights and at the server; then run the same command "
        "again.",
    )
