"""Copies datasets from one storage to another: only what is missing, each file verified, the pointer last.

A copy may be killed at any point and run again, and several may run at once: a file is named by its digest, so it is
the same whoever stores it, and a version is stored after all files that it names.
"""

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Callable, Iterable, Iterator, Literal, Mapping, NamedTuple, get_args

from dataset_assets.core import files
from dataset_assets.core.commands import command
from dataset_assets.core.names import split_pin, storage_key
from dataset_assets.core.progress import report
from dataset_assets.core.scratch import root_below, scratch_folder
from dataset_assets.core.settings import settings
from dataset_assets.errors import (
    Conflict,
    DatasetAssetsError,
    DigestMismatch,
    IntegrityError,
    NotFound,
    NotPrepared,
    Refused,
    StoredFileDamaged,
    UsageError,
)
from dataset_assets.moving.pointer import Knows, may_move, offer
from dataset_assets.storage import LocalStorage, Storage, open_storage
from dataset_assets.storage.aliases import aliases_of, followed, lacking_aliases, write_aliases
from dataset_assets.storage.gc_lease import wait_for_collector
from dataset_assets.storage.keys import (
    Contents,
    index_key,
    place_of,
    raw_key,
    source_key,
    version_key,
)
from dataset_assets.storage.listing import every_whole, known_versions, whole
from dataset_assets.storage.manifest import SplitIndex
from dataset_assets.storage.pins import pin
from dataset_assets.storage.storage import entries_of, open_object, settle, sizes_of
from dataset_assets.storage.stored_dataset import StoredDataset

Which = Literal["current", "pinned", "all"]
ATTEMPTS = 3


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
    aliases: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """The bytes of its files."""
        return sum(piece.bytes for piece in self.pieces.values())


class Copied(NamedTuple):
    """The result of copying a dataset.

    `current` is the version that is current in the target afterwards; None if none is, or the copy was of a version by
    its digest. `offered` is the source's current version where it did not become current: `make_current` makes it so.
    """

    dataset: str
    versions: tuple[str, ...]
    current: str | None
    files: int
    bytes: int
    present: int
    offered: str | None = None
    aliases: tuple[str, ...] = ()


Fetch = Callable[[Piece], Path]


def copy(
    name: str | None,
    source: "str | Storage",
    to: "str | Storage",
    *,
    versions: Which = "current",
    raw: bool = False,
    make_current: bool = False,
    aliases: bool = False,
    broken: list[DatasetAssetsError] | None = None,
) -> list[Copied]:
    """Copy a dataset, or with None every one, to another storage.

    The current version becomes current there too if there is none, or if the source has the one that is. Another one
    stays, unless `make_current` is given; `Copied` says both.

    `name@digest` copies that version and moves no pointer. `versions` may ask for the pinned ones too, or for all, and
    `raw` for the retrieved files. `aliases` copies the dataset's aliases too. Every file is hashed on the way. Raises
    `NotPrepared`, `DigestMismatch`, `StoredFileDamaged`, `ListingCut`, and `Conflict` if somebody else released another
    version there meanwhile, or another dataset there has one of the aliases.

    What is broken does not keep the rest from being copied: its errors are added to `broken` if that is given; else the
    first one is raised at the end.
    """
    here, there = open_storage(source), open_storage(to)
    if here.url == there.url:
        raise UsageError(f"{here.url} is both where to copy from and where to. Name two storages.")
    if name and make_current and split_pin(name)[1]:
        raise UsageError(
            f"{name} names a version, and moves no pointer. To make one current, copy {split_pin(name)[0]}."
        )
    errors: list[DatasetAssetsError] = [] if broken is None else broken
    done = []
    with workplace(there) as folder:
        for one in [name] if name else dataset_names(here):
            try:
                wanted = parcel(one, here, versions, raw, errors)
                wanted.aliases = tuple(aliases_of(StoredDataset(here, wanted.dataset))) if aliases else ()
                done.append(_copied(wanted, here, there, folder, make_current))
            except (IntegrityError, NotFound, Conflict) as error:
                errors.append(error)
    if errors and broken is None:
        raise errors[0]
    return done


def _copied(wanted: Parcel, source: Storage, target: Storage, folder: Path, make_current: bool) -> Copied:
    fetch, knows = partial(fetched, source, folder=folder), StoredDataset(source, wanted.dataset).has_version
    return deliver(wanted, target, fetch, knows, make_current)


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
    found = Parcel(stored.name, (), current, ())
    for one in versions:
        try:
            _add_version(found, stored, one, raw)
        except (IntegrityError, NotFound) as error:
            if broken is None:
                raise
            broken.append(error)
    found.pinned = tuple(one for one in pinned if one in found.versions)
    found.current = current if current in found.versions else None
    return found


def _add_version(wanted: Parcel, stored: StoredDataset, digest: str, raw: bool) -> None:
    one = Parcel(wanted.dataset, (), None, ())
    version = stored.version(digest)
    for split, at in version.splits.items():
        key = index_key(wanted.dataset, split, at)
        if key not in wanted.indexes:
            index = stored.index(split, at)
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
    """Yield the files of a split's streams."""
    for name, stream in index.streams.items():
        for file in stream.files:
            yield Piece(index.key_of(name, file), file.bytes, file.sha256)


def _read(storage: Storage, key: str) -> bytes:
    with open_object(storage, key, whole=True) as file:
        return file.read()


@contextmanager
def workplace(storage: Storage) -> Iterator[Path]:
    """Give a scratch folder; for a local storage on its filesystem, so that a finished file is only moved."""
    root = root_below(storage.root) if isinstance(storage, LocalStorage) else settings().scratch
    with scratch_folder(root) as folder:
        yield folder


def fetched(storage: Storage, piece: Piece, folder: Path) -> Path:
    """Download a file into a folder, and verify its digest. Raises `StoredFileDamaged` and `DigestMismatch`."""
    path = folder / piece.sha256
    files.remove(path)
    digest = sha256()
    try:
        with open_object(storage, piece.key, whole=True) as file, files.Written(path) as written:
            for chunk in files.chunks_of(file):
                digest.update(chunk)
                written.write(chunk)
    except FileNotFoundError as error:
        raise StoredFileDamaged(f"{piece.key} is gone from {storage.url}. {_mend(piece, storage)}") from error
    if (found := digest.hexdigest()) != piece.sha256:
        raise DigestMismatch(
            f"{piece.key} in {storage.url} has sha256 {found}, not that of its name. {_mend(piece, storage)}"
        )
    return path


def _mend(piece: Piece, storage: Storage) -> str:
    place = place_of(piece.key)
    words = f"verify --repair {place.dataset if place else ''}".rstrip()
    return f"Repair it there with: {command(words, storage.url)}"


def deliver(
    wanted: Parcel, target: Storage, fetch: Fetch, knows: Knows | None = None, make_current: bool = False
) -> Copied:
    """Store what is missing of a parcel: files, indexes, versions; then move the pointer if it may move; then aliases.

    `knows` says which versions the source has; without it, a pointer that exists is not moved.
    """
    there = StoredDataset(target, wanted.dataset)
    lacking_aliases(there, wanted.aliases)
    before = there.pointer(damage_is_absence=True)
    agreed = make_current or may_move(there, before, wanted.current, knows)
    stored: set[str] = set()
    for _ in range(ATTEMPTS):
        # A file that this listing lacks is stored again.
        lacking = _lacking(wanted, _sizes(wanted, target, surely=False))
        _store(lacking, target, fetch, wanted)
        stored |= {piece.key for piece in lacking}
        settle(target, wanted.pieces)
        _put_documents(target, wanted)
        # A collector may have removed files before it could see these versions; from now on it sees them.
        wait_for_collector(there)
        sizes = _sizes(wanted, target)
        if not _lacking(wanted, sizes) and wanted.indexes.keys() <= sizes.keys():
            break
    else:
        raise StoredFileDamaged(
            f"{wanted.dataset} in {target.url} loses files while they are stored. Stop the process that removes them."
        )
    for digest in wanted.pinned:
        pin(f"{wanted.dataset}@{digest}", target)
    current, offered = offer(there, wanted.current, before.digest, agreed)
    if agreed:
        _put_sources(target, wanted)
    write_aliases(there, wanted.aliases)
    done = sum(wanted.pieces[key].bytes for key in stored)
    present = len(wanted.pieces) - len(stored)
    return Copied(wanted.dataset, wanted.versions, current, len(stored), done, present, offered, wanted.aliases)


def missing(wanted: Parcel, target: Storage) -> list[Piece]:
    """Return the files that are missing, or have another size."""
    return _lacking(wanted, _sizes(wanted, target))


def _sizes(wanted: Parcel, target: Storage, surely: bool = True) -> dict[str, int]:
    """Return the sizes of the files and indexes that are stored already."""
    return sizes_of(target, storage_key(wanted.dataset), [*wanted.pieces, *wanted.indexes], surely)


def _lacking(wanted: Parcel, sizes: Mapping[str, int]) -> list[Piece]:
    return [piece for piece in wanted.pieces.values() if sizes.get(piece.key) != piece.bytes]


def _store(lacking: Iterable[Piece], target: Storage, fetch: Fetch, wanted: Parcel) -> None:
    lacking = [*lacking]
    total, done = sum(piece.bytes for piece in lacking), 0
    for piece in lacking:
        report(wanted.dataset, done, total)
        path = fetch(piece)
        target.put(piece.key, path)
        files.remove(path)
        done += piece.bytes
    if lacking:
        report(wanted.dataset, done, total)


def _put_documents(target: Storage, wanted: Parcel) -> None:
    for documents in (wanted.indexes, wanted.documents):
        for key, data in documents.items():
            target.put(key, data)


def _put_sources(target: Storage, wanted: Parcel) -> None:
    """Store the records of raw files, which `prepare` trusts: only where the pointer may move, and after it."""
    for key, data in wanted.sources.items():
        # The record there may be newer.
        if wanted.current or not target.exists(key):
            target.put(key, data)
