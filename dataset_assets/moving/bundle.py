"""Bundles: datasets in one plain tar, for machines without a network. Equal content gives equal bytes.

The first member is `SHA256SUMS`, which `sha256sum -c` can read. The second is `bundle.json`, which lists the others:
versions, indexes and files, each named by its storage key; and the aliases of the datasets. `unbundle` computes every
tar header from that list and refuses any difference.
"""

import errno
import json
import os
import re
import tarfile
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Iterable, Iterator, NamedTuple

from dataset_assets.core import files
from dataset_assets.core.canonical import canonical
from dataset_assets.core.commands import command
from dataset_assets.core.names import check_dataset_name, split_pin
from dataset_assets.core.progress import report
from dataset_assets.errors import (
    DecodeError,
    DigestMismatch,
    IntegrityError,
    NameNotAllowed,
    NoSpace,
    NotPrepared,
    StoredFileDamaged,
    UsageError,
)
from dataset_assets.moving.copy import (
    Copied,
    Parcel,
    Piece,
    Which,
    dataset_names,
    deliver,
    gathered,
    missing,
    parcel,
    workplace,
)
from dataset_assets.storage import LocalStorage, Storage, check_key, open_storage
from dataset_assets.storage.aliases import aliases_in, lacking_aliases, own_name
from dataset_assets.storage.keys import place_of
from dataset_assets.storage.storage import open_object
from dataset_assets.storage.stored_dataset import StoredDataset

FORMAT = 1
SUMS, MANIFEST = "SHA256SUMS", "bundle.json"
LARGEST_LIST = 256 << 20
"""The size limit of a bundle's list of objects, in bytes. It is read into memory."""


class _Member(NamedTuple):
    """An object in a bundle; a document carries its data."""

    key: str
    size: int
    sha256: str
    data: bytes | None = None


def bundle(
    names: Iterable[str],
    storage: "str | Storage",
    into: "BinaryIO | files.Hashed",
    *,
    versions: Which = "current",
    raw: bool = False,
) -> list[str]:
    """Write datasets as one tar to an open file or pipe, and return the versions in it. No names means all datasets.

    `versions` and `raw` are as in `copy`. Each file is hashed while it is written. A damaged file raises
    `DigestMismatch`; the tar then ends early, and `unbundle` refuses it.
    """
    store = open_storage(storage)
    chosen = sorted({own_name(store, name) for name in names} or dataset_names(store))
    if not chosen:
        raise NotPrepared(f"{store.url} has no datasets. Prepare one with: {command('prepare NAME', store.url)}")
    parcels = [parcel(name, store, versions, raw) for name in chosen]
    known = aliases_in(store)
    for one in parcels:
        one.aliases = tuple(sorted(alias for alias, dataset in known.items() if dataset == one.dataset))
    members = [*_members(parcels)]
    total, done, length = sum(member.size for member in members), 0, 0
    for member in (*_lists(parcels, members, raw), *members):
        length += _write(into, store, member)
        done += member.size if member.key not in (SUMS, MANIFEST) else 0
        report("bundle", done, total)
    into.write(_end(length))
    into.flush()
    return [f"{one.dataset}@{digest}" for one in parcels for digest in one.versions]


def unbundle(
    source: BinaryIO,
    into: "str | Storage",
    *,
    expect: str | None = None,
    make_current: bool = False,
    aliases: bool = False,
) -> list[Copied]:
    """Read a bundle from an open file or pipe, verify all of it, then store its contents.

    The bundle's current version becomes current if the dataset has none yet, or if `make_current` is true. `expect` is
    the SHA-256 that the bundle must have. `aliases` stores the datasets' aliases too. Raises `DecodeError` if this is
    not a bundle or it ends early, `DigestMismatch` if a digest differs, and `Conflict` if another stored dataset has
    one of the aliases. Nothing is stored then.
    """
    target, reader = open_storage(into), _Reader(source, expect)
    with workplace(target) as folder:
        staged = LocalStorage(folder / "staged")
        parcels = _unpacked(reader, staged)
        for one in parcels:
            one.aliases = one.aliases if aliases else ()
            lacking_aliases(StoredDataset(target, one.dataset), one.aliases)
        # The bundle may be hostile, so what it says about its source's other versions is not used.
        return [deliver(one, target, partial(_linked, staged, folder), None, make_current) for one in parcels]


def _linked(staged: LocalStorage, folder: Path, piece: Piece) -> Path:
    path = folder / piece.sha256
    files.remove(path)
    files.link(staged.root / piece.key, path)
    return path


# The objects of a bundle, in order.


def _members(parcels: list[Parcel]) -> Iterator[_Member]:
    documents: dict[str, bytes] = {}
    pieces: dict[str, Piece] = {}
    for one in parcels:
        documents |= {**one.documents, **one.indexes, **one.sources}
        pieces |= one.pieces
    for key, data in sorted(documents.items()):
        yield _Member(key, len(data), sha256(data).hexdigest(), data)
    for key, piece in sorted(pieces.items()):
        yield _Member(key, piece.bytes, piece.sha256)


def _lists(parcels: list[Parcel], members: list[_Member], raw: bool) -> tuple[_Member, _Member]:
    datasets = [
        # Sorted by digest, so that the bundle does not depend on when the versions were stored.
        {"dataset": p.dataset, "versions": sorted(p.versions), "current": p.current, "pinned": p.pinned}
        for p in parcels
    ]
    objects = [{"key": m.key, "bytes": m.size, "sha256": m.sha256} for m in members]
    # Earlier releases ignore this field, and do not write it.
    aliases = {alias: one.dataset for one in parcels for alias in one.aliases}
    more = {"aliases": aliases} if aliases else {}
    data = canonical({"bundle": FORMAT, "raw": raw, "datasets": datasets, "objects": objects, **more})
    manifest = _Member(MANIFEST, len(data), sha256(data).hexdigest(), data)
    sums = _sums([manifest, *members])
    return _Member(SUMS, len(sums), sha256(sums).hexdigest(), sums), manifest


def _sums(members: Iterable[_Member]) -> bytes:
    return "".join(f"{member.sha256}  {member.key}\n" for member in members).encode()


def _write(into: "BinaryIO | files.Hashed", storage: Storage, member: _Member) -> int:
    header, digest, count = _header(member.key, member.size), sha256(), 0
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
    into.write(_filling(count))
    return len(header) + count + len(_filling(count))


def _chunks(storage: Storage, member: _Member) -> Iterator[bytes]:
    try:
        with open_object(storage, member.key, whole=True) as file:
            yield from files.chunks_of(file)
    except FileNotFoundError as error:
        raise StoredFileDamaged(
            f"{member.key} is missing from {storage.url}. The bundle cannot be used. Repair the dataset with: "
            f"{command('verify --repair', storage.url)}"
        ) from error


def _header(key: str, size: int) -> bytes:
    info = tarfile.TarInfo(key)
    info.size = size
    try:
        return info.tobuf(tarfile.USTAR_FORMAT)
    except ValueError:
        # The old format cannot hold this name or size.
        return info.tobuf(tarfile.PAX_FORMAT)


def _filling(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _end(length: int) -> bytes:
    two = 2 * tarfile.BLOCKSIZE
    return bytes(two + -(length + two) % tarfile.RECORDSIZE)


# Reading a bundle.


class _Reader:
    """Reads a bundle, and hashes what it reads."""

    def __init__(self, file: BinaryIO, digest: str | None = None) -> None:
        self.file, self.at, self.digest = file, 0, sha256()
        self.expected = _checked_digest(digest)

    def read(self, count: int) -> bytes:
        """Return `count` bytes. Raises `DecodeError` if the bundle ends before."""
        data = bytearray()
        while len(data) < count and (more := self.file.read(count - len(data))):
            data += more
        self.at += len(data)
        self.digest.update(data)
        if len(data) < count:
            raise DecodeError(f"The bundle ends early, at byte {self.at}. Nothing was stored; transfer it again.")
        return bytes(data)

    def chunks(self, count: int) -> Iterator[bytes]:
        """Yield `count` bytes, then skip the padding of the last block."""
        left = count
        while left:
            chunk = self.read(min(left, files.CHUNK))
            left -= len(chunk)
            yield chunk
        self.expect(_filling(count), "the end of an object")

    def expect(self, data: bytes, what: str) -> None:
        """Raise `DecodeError` unless these bytes follow."""
        at = self.at
        if self.read(len(data)) != data:
            raise _strange(f"at byte {at} is not {what}")

    def end(self) -> None:
        """Check that the tar ends here. Raises `DecodeError` if not, and `DigestMismatch` if it has another digest."""
        self.expect(_end(self.at), "the end")
        if self.file.read(1):
            raise _strange(f"it continues after its end, at byte {self.at}")
        if self.expected not in (None, found := self.digest.hexdigest()):
            raise DigestMismatch(
                f"The bundle has sha256 {found}, not the expected {self.expected}. Nothing was stored. Transfer it "
                "again, or ask its author which digest is right."
            )


def _checked_digest(digest: str | None) -> str | None:
    if digest is not None and not re.fullmatch("[0-9a-f]{64}", digest.lower()):
        raise UsageError(f"{digest!r} is not a SHA-256. Give the 64 hex digits that bundle or sha256sum printed.")
    return digest and digest.lower()


def _strange(what: str) -> DecodeError:
    return DecodeError(f"This is not a bundle that dataset-assets wrote: {what}. Nothing was stored.")


def _unpacked(reader: _Reader, staged: LocalStorage) -> list[Parcel]:
    """Stage a bundle and return its contents, which must be exactly the objects that its versions name."""
    sums, data = _listed(reader, SUMS), _listed(reader, MANIFEST)
    raw, datasets, members, aliases = _manifest(data)
    if sums != _sums([_Member(MANIFEST, len(data), sha256(data).hexdigest()), *members]):
        raise DigestMismatch(f"{SUMS} and {MANIFEST} of the bundle contradict each other. Nothing was stored.")
    _see_room(sum(member.size for member in members), staged.root.parent)
    total, done = sum(member.size for member in members), 0
    for member in members:
        _stage(reader, staged, member)
        done += member.size
        report("bundle", done, total)
    reader.end()
    parcels = [gathered(StoredDataset(staged, dataset.pop("dataset")), raw=raw, **dataset) for dataset in datasets]
    named = {key for one in parcels for keys in (one.documents, one.indexes, one.sources, one.pieces) for key in keys}
    if named != {member.key for member in members} or any(missing(one, staged) for one in parcels):
        raise IntegrityError("The bundle's objects are not exactly those that its versions name. Nothing was stored.")
    for one in parcels:
        one.aliases = tuple(alias for alias, dataset in aliases.items() if dataset == one.dataset)
    return parcels


def _listed(reader: _Reader, name: str) -> bytes:
    """Read one of the two lists."""
    header = reader.read(tarfile.BLOCKSIZE)
    try:
        size = tarfile.TarInfo.frombuf(header, "utf-8", "strict").size
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise _strange(f"at byte {reader.at - len(header)} is not {name}") from error
    if not 0 <= size <= LARGEST_LIST or header != _header(name, size):
        raise _strange(f"at byte {reader.at - len(header)} is not {name}, of at most {LARGEST_LIST} bytes")
    return b"".join(reader.chunks(size))


def _manifest(data: bytes) -> tuple[bool, list[dict[str, Any]], list[_Member], dict[str, str]]:
    try:
        found = json.loads(data)
        if found.get("bundle") != FORMAT or data != canonical(found):
            raise _strange(f"{MANIFEST} says {found.get('bundle')!r}; this release reads bundles of format {FORMAT}")
        members = [_member(**one) for one in found["objects"]]
        datasets = [_dataset(**one) for one in found["datasets"]]
        raw = found["raw"]
        aliases = _aliases(found.get("aliases", {}), {one["dataset"] for one in datasets})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        if isinstance(error, IntegrityError):
            raise
        raise _strange(f"{MANIFEST} cannot be read ({type(error).__name__})") from error
    if len({member.key for member in members}) != len(members) or raw not in (True, False):
        raise _strange(f"{MANIFEST} names an object twice")
    return raw, datasets, members, aliases


def _aliases(aliases: dict[str, str], datasets: set[str]) -> dict[str, str]:
    if not {*aliases.values()} <= datasets:
        raise _strange(f"{MANIFEST} has aliases of datasets that are not in it")
    return {check_dataset_name(alias): dataset for alias, dataset in aliases.items()}


def _member(key: str, bytes: int, sha256: str) -> _Member:
    place = place_of(check_key(key))
    if place is None or place.kind not in ("version", "index", "source", "stream", "raw"):
        raise NameNotAllowed(f"A bundle cannot contain {key}.")
    if type(bytes) is not int or bytes < 0 or not isinstance(sha256, str) or place.digest not in ("", sha256):
        raise ValueError(key)
    return _Member(key, bytes, sha256)


def _dataset(dataset: str, versions: list[str], current: str | None, pinned: list[str]) -> dict[str, Any]:
    for digest in versions:
        split_pin(f"{dataset}@{digest}")
    if not {*pinned, *([current] if current else [])} <= {*versions}:
        raise ValueError(dataset)
    return {"dataset": dataset, "versions": versions, "current": current, "pinned": pinned}


def _stage(reader: _Reader, staged: LocalStorage, member: _Member) -> None:
    reader.expect(_header(member.key, member.size), member.key)
    path, digest = staged.root / member.key, sha256()
    files.make_folder(path.parent)
    with files.Written(path) as written:
        for chunk in reader.chunks(member.size):
            digest.update(chunk)
            written.write(chunk)
    if digest.hexdigest() != member.sha256:
        raise DigestMismatch(
            f"{member.key} in the bundle has sha256 {digest.hexdigest()}, not {member.sha256}. Nothing was stored; "
            "transfer it again."
        )


def _see_room(needed: int, folder: Path) -> None:
    info = os.statvfs(folder)
    if needed > (free := info.f_bavail * info.f_frsize):
        raise NoSpace(
            errno.ENOSPC,
            f"The bundle needs {needed / 1e6:.0f} MB; {folder} has {free / 1e6:.0f} MB free. Nothing was stored. Free "
            "some space, then run the command again.",
        )
