"""Two versions of the tiny dataset, released one after the other, and a storage that fails at its n-th call."""

import errno
from pathlib import Path
from typing import Any, BinaryIO, Iterator

import pytest
import tiny

from dataset_assets import Dataset, load, prepare
from dataset_assets.core.canonical import sha256_hex
from dataset_assets.errors import NotPrepared, StorageError
from dataset_assets.storage import Entry, Stat, Storage
from dataset_assets.storage.keys import alias_of, place_of

STEPS = [7, pytest.param(1, marks=pytest.mark.soak)]
"""Which calls fail, one after the other: one in seven, and as a soak test each."""

Samples = dict[str, list[dict[str, Any]]]


class Released:
    """An old version and a new one, which is current, in the storage of the home."""

    def __init__(self, folder: Path, storage: "str | Storage | None" = None) -> None:
        self.storage = storage
        self.definitions = [self._definition(folder, name) for name in ("old", "new")]
        self.samples: dict[str, Samples] = {}
        self.old, self.new = (self._prepared(definition, storage) for definition in self.definitions)
        assert self.old != self.new

    def _definition(self, folder: Path, name: str) -> Dataset:
        path = folder / name / "numbers.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tiny.NUMBERS if name == "old" else tiny.CHANGED)
        return tiny.small(path.as_uri())

    def _prepared(self, definition: Dataset, storage: "str | Storage | None") -> str:
        digest = str(prepare(definition, storage=storage)["train"].version)
        self.samples[digest] = tiny.plain(load(tiny.NAME, storage=storage))
        return digest

    def check(self, storage: Storage, *, may_be_absent: bool = True) -> None:
        """See that a reader finds a whole version, or is told that there is none; and that names are digests."""
        try:
            views = load(tiny.NAME, storage=storage, verify="all")
            assert tiny.plain(views) == self.samples[str(views["train"].version)]
        except NotPrepared:
            assert may_be_absent
        check_names(storage)


def check_names(storage: Storage) -> None:
    """See that every key is one of the layout, and what is named by its content has it."""
    for key in storage.list(""):
        if alias_of(key):
            continue
        place = place_of(key)
        assert place is not None, f"{key} is left behind"
        # The note of a recipe is stored before its index, which may never come.
        if place.digest and place.kind not in ("recipe", "part", "pin"):
            with storage.get(key) as file:
                assert sha256_hex(file.read()) == place.digest, key


def everything(storage: Storage) -> dict[str, bytes]:
    """Return all objects."""
    found = {}
    for key in storage.list(""):
        with storage.get(key) as file:
            found[key] = file.read()
    return found


class FailsOnce:
    """A storage whose n-th call fails, before it is done, or after."""

    def __init__(self, storage: Storage, n: int, after: bool) -> None:
        self.storage, self.left, self.after = storage, n, after
        self.url = storage.url

    @property
    def tripped(self) -> bool:
        return self.left <= 0

    def _call(self, verb: str, *arguments: Any) -> Any:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise StorageError(errno.EIO, "The server is gone. Run it again.")
        done = getattr(self.storage, verb)(*arguments)
        if self.left == 0:
            raise StorageError(errno.EIO, "The answer was lost. Run it again.")
        return done

    def get(self, key: str) -> BinaryIO:
        found: BinaryIO = self._call("get", key)
        return found

    def put(self, key: str, source: Path | bytes) -> None:
        self._call("put", key, source)

    def exists(self, key: str) -> bool:
        return bool(self._call("exists", key))

    def stat(self, key: str) -> Stat:
        found: Stat = self._call("stat", key)
        return found

    def list(self, prefix: str) -> Iterator[str]:
        found: Iterator[str] = self._call("list", prefix)
        return found

    def entries(self, prefix: str, deep: bool = True) -> Iterator[Entry]:
        return iter([*self._call("entries", prefix, deep)])

    def delete(self, key: str) -> None:
        self._call("delete", key)

    def swap(self, key: str, new: bytes, expected: str | None) -> bool:
        return bool(self._call("swap", key, new, expected))
