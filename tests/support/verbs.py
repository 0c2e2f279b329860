"""The verbs that are swept: what lies in the home before each, what it does, and what readers see.

What must hold is said with `require`, which raises a `Violation` that names the invariant.
"""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Callable

import tiny

from dataset_assets import Dataset, load, prepare
from dataset_assets.core import files
from dataset_assets.errors import DatasetAssetsError, NotPrepared
from dataset_assets.moving.bundle import bundle
from dataset_assets.moving.copy import copy
from dataset_assets.moving.gc import collect
from dataset_assets.moving.rm import rm
from dataset_assets.moving.unbundle import unbundle
from dataset_assets.moving.verify import repair, verify
from dataset_assets.storage import LocalStorage
from dataset_assets.storage.aliases import write_aliases
from dataset_assets.storage.keys import alias_key, alias_of, index_key, place_of, version_key
from dataset_assets.storage.pins import pin, unpin
from dataset_assets.storage.releases import point_to, release
from dataset_assets.storage.stored_dataset import StoredDataset

ALIAS = "org.example.little"
CONTENT = ("raw", "stream", "index", "version")
"""The kinds of objects that are named by their content."""

PARTIAL = ("DecodeError", "DigestMismatch", "StoredFileDamaged")
"""The errors of readers who find a part of something."""


class Violation(AssertionError):
    """An invariant that does not hold; its number is the first word."""


def require(invariant: str, holds: bool, why: object) -> None:
    if not holds:
        raise Violation(f"{invariant}: {why}")


class Home:
    """A home with two storages, and the two definitions that are prepared there."""

    def __init__(self, path: Path, old: Dataset, new: Dataset) -> None:
        self.path, self.old, self.new = path, old, new
        self.storage, self.second = LocalStorage(path / "storage"), LocalStorage(path / "second")
        self.storages = (self.storage, self.second)
        self.tar = path / "bundle.tar"

    @property
    def stored(self) -> StoredDataset:
        return StoredDataset(self.storage, tiny.NAME)

    def prepare(self, dataset: Dataset, storage: LocalStorage | None = None) -> str:
        return str(prepare(dataset, storage=storage or self.storage)["train"].version)

    def seen(self) -> list[Any]:
        """Return what readers see of each storage by the name and by the alias, and the bundle."""
        return [seen_of(storage, name) for storage in self.storages for name in (tiny.NAME, ALIAS)] + [
            _digest(self.tar)
        ]

    def keys(self) -> list[list[str]]:
        return [sorted(storage.list("")) for storage in self.storages]

    def misnamed(self) -> set[str]:
        """Return the keys that are none of the layout, or whose objects have other bytes than their name says."""
        keys = [(storage, key) for storage in self.storages for key in storage.list("") if not alias_of(key)]
        paths = {storage.root / key: place_of(key) for storage, key in keys}
        return {
            str(path.relative_to(self.path))
            for path, place in paths.items()
            if not place or place.kind in CONTENT and _digest(path) != place.digest
        }

    def left(self, locks: bool = True) -> list[Path]:
        """Return what is left in scratch folders; without `locks`, but for the empty files of locks."""
        roots = [self.path / "scratch", self.storage.root / ".scratch", self.second.root / ".scratch"]
        found = [path for root in roots if root.exists() for path in root.iterdir()]
        return [path for path in found if locks or path.suffix != ".lock" or path.stat().st_size]


def seen_of(storage: LocalStorage, name: str) -> Any:
    # Looking for a name that is not stored takes long.
    if name == ALIAS and not storage.exists(alias_key(ALIAS)):
        return "NotPrepared"
    state = name, storage.url, *((key, *_state(storage.root / key)) for key in storage.list(""))
    if state not in _read:
        try:
            _read[state] = tiny.plain(load(name, storage=storage, verify="all"))
        except DatasetAssetsError as error:
            _read[state] = type(error).__name__
    return _read[state]


_read: dict[object, Any] = {}
"""What was read of the very same files: a verb leaves most of them as they are."""


def _state(path: Path) -> tuple[int, ...]:
    info = path.stat()
    return info.st_ino, info.st_size, info.st_mtime_ns


def _digest(path: Path) -> str | None:
    return sha256(path.read_bytes()).hexdigest() if path.exists() else None


@dataclass(frozen=True)
class Verb:
    """A verb, and what lies in the home before."""

    begin: Callable[[Home], object]
    act: Callable[[Home], object]


def _nothing(home: Home) -> None:
    (home.path / "storage").mkdir()


def _old(home: Home) -> None:
    home.prepare(home.old)


def _new(home: Home) -> None:
    home.prepare(home.new)


def _both(home: Home) -> None:
    home.prepare(home.old)
    home.prepare(home.new)


def unreleased(home: Home) -> None:
    """The files of the new version lie there; the old one is current."""
    old, new = home.prepare(home.old), home.prepare(home.new)
    point_to(home.stored, old, home.stored.pointer().digest)
    (home.path / "version").write_text(new)
    shutil.copy(home.storage.root / version_key(tiny.NAME, new), home.path / "version.json")
    home.storage.delete(version_key(tiny.NAME, new))


def _release(home: Home) -> None:
    stored, digest = home.stored, (home.path / "version").read_text()
    scratch = StoredDataset(LocalStorage(home.path / "documents"), tiny.NAME)
    document = scratch.storage.root / version_key(tiny.NAME, digest)
    document.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(home.path / "version.json", document)
    release(stored, scratch.version(digest), stored.current().pointer)


def _elsewhere(home: Home) -> None:
    home.prepare(home.new)
    home.prepare(home.old, home.second)


def _bundled(home: Home) -> None:
    home.prepare(home.new)
    _bundle(home)
    home.prepare(home.old, home.second)


def _bundle(home: Home) -> None:
    with files.whole(home.tar) as file:
        bundle([tiny.NAME], home.storage, file, raw=True)  # type: ignore[arg-type]


def _unbundle(home: Home) -> None:
    with files.opened(home.tar) as file:
        unbundle(file, home.second, make_current=True)


def _damaged(home: Home) -> None:
    home.prepare(home.new)
    home.prepare(home.new, home.second)
    damage(home)


def damage(home: Home) -> None:
    """Change a byte of an index of the current version, and one of a file that it names."""
    split, digest = next(iter(home.stored.version(home.stored.pointer().version).splits.items()))
    index = home.stored.index(split, digest)
    for key in (index_key(tiny.NAME, split, digest), index.key_of("text", index.streams["text"].files[0])):
        path = home.storage.root / key
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.unlink()
        path.write_bytes(data)


def _repair(home: Home) -> None:
    found = repair(verify(tiny.NAME, home.storage), home.storage, home.second)
    require("I2", found.left == [], found.left)


def _gc(home: Home) -> None:
    collect(home.storage, keep_versions=1, grace_seconds=0)


def _pinned(home: Home) -> None:
    home.prepare(home.new)
    pin(tiny.NAME, home.storage)


def _kept(home: Home) -> None:
    """Two versions, the older one pinned, and an alias."""
    old = home.prepare(home.old)
    (home.path / "version").write_text(home.prepare(home.new))
    pin(f"{tiny.NAME}@{old}", home.storage)
    write_aliases(home.stored, [ALIAS])


def _rm(what: str, home: Home) -> None:
    """Remove with force. What is gone was removed before the fault."""
    with suppress(NotPrepared):
        rm(f"{tiny.NAME}{what}", home.storage, force=True)


def _rm_version(home: Home) -> None:
    """Remove the newer version. Of one that is gone a kill may have left files, which are for the collector."""
    _rm("@" + (home.path / "version").read_text(), home)
    _gc(home)


def _load(home: Home) -> None:
    found = tiny.plain(load(tiny.NAME, storage=home.storage, verify="all"))
    require("I5", found == tiny.plain(load(tiny.NAME, storage=home.storage)), "two readers see two things")


VERBS = {
    "prepare": Verb(_old, lambda home: home.prepare(home.new)),
    "prepare, the first time": Verb(_nothing, lambda home: home.prepare(home.new)),
    "release": Verb(unreleased, _release),
    "copy": Verb(_elsewhere, lambda home: copy(tiny.NAME, home.storage, home.second, raw=True, make_current=True)),
    "bundle": Verb(_new, _bundle),
    "unbundle": Verb(_bundled, _unbundle),
    "verify --repair": Verb(_damaged, _repair),
    "gc": Verb(_both, _gc),
    "pin": Verb(_new, lambda home: pin(tiny.NAME, home.storage)),
    "unpin": Verb(_pinned, lambda home: unpin(tiny.NAME, home.storage)),
    "rm": Verb(_kept, partial(_rm, "")),
    "rm of a version": Verb(_kept, _rm_version),
    "rm of a file": Verb(_kept, partial(_rm, "/raw/numbers_csv")),
    "load": Verb(_new, _load),
}
