"""Bundles: datasets in one plain tar, for machines without a network. Equal content gives equal bytes.

The first member is `SHA256SUMS`, which `sha256sum -c` can read. The second is `bundle.json`, which lists the others:
versions, indexes and files, each named by its storage key; and the aliases of the datasets. `unbundle` computes every
tar header from that list and refuses any difference.
"""

from hashlib import sha256
from typing import Any, BinaryIO, Iterable, Iterator

from dataset_assets.core import files
from dataset_assets.core.canonical import canonical
from dataset_assets.core.commands import command
from dataset_assets.core.progress import report
from dataset_assets.core.scratch import scratch_folder
from dataset_assets.core.settings import settings
from dataset_assets.errors import (
    DigestMismatch,
    NotPrepared,
    StoredFileDamaged,
)
from dataset_assets.moving.bundle_format import (
    FORMAT,
    MANIFEST,
    SUMS,
    WITH_EXPERIMENTS,
    Experiment,
    Member,
    end_of,
    filling_of,
    header_of,
    sums_of,
)
from dataset_assets.moving.experiments import FOLDER, experiment_names, is_experiment, named, needed_by, piece_at
from dataset_assets.moving.materialize import materialized
from dataset_assets.moving.parcel import Parcel, Piece, Which, dataset_names, parcel
from dataset_assets.storage import Storage, open_storage
from dataset_assets.storage.aliases import aliases_in, own_name
from dataset_assets.storage.storage import open_object
from dataset_assets.storage.stored_experiment import StoredExperiment


def bundle(
    names: Iterable[str],
    storage: "str | Storage",
    into: "BinaryIO | Hashed",
    *,
    versions: Which = "current",
    raw: bool = False,
) -> list[str]:
    """Write datasets as one tar to an open file or pipe, and return the versions in it. No names means all.

    `experiments/NAME` names an experiment. `versions` and `raw` are as in `copy`. Each file is hashed while it is
    written. A damaged file raises `DigestMismatch`; the tar then ends early, and `unbundle` refuses it.
    """
    store = open_storage(storage)
    chosen = sorted({*names} or [*dataset_names(store), *map(FOLDER.__add__, experiment_names(store))])
    if not chosen:
        raise NotPrepared(f"{store.url} has no datasets. Prepare one with: {command('prepare NAME', store.url)}")
    datasets = sorted({own_name(store, name) for name in chosen if not is_experiment(name)})
    with scratch_folder(settings().scratch) as folder:
        found = [materialized(parcel(name, store, versions, raw), store, folder) for name in datasets]
        parcels, staged = [one for one, _ in found], [there for _, there in found]
        runs = [_experiment_in(store, name) for name in chosen if is_experiment(name)]
        known = aliases_in(store)
        for one in parcels:
            one.aliases = tuple(sorted(alias for alias, dataset in known.items() if dataset == one.dataset))
        members = [*_members(parcels), *(member for one in runs for member in one.members)]
        total, done, length = sum(member.size for member in members), 0, 0
        for member in (*_lists(parcels, runs, members, raw), *members):
            length += _write(into, _holder(member, store, staged), member)
            done += member.size if member.key not in (SUMS, MANIFEST) else 0
            report("bundle", done, total)
        into.write(end_of(length))
        into.flush()
    written = [f"{one.dataset}@{digest}" for one in parcels for digest in one.versions]
    return written + [f"{FOLDER}{one.name}@{one.generation}" for one in runs]


def _holder(member: Member, storage: Storage, staged: list[Storage]) -> Storage:
    """Return the storage that has a file: one in the scratch folder, if its values stay where they are."""
    return next((there for there in staged if member.data is None and there.exists(member.key)), storage)


def _experiment_in(storage: Storage, name: str) -> Experiment:
    stored = StoredExperiment(storage, named(name))
    pointer, needed = stored.present(), needed_by(stored)
    pieces = [piece_at(key, storage) for key in sorted(needed.keys)]
    members = tuple(Member(piece.key, piece.bytes, piece.sha256) for piece in pieces)
    return Experiment(stored.name, pointer.id, pointer.generation, members)


# The objects of a bundle, in order.


def _members(parcels: list[Parcel]) -> Iterator[Member]:
    documents: dict[str, bytes] = {}
    pieces: dict[str, Piece] = {}
    for one in parcels:
        documents |= {key: data for some in one.all_documents for key, data in some.items()}
        pieces |= one.pieces
    for key, data in sorted(documents.items()):
        yield Member(key, len(data), sha256(data).hexdigest(), data)
    for key, piece in sorted(pieces.items()):
        yield Member(key, piece.bytes, piece.sha256)


def _lists(parcels: list[Parcel], runs: list[Experiment], members: list[Member], raw: bool) -> tuple[Member, Member]:
    datasets = [
        # Sorted by digest, so that the bundle does not depend on when the versions were stored.
        {"dataset": p.dataset, "versions": sorted(p.versions), "current": p.current, "pinned": p.pinned}
        for p in parcels
    ]
    objects = [{"key": m.key, "bytes": m.size, "sha256": m.sha256} for m in members]
    # Earlier releases ignore this field, and do not write it.
    aliases = {alias: one.dataset for one in parcels for alias in one.aliases}
    more: dict[str, Any] = {"aliases": aliases} if aliases else {}
    if runs:
        pointers = [{"experiment": one.name, "id": one.id, "generation": one.generation} for one in runs]
        more |= {"experiments": pointers}
    number = WITH_EXPERIMENTS if runs else FORMAT
    data = canonical({"bundle": number, "raw": raw, "datasets": datasets, "objects": objects, **more})
    manifest = Member(MANIFEST, len(data), sha256(data).hexdigest(), data)
    sums = sums_of([manifest, *members])
    return Member(SUMS, len(sums), sha256(sums).hexdigest(), sums), manifest


def _write(into: "BinaryIO | Hashed", storage: Storage, member: Member) -> int:
    header, digest, count = header_of(member.key, member.size), sha256(), 0
    into.write(header)
    for chunk in [member.data] if member.data is not None else _chunks(storage, member):
        digest.update(chunk)
        count += len(chunk)
        into.write(chunk)
    if count != member.size or digest.hexdigest() != member.sha256:
        raise DigestMismatch(
            f"{member.key} in {storage.url} has {count} bytes and sha256 {digest.hexdigest()}, not that of its name. "
            "The bundle cannot be used. Repair the stored file with: "
            f"{command('verify --repair', storage.url)}"
        )
    into.write(filling_of(count))
    return len(header) + count + len(filling_of(count))


def _chunks(storage: Storage, member: Member) -> Iterator[bytes]:
    try:
        with open_object(storage, member.key, whole=True) as file:
            yield from files.chunks_of(file)
    except FileNotFoundError as error:
        raise StoredFileDamaged(
            f"{member.key} is missing from {storage.url}. The bundle cannot be used. Repair the dataset with: "
            f"{command('verify --repair', storage.url)}"
        ) from error


class Hashed:
    """Writes to a file and hashes the bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self._digest = file, sha256()

    @property
    def sha256(self) -> str:
        """The SHA-256 of all bytes written so far."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Write all of the data."""
        self._digest.update(data)
        self.file.write(data)

    def flush(self) -> None:
        """Flush the file."""
        self.file.flush()
