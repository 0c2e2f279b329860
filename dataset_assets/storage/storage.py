"""The seam to every store: keys and bytes, seven verbs, one suite of tests (`dataset_assets.testing.StorageTests`)."""

import errno
import re
from pathlib import Path
from typing import BinaryIO, Callable, Iterator, NamedTuple, Protocol, runtime_checkable

from dataset_assets.errors import ListingCut, NameNotAllowed

_KEY_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class Stat(NamedTuple):
    """What a storage knows of an object without reading it."""

    bytes: int
    modified: float
    """When it was last put or swapped, in seconds since 1970, by the clock of the store."""


@runtime_checkable
class Storage(Protocol):
    """A storage connector. Every verb raises `NameNotAllowed` for a key that `check_key` refuses."""

    url: str
    """What `open_storage` opens again, in another process too (but for `memory:`); never holds a secret."""

    def get(self, key: str) -> BinaryIO:
        """Open an object for reading: seekable, read when asked. Raises FileNotFoundError."""
        ...

    def put(self, key: str, source: Path | bytes) -> None:
        """Store all of a finished file, or nothing; nobody writes to `source` afterwards, so it may be linked.

        The object then holds exactly these bytes, and is new for whoever looks at its age, also if it held them before.
        """
        ...

    def exists(self, key: str) -> bool:
        """Say whether the object is there; raises `StorageError` where that cannot be seen, such as for a refusal."""
        ...

    def stat(self, key: str) -> Stat:
        """Return the object's size and when it was last put, in one request. Raises FileNotFoundError."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys below a folder ("" for all), in no promised order: all, or `StorageError` is raised."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; one that is not there is no error."""
        ...

    def swap(self, key: str, new: bytes, expected: str | None) -> bool:
        """Set a small object if it still has the sha256 `expected` (None: is absent); say whether it was set."""
        ...


class Stray(NamedTuple):
    """What a writer that was killed has left in a store, and no key names."""

    key: str | None
    """The key that it was to have; None where that cannot be known, and only this connector writes there."""
    bytes: int
    remove: Callable[[], object]


@runtime_checkable
class LeavesStrays(Protocol):
    """What a connector offers besides, if killed writers can leave something in its store."""

    def strays(self, older_than: float) -> Iterator[Stray]:
        """Yield what was left, and was begun so many seconds ago, by the clock of the store if it tells the time."""
        ...


def check_key(key: str) -> str:
    """Return the key if its parts are plain names; raise `NameNotAllowed` for `..`, absolute, empty or hidden ones."""
    if not isinstance(key, str) or len(key) > 1000 or not all(map(_KEY_PART.fullmatch, key.split("/"))):
        raise NameNotAllowed(
            f"{str(key)[:80]!r} is not a storage key. Keys are names of letters, digits, '_', '-' and '.', joined by "
            "'/', none of them beginning with '.' or '-'."
        )
    return key


def size_of(storage: Storage, key: str) -> int | None:
    """Return how many bytes an object has, or None if it is not there."""
    try:
        return storage.stat(key).bytes
    except FileNotFoundError:
        return None


def listing_cut(key: str, url: str) -> ListingCut:
    """Return the error for an object that is there and was not listed."""
    return ListingCut(
        errno.EIO,
        f"{key} is in {url}, and is not in the list of what is there: the list was cut, or these credentials may not "
        "see all of it. Nothing more was removed. Look at the rights and at the server; then run the same command "
        "again.",
    )
