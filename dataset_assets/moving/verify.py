"""Verifies all that is stored of a dataset by its digests; repairs damage from another storage, or by making it."""

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Callable, Iterator, TypeVar

from dataset_assets.core import files
from dataset_assets.core.canonical import sha256_hex
from dataset_assets.core.names import split_pin
from dataset_assets.core.progress import report
from dataset_assets.core.redact import redacted
from dataset_assets.core.roots import see_allowed
from dataset_assets.definition import registry
from dataset_assets.errors import (
    DatasetAssetsError,
    IntegrityError,
    NewerFormat,
    NotFound,
    ObjectReplaced,
    StorageError,
    UnknownDataset,
)
from dataset_assets.making.prepare import prepare, restore_raw
from dataset_assets.moving.copy import fetched, workplace
from dataset_assets.moving.parcel import Piece, pieces_of
from dataset_assets.reading.cache import drop_damaged
from dataset_assets.reading.learnt import compare_content
from dataset_assets.reading.load import open_version
from dataset_assets.reading.placed_parts import state_of
from dataset_assets.storage import Storage, size_of
from dataset_assets.storage.aliases import own_name
from dataset_assets.storage.keys import Contents, index_key, place_of, pointer_key, version_key
from dataset_assets.storage.listing import every_whole, listed_versions, relisted, whole
from dataset_assets.storage.manifest import SplitIndex, unsealed
from dataset_assets.storage.outside import see_unchanged
from dataset_assets.storage.storage import open_object
from dataset_assets.storage.stored_dataset import StoredDataset

T = TypeVar("T")

ROUNDS = 4
OUTSIDE = "It lies outside of the storage, where nothing is written. Restore it, or prepare the dataset anew."

# Damage of stored objects; a storage that fails raises something else.
DAMAGED = (IntegrityError, NotFound, FileNotFoundError)


@dataclass
class Damage:
    """One damaged object, and after a repair how it was repaired, or why not."""

    key: str
    problem: str
    piece: Piece | None = None
    repaired: str | None = None
    reason: str | None = None

    @property
    def is_outside(self) -> bool:
        """Whether it is an object outside of the storage, which no repair changes."""
        return "://" in self.key


@dataclass
class Verified:
    """The result for a dataset: its versions, the current one, how much was hashed, and what is damaged."""

    name: str
    versions: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    released: str | None = None
    damaged: list[Damage] = field(default_factory=list)

    @property
    def left(self) -> list[Damage]:
        """What is still damaged."""
        return [damage for damage in self.damaged if damage.repaired is None]


def verifiable(storage: Storage) -> list[str]:
    """Return the names of the datasets with a version that is stored, released or pinned. Raises `ListingCut`."""
    every = every_whole(storage)
    return [name for name, there in every.items() if there.of("version") or there.of("pointer") or there.of("pin")]


def verify(name: str, storage: Storage) -> Verified:
    """Hash every file of all stored versions of a dataset, and its raw files; for `name@digest`, only that version's.

    Raises `NotPrepared` if the dataset is not there.
    """
    return _Look(name, storage).verified()


def repair(found: Verified, storage: Storage, source: Storage | None = None) -> Verified:
    """Fetch damaged objects from another storage, or make them again as `prepare` does; say how each was repaired.

    A damaged object is replaced only by one that has the digest of its name.
    """
    # Files of a damaged index are found when it is readable again.
    for _ in range(ROUNDS):
        left = found.left
        how = f"fetched from {source.url}" if source else ""
        fetched_keys = _fetch_all(left, storage, source) if source else set()
        reason = _make(found.name, [damage for damage in left if damage.key not in fetched_keys], storage)
        again = {damage.key: damage for damage in verify(found.name, storage).damaged}
        for damage in left:
            if damage.key in again:
                damage.reason = OUTSIDE if damage.is_outside else reason
            else:
                damage.repaired = how if damage.key in fetched_keys else "made again"
        known = {damage.key for damage in found.damaged}
        fresh = [damage for key, damage in again.items() if key not in known]
        found.damaged += fresh
        if not fresh:
            break
    return found


def _fetch_all(damaged: list[Damage], storage: Storage, source: Storage) -> set[str]:
    """Fetch the objects that another storage has; return their keys."""
    done = set()
    with workplace(storage) as folder:
        for damage in damaged:
            # An object that is missing or damaged there too may still be made.
            with suppress(*DAMAGED):
                _fetch(damage, source, storage, folder)
                done.add(damage.key)
    return done


def _fetch(damage: Damage, source: Storage, target: Storage, folder: Path) -> None:
    place = place_of(damage.key)
    if damage.piece:
        target.put(damage.key, fetched(source, damage.piece, folder))
    elif place and place.digest:
        data = _read(source, damage.key)
        if sha256_hex(data) != place.digest:
            raise IntegrityError(f"{damage.key} is damaged in {source.url} too.")
        target.put(damage.key, data)
    else:
        raise NotFound(f"{damage.key} belongs to one storage, so it is not fetched from another.")


def _make(name: str, damaged: list[Damage], storage: Storage) -> str | None:
    """Make damaged objects again as `prepare` does; return why that was not possible."""
    places = [place for damage in damaged if (place := place_of(damage.key))]
    if not places:
        return None
    plain, _ = split_pin(name)
    for place in places:
        # The part is made again when it is needed.
        if place.kind == "part":
            storage.delete(place.key)
    if all(place.kind == "part" for place in places):
        return None
    try:
        definition = registry.find(plain)
        # First, so that a stream is deleted only if its sources are stored, or still to be had.
        passing = {name for name, file in definition.remote_files.items() if not file.keep}
        restore_raw(definition, passing | {place.name for place in places if place.kind == "raw"}, storage=storage)
        for key in {place.key for place in places} & _current_keys(StoredDataset(storage, plain)):
            storage.delete(key)
        prepare(definition, storage=storage)
    except StorageError:
        raise
    except UnknownDataset:
        return f"Nothing here defines {plain}. Fetch it from another storage that has it whole: --from URL."
    except DatasetAssetsError as error:
        return str(error)
    return f"The current definition of {plain} no longer produces this file. Fetch it from another storage: --from URL."


def _current_keys(stored: StoredDataset) -> set[str]:
    """Return the keys of the current version's files, which prepare makes again if they are missing."""
    keys: set[str] = set()
    with suppress(*DAMAGED):
        _, version, _ = open_version(stored)
        for split, digest in version.splits.items():
            keys |= {piece.key for piece in pieces_of(stored.index(split, digest))}
    return keys


def _read(storage: Storage, key: str) -> bytes:
    with open_object(storage, key, whole=True) as file:
        return file.read()


class _Look:
    """Verifies a dataset; a file that several versions name is hashed once."""

    def __init__(self, name: str, storage: Storage) -> None:
        name = own_name(storage, name)
        self.dataset, self.pin = split_pin(name)
        self.storage, self.stored = storage, StoredDataset(storage, self.dataset).remembering()
        self.found = Verified(name)
        self.pieces: dict[str, Piece] = {}

    def verified(self) -> Verified:
        there = Contents(self.dataset) if self.pin else whole(self.stored, folders=[("versions",)])
        for digest in [self.pin] if self.pin else self._versions(there):
            self.found.versions.append(digest)
            self._version(digest)
        if not self.found.versions and not self.found.damaged:
            raise self.stored.absent()
        if not self.pin:
            self._raw(there)
            # A stored key that was not listed shows that the listing was cut, and may lack raw files.
            while (anew := relisted(self.stored, there, self.pieces)) is not None:
                there = anew
                self._raw(there)
        self._hash()
        return self.found

    def _versions(self, there: Contents) -> list[str]:
        current = self._seen(pointer_key(self.dataset), lambda: self.stored.pointer().version)
        self.found.released = current
        # Versions that a pin names, and that are gone, are broken.
        return sorted(listed_versions(there) | ({current} if current else set()))

    def _version(self, digest: str) -> None:
        key = version_key(self.dataset, digest)
        version = self._seen(key, lambda: self.stored.version(digest))
        for split, at in version.splits.items() if version else ():
            key = index_key(self.dataset, split, at)
            index = self._seen(key, partial(self.stored.index, split, at))
            if index:
                self.pieces |= {piece.key: piece for piece in pieces_of(index)}
                for url, problem in problems_of_objects(index, self.storage):
                    self.found.damaged.append(Damage(url, problem))

    def _raw(self, there: Contents) -> None:
        for place in there.of("raw"):
            # A collector may have removed it since it was listed.
            if (size := place.stat.bytes if place.stat else size_of(self.storage, place.key)) is not None:
                self.pieces[place.key] = Piece(place.key, size, place.digest)
        for place in there.of("part"):
            if self.stored.part(place.name, place.digest) is None and self.storage.exists(place.key):
                self.found.damaged.append(Damage(place.key, f"{place.key} is not the record of a part."))
        for place in there.of("source"):
            self._seen(place.key, partial(self._unsealed, place.key))

    def _hash(self) -> None:
        total, done = sum(piece.bytes for piece in self.pieces.values()), 0
        for piece in self.pieces.values():
            drop_damaged(self.storage, piece.sha256)
            if problem := problem_of(piece, self.storage):
                self.found.damaged.append(Damage(piece.key, problem, piece))
            done += piece.bytes
            report(self.dataset, done, total)
        self.found.files, self.found.bytes = len(self.pieces), total

    def _unsealed(self, key: str) -> object:
        return unsealed(_read(self.storage, key), key, self.dataset, self.storage.url)

    def _seen(self, key: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except NewerFormat:
            raise
        except DAMAGED as error:
            if not any(damage.key == key for damage in self.found.damaged):
                self.found.damaged.append(Damage(key, str(error)))
            return None


def problems_of_objects(index: SplitIndex, storage: Storage) -> Iterator[tuple[str, str]]:
    """Yield the URL of each object that a split reads where it is and that is not what it was, and what is wrong.

    Each object is hashed. The first time its SHA-256 is noted in the home, if no index has it. Raises `Refused` for
    objects below no root that is allowed for the storage.
    """
    for one in index.placed.objects if index.placed and not index.rows else ():
        see_allowed(storage.url, [one.url])
        try:
            see_unchanged(one.url, state_of(one))
            compare_content(one, learns=True)
        except ObjectReplaced as error:
            yield redacted(one.url), str(error)


def problem_of(piece: Piece, storage: Storage) -> str | None:
    """Return what is wrong with a stored file, or None."""
    try:
        with open_object(storage, piece.key, whole=True) as file:
            found = files.sha256_in(file)
    except FileNotFoundError:
        return f"{piece.key} is gone from {storage.url}."
    if found == piece.sha256:
        return None
    return f"{piece.key} in {storage.url} has sha256 {found}, not that of its name."
