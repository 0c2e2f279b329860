"""Storage in this process's memory, for tests and for what need not last."""

import errno
import hashlib
import io
import os
import threading
import time
from pathlib import Path
from typing import BinaryIO, Iterator
from weakref import WeakValueDictionary

from dataset_assets.core import files
from dataset_assets.storage.storage import Stat, check_key


class _Objects(dict[str, tuple[bytes, float]]):
    """Each object's bytes and when it was put, in a dict to which weak references can be made."""


_STORES: WeakValueDictionary[str, _Objects] = WeakValueDictionary()
# Who opens a name again expects what was put there, also if nobody held it meanwhile.
_NAMED: dict[str, _Objects] = {}
# Only writers take it. A single step of a dict is whole anyway, and a forked reader must not wait for a lock that some
# thread of its parent held.
_WRITING = threading.Lock()


class MemoryStorage:
    """Objects in a dict. Those of one name are the same throughout the process; without a name they are one's own.

    >>> MemoryStorage("example").put("com/lecun/mnist/current.json", b"{}")
    >>> MemoryStorage("example").get("com/lecun/mnist/current.json").read()
    b'{}'
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or os.urandom(8).hex()
        self.url = f"memory://{self.name}"
        self._objects = _objects_of(self.name, keep=bool(name))

    def get(self, key: str) -> BinaryIO:
        return io.BytesIO(self._found(key)[0])

    def put(self, key: str, source: Path | bytes) -> None:
        check_key(key)
        data = _read(source)
        with _WRITING:
            self._objects[key] = data, time.time()

    def exists(self, key: str) -> bool:
        return check_key(key) in self._objects

    def stat(self, key: str) -> Stat:
        data, modified = self._found(key)
        return Stat(len(data), modified)

    def list(self, prefix: str) -> Iterator[str]:
        folder = f"{check_key(prefix)}/" if prefix else ""
        return (key for key in [*self._objects] if key.startswith(folder))

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

    def _found(self, key: str) -> tuple[bytes, float]:
        found = self._objects.get(check_key(key))
        if found is None:
            raise FileNotFoundError(errno.ENOENT, f"{self.url} holds no such object", key)
        return found


def open_memory(url: str) -> MemoryStorage:
    """Open the objects of a `memory://name` URL."""
    return MemoryStorage(url.partition(":")[2].removeprefix("//"))


def _objects_of(name: str, keep: bool) -> _Objects:
    with _WRITING:
        found = _STORES.get(name)
        if found is None:
            found = _STORES[name] = _Objects()
            if keep:
                _NAMED[name] = found
        return found


def _read(source: Path | bytes) -> bytes:
    if not isinstance(source, Path):
        return bytes(source)
    with files.reported(source):
        return source.read_bytes()
