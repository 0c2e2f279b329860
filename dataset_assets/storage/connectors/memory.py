"""Storage in the memory of this process, for tests and for data that need not last."""

import errno
import hashlib
import io
import os
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO, Iterator
from weakref import WeakValueDictionary

from dataset_assets.core import files
from dataset_assets.storage.storage import Entry, Stat, check_key, is_directly_in


class _Objects(dict[str, tuple[bytes, float]]):
    """Bytes and time of each object, in a dict that can be weakly referenced."""


_STORES: WeakValueDictionary[str, _Objects] = WeakValueDictionary()
# Named storages live as long as the process, even if nobody holds them.
_NAMED: dict[str, _Objects] = {}
# Only writers take it: a single operation of a dict is atomic, and a forked reader must not wait for a lock that a
# thread of its parent held.
_WRITING = threading.Lock()


class MemoryStorage:
    """Objects in a dict. One name is one dict throughout the process; without a name the dict is private.

    >>> MemoryStorage("example").put("com/lecun/mnist/current.json", b"{}")
    >>> MemoryStorage("example").get("com/lecun/mnist/current.json").read()
    b'{}'
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or os.urandom(8).hex()
        self.url = f"memory://{self.name}"
        self._objects = _objects_of(self.name, keep=bool(name))

    def __reduce__(self) -> Any:
        # A copy would take what another process puts, and nobody would see it.
        raise TypeError(f"{self.url} is in the memory of one process, and cannot be sent to another.")

    def get(self, key: str) -> BinaryIO:
        return io.BytesIO(self._stored(key)[0])

    def put(self, key: str, source: Path | bytes) -> None:
        check_key(key)
        data = _read(source)
        with _WRITING:
            self._objects[key] = data, time.time()

    def exists(self, key: str) -> bool:
        return check_key(key) in self._objects

    def stat(self, key: str) -> Stat:
        data, modified = self._stored(key)
        return Stat(len(data), modified)

    def list(self, prefix: str) -> Iterator[str]:
        return (entry.key for entry in self.entries(prefix))

    def entries(self, prefix: str, deep: bool = True) -> Iterator[Entry]:
        folder = f"{check_key(prefix)}/" if prefix else ""
        found = [(key, *held) for key, held in self._objects.copy().items() if key.startswith(folder)]
        return (Entry(key, len(data), at) for key, data, at in found if deep or is_directly_in(prefix, key))

    def delete(self, key: str) -> None:
        check_key(key)
        with _WRITING:
            self._objects.pop(key, None)

    def swap(self, key: str, new: bytes, expected: str | None) -> bool:
        check_key(key)
        with _WRITING:
            held = self._objects.get(key)
            if (held and hashlib.sha256(held[0]).hexdigest()) != expected:
                return False
            self._objects[key] = bytes(new), time.time()
            return True

    def _stored(self, key: str) -> tuple[bytes, float]:
        stored = self._objects.get(check_key(key))
        if stored is None:
            raise FileNotFoundError(errno.ENOENT, f"{self.url} holds no such object", key)
        return stored


def open_memory(url: str) -> MemoryStorage:
    """Open the objects of a `memory://name` URL."""
    return MemoryStorage(url.partition(":")[2].removeprefix("//"))


def _objects_of(name: str, keep: bool) -> _Objects:
    with _WRITING:
        objects = _STORES.get(name)
        if objects is None:
            objects = _STORES[name] = _Objects()
            if keep:
                _NAMED[name] = objects
        return objects


def _read(source: Path | bytes) -> bytes:
    if not isinstance(source, Path):
        return bytes(source)
    with files.opened(source) as file:
        return file.read()
