"""What some versions of a dataset consist of: all that is copied, bundled or pushed of them."""

from dataclasses import dataclass, field
from typing import Iterable, Iterator, Literal, NamedTuple, get_args

from dataset_assets.core.commands import command
from dataset_assets.core.names import split_pin, storage_key
from dataset_assets.errors import DatasetAssetsError, IntegrityError, NotFound, NotPrepared, Refused, UsageError
from dataset_assets.storage import Storage
from dataset_assets.storage.aliases import followed
from dataset_assets.storage.exclusions import NONE, Exclusions, exclusions, see_permitted
from dataset_assets.storage.keys import (
    Contents,
    excluded_key,
    index_key,
    place_of,
    raw_key,
    source_key,
    version_key,
)
from dataset_assets.storage.listing import every_whole, known_versions, whole
from dataset_assets.storage.manifest import SplitIndex
from dataset_assets.storage.storage import entries_of, open_object
from dataset_assets.storage.stored_dataset import StoredDataset

Which = Literal["current", "pinned", "all"]


class Piece(NamedTuple):
    """A file of a stream, or a raw file: its key, its size and its digest."""

    key: str
    bytes: int
    sha256: str


@dataclass
class Parcel:
    """Some versions of a dataset, with all their files."""

    dataset: str
    versions: tuple[str, ...]
    current: str | None
    pinned: tuple[str, ...]
    pieces: dict[str, Piece] = field(default_factory=dict)
    sources: dict[str, bytes] = field(default_factory=dict)
    indexes: dict[str, bytes] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    record: dict[str, bytes] = field(default_factory=dict)
    """What was taken out on request."""
    excluded: Exclusions = NONE
    aliases: tuple[str, ...] = ()

    @property
    def all_documents(self) -> tuple[dict[str, bytes], ...]:
        """All that it has beside files."""
        return self.documents, self.indexes, self.sources, self.record

    @property
    def bytes(self) -> int:
        """The bytes of its files."""
        return sum(piece.bytes for piece in self.pieces.values())


def dataset_names(storage: Storage) -> list[str]:
    """Return the names of the datasets that have versions in a storage. Raises `ListingCut`."""
    every = every_whole(storage, [("versions",)])
    return [name for name, there in every.items() if _has_versions(StoredDataset(storage, name), there)]


def _has_versions(stored: StoredDataset, there: Contents) -> bool:
    try:
        return bool(known_versions(stored, there))
    except Refused:
        # Copying it raises the error, after the others are copied.
        return True


def parcel(
    name: str,
    storage: Storage,
    which: Which = "current",
    raw: bool = False,
    broken: list[DatasetAssetsError] | None = None,
) -> Parcel:
    """Find all files of the versions of a dataset. Only the documents are read.

    If `broken` is given, a broken version is left out while there is another one, and its error is added to the list.
    """
    if which not in get_args(Which):
        raise UsageError(f"versions={which!r} is not known. Write 'current', 'pinned' or 'all'.")
    plain, digest = split_pin(name, storage.url)
    stored = StoredDataset(storage, plain).remembering()
    pointer = stored.pointer(damage_is_absence=digest is not None)
    if pointer.digest is None:
        stored = followed(stored)
        pointer = stored.pointer(damage_is_absence=digest is not None)
    dataset, current = stored.name, None if digest else pointer.version
    there = Contents(dataset) if digest or which == "current" else whole(stored)
    pinned = sorted(place.digest for place in there.of("pin"))
    chosen = {one for one in (digest, current) if one} | {*pinned}
    if which == "all":
        chosen |= {place.digest for place in there.of("version")}
    if not chosen:
        raise NotPrepared(f"{dataset} is not in {storage.url}. List what is there with: {command('ls', storage.url)}")
    # The oldest first: garbage collection keeps the versions that were stored last.
    ages = _ages(stored, chosen, there) if len(chosen) > 1 else dict.fromkeys(chosen, 0.0)
    ordered = sorted(chosen, key=lambda one: (ages[one], one))
    return gathered(stored, ordered, current, pinned, raw, None if len(chosen) == 1 else broken)


def _ages(stored: StoredDataset, versions: Iterable[str], there: Contents) -> dict[str, float]:
    """Return when each version was stored last; 0 for one that is gone."""
    ages = {place.digest: place.stat.modified for place in there.of("version") if place.stat}
    for one in versions:
        if one not in ages:
            try:
                ages[one] = stored.storage.stat(version_key(stored.name, one)).modified
            except FileNotFoundError:
                ages[one] = 0.0
    return ages


def gathered(
    stored: StoredDataset,
    versions: Iterable[str],
    current: str | None,
    pinned: Iterable[str],
    raw: bool,
    broken: list[DatasetAssetsError] | None = None,
) -> Parcel:
    """Return a parcel of these versions; broken ones are left out if a list for their errors is given."""
    found = Parcel(stored.name, (), current, (), excluded=exclusions(stored))
    if data := stored.excluded():
        found.record[excluded_key(stored.name)] = data
    for one in versions:
        try:
            _add_version(found, stored, one, raw)
        except (IntegrityError, NotFound, Refused) as error:
            if broken is None:
                raise
            broken.append(error)
    found.pinned = tuple(one for one in pinned if one in found.versions)
    found.current = current if current in found.versions else None
    return found


def _add_version(wanted: Parcel, stored: StoredDataset, digest: str, raw: bool) -> None:
    one = Parcel(wanted.dataset, (), None, ())
    version = stored.version(digest)
    left = [*version.splits.items()]
    for split, at in left:
        key = index_key(wanted.dataset, split, at)
        if key not in wanted.indexes and key not in one.indexes:
            index = stored.index(split, at)
            left += index.named
            see_permitted(stored, index)
            one.indexes[key] = stored.index_bytes(split, at)
            one.pieces |= {piece.key: piece for piece in pieces_of(index)}
            if raw:
                _add_raw(one, stored, index)
    key = version_key(wanted.dataset, digest)
    wanted.documents[key] = stored.version_bytes(digest)
    wanted.versions += (digest,)
    wanted.pieces |= one.pieces
    wanted.indexes |= one.indexes
    wanted.sources |= one.sources


def _add_raw(wanted: Parcel, stored: StoredDataset, index: SplitIndex) -> None:
    storage, folder = stored.storage, storage_key(index.dataset, "raw")
    used_keys = {raw_key(index.dataset, used.name, used.sha256): used for used in index.sources}
    sizes = {entry.key: entry.bytes for entry in entries_of(storage, folder)}
    for key, used in used_keys.items():
        # A derived file that is not kept is not stored. What a listing lacks is asked for.
        if key in sizes or storage.exists(key):
            wanted.pieces[key] = Piece(key, used.bytes, used.sha256)
    names = {place.name for place in map(place_of, sizes) if place and place.kind == "source"}
    for name in sorted(names | {used.name for used in index.sources}):
        record = stored.raw(name)
        held = stored.raw_key(record) if record else ""
        # Provisional bytes are copied only with a split that is made of them.
        if record and (not record.state or held in wanted.pieces) and stored.has_raw(record, sizes):
            key = source_key(index.dataset, name)
            wanted.sources[key] = _read(storage, key)
            wanted.pieces[held] = Piece(held, record.bytes, record.sha256)


def pieces_of(index: SplitIndex) -> Iterator[Piece]:
    """Yield the files that a split is read from."""
    for key, (_, file) in index.files.items():
        yield Piece(key, file.bytes, file.sha256)


def _read(storage: Storage, key: str) -> bytes:
    with open_object(storage, key, whole=True) as file:
        return file.read()
