"""The interface of every storage connector: keys and bytes, seven methods, one suite of tests (`StorageTests`)."""

import errno
import io
import re
import shlex
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterator, NamedTuple, Protocol, runtime_checkable

from dataset_assets.core.files import reading
from dataset_assets.core.settings import settings
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


def check_key(key: str) -> str:
    """Return the key if its parts are plain names. Raises `NameNotAllowed` for `..`, empty or hidden parts."""
    if not isinstance(key, str) or len(key) > 1000 or not all(map(_KEY_PART.fullmatch, key.split("/"))):
        raise NameNotAllowed(
            f"{str(key)[:80]!r} is not a storage key. Keys are names of letters, digits, '_', '-' and '.', joined by "
            "'/', none of them beginning with '.' or '-'."
        )
    return key


def open_object(storage: Storage, key: str) -> BinaryIO:
    """Open an object of any connector. Raises FileNotFoundError, and `StorageError` here and at each read."""
    place = f"{key} in {storage.url}"
    with reading(place):
        file = storage.get(key)
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


def command_on(storage: Storage, words: str) -> str:
    """Return a command line for a message; it names the storage unless that is the one of the settings."""
    named = "" if settings().storage == storage.url else f" --storage {shlex.quote(storage.url)}"
    return f"dataset-assets {words}{named}"


def listing_cut(key: str, url: str) -> ListingCut:
    """Return the error for an object that is stored and was not listed."""
    return ListingCut(
        errno.EIO,
        f"{key} is in {url}, and is not in the list of what is there: the list was cut, or these credentials may not "
        "see all of it. Nothing more was removed. Look at the rights and at the server; then run the same command "
        "again.",
    )
