"""Copies datasets from one storage to another: only what is missing, each file verified, the pointer last.

A copy may be killed at any point and run again, and several may run at once: a file is named by its digest, so it is
the same whoever stores it, and a version is stored after all files that it names.
"""

import logging
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Callable, Iterable, Iterator, Mapping, NamedTuple

from dataset_assets.core import files
from dataset_assets.core.commands import command
from dataset_assets.core.names import split_pin, storage_key
from dataset_assets.core.progress import report
from dataset_assets.core.scratch import root_below, scratch_folder
from dataset_assets.core.settings import settings
from dataset_assets.definition import registry
from dataset_assets.errors import (
    Conflict,
    DatasetAssetsError,
    DigestMismatch,
    IntegrityError,
    NotFound,
    Refused,
    StoredFileDamaged,
    UsageError,
)
from dataset_assets.moving.materialize import materialized
from dataset_assets.moving.outdated import excludes_more, remove_outdated
from dataset_assets.moving.parcel import Parcel, Piece, Which, dataset_names, parcel
from dataset_assets.moving.pointer import Knows, may_move, offer
from dataset_assets.storage import LocalStorage, Storage, open_storage
from dataset_assets.storage.aliases import aliases_of, lacking_aliases, write_aliases
from dataset_assets.storage.exclusions import take_over
from dataset_assets.storage.gc_lease import wait_for_collector
from dataset_assets.storage.keys import place_of
from dataset_assets.storage.manifest import parse_index
from dataset_assets.storage.pins import pin
from dataset_assets.storage.storage import open_object, settle, sizes_of
from dataset_assets.storage.stored_dataset import StoredDataset

ATTEMPTS = 3

log = logging.getLogger(__name__)


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
    apply_exclusions: bool = False,
    broken: list[DatasetAssetsError] | None = None,
) -> list[Copied]:
    """Copy a dataset, or with None every one, to another storage.

    The current version becomes current there too if there is none, or if the source has the one that is. Another one
    stays, unless `make_current` is given; `Copied` says both.

    `name@digest` copies that version and moves no pointer. `versions` may ask for the pinned ones too, or for all, and
    `raw` for the retrieved files. `aliases` copies the dataset's aliases too. Every file is hashed on the way. Samples
    that were taken out on request in the source stay out of a new dataset; of one that is there already they are taken
    out, and its older versions removed, with `apply_exclusions`, and without it the copy is refused. Raises
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
                if not name and versions == "current" and StoredDataset(here, one).pointer().version is None:
                    log.info("%s was never released, so there is nothing of it to copy.", one)
                    continue
                wanted = parcel(one, here, versions, raw, errors)
                wanted.aliases = tuple(aliases_of(StoredDataset(here, wanted.dataset))) if aliases else ()
                done.append(_copied(wanted, here, there, folder, make_current, apply_exclusions))
            except (IntegrityError, NotFound, Conflict, Refused) as error:
                errors.append(error)
    if errors and broken is None:
        raise errors[0]
    return done


def _copied(
    wanted: Parcel, source: Storage, target: Storage, folder: Path, make_current: bool, apply_exclusions: bool
) -> Copied:
    wanted, staged = materialized(wanted, source, folder, target)
    knows = StoredDataset(source, wanted.dataset).has_version

    def fetch(piece: Piece) -> Path:
        return fetched(staged if staged.exists(piece.key) else source, piece, folder)

    return deliver(wanted, target, fetch, knows, make_current, apply_exclusions)


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
    if place and registry.is_defined(StoredDataset(storage, place.dataset).own_named().name):
        return f"Repair it there with: {command(words, storage.url)}"
    return (
        "Nothing here defines it, so it cannot be made again here. Repair it from a storage URL that has it whole, "
        f"with: {command(f'{words} --from URL', storage.url)}"
    )


def deliver(
    wanted: Parcel,
    target: Storage,
    fetch: Fetch,
    knows: Knows | None = None,
    make_current: bool = False,
    apply_exclusions: bool = False,
) -> Copied:
    """Store what is missing of a parcel: files, indexes, versions; then move the pointer if it may move; then aliases.

    `knows` says which versions the source has; without it, a pointer that exists is not moved. Raises `Refused` if more
    samples were taken out on request there than here; and if more were here, unless they are taken out there too.
    """
    there = StoredDataset(target, wanted.dataset)
    lacking_aliases(there, wanted.aliases)
    before = there.pointer(damage_is_absence=True)
    wider = excludes_more(there, wanted.excluded, wanted.current, apply_exclusions)
    agreed = make_current or wider or may_move(there, before, wanted.current, knows)
    if wanted.excluded.every:
        take_over(there, wanted.excluded, released=False)
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
    if wanted.excluded.every:
        take_over(there, wanted.excluded, released=True)
    if wider:
        remove_outdated(there)
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
    there = StoredDataset(target, wanted.dataset)
    for key, data in wanted.indexes.items():
        place = place_of(key)
        assert place is not None  # a parcel has the keys of indexes only
        index = parse_index(data, key, wanted.dataset, place.name, place.digest, target.url)
        there.put_index(index, place.digest, data)
    for key, data in wanted.documents.items():
        target.put(key, data)


def _put_sources(target: Storage, wanted: Parcel) -> None:
    """Store the records of raw files, which `prepare` trusts: only where the pointer may move, and after it."""
    for key, data in wanted.sources.items():
        # The record there may be newer.
        if wanted.current or not target.exists(key):
            target.put(key, data)
