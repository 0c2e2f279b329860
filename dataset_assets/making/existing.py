"""What of a dataset is stored already and fits its definition, and publishing what was made: the index comes last.

Every function may be called again after its process was killed, and by several processes at once, without a lock.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Iterator, Mapping

from dataset_assets.core import files
from dataset_assets.core.canonical import canonical, digest_of
from dataset_assets.core.commands import command
from dataset_assets.core.names import storage_key
from dataset_assets.core.redact import redacted
from dataset_assets.definition.dataset import RemoteFile
from dataset_assets.errors import DigestMismatch, NotPrepared, StoredFileDamaged
from dataset_assets.making.provisional import prove
from dataset_assets.making.shared import note_raw
from dataset_assets.making.steps import StagedRaw, StagedSplit
from dataset_assets.reading.load import open_split
from dataset_assets.reading.views import Stored
from dataset_assets.storage.keys import index_key, source_key
from dataset_assets.storage.manifest import SplitIndex
from dataset_assets.storage.raw_files import RawFile, Source, record_bytes
from dataset_assets.storage.storage import put_all
from dataset_assets.storage.stored_dataset import UNUSABLE, StoredDataset


def meant_raw(stored: StoredDataset, file: RemoteFile) -> RawFile | None:
    """Return the record of a raw file if it is of the bytes that the definition means; they may be gone."""
    raw = stored.raw(file.identifier)
    if raw is None:
        return None
    if file.digest is None:
        return raw if raw.url == redacted(file.urls[0]) else None
    return raw if file.digest in (raw.digest, f"sha256:{raw.sha256}") else None


def usable_raw(
    stored: StoredDataset, file: RemoteFile, sizes: Mapping[str, int] = MappingProxyType({})
) -> RawFile | None:
    """Return the stored raw file if it is the one that the definition means; `sizes` are those of a listing."""
    raw = meant_raw(stored, file)
    return raw if raw and stored.has_raw(raw, sizes) else None


def recorded_raw(stored: StoredDataset, file: RemoteFile) -> RawFile | None:
    """Return the record of the first retrieval of this URL; if it is lost, what the current version says of it."""
    url = redacted(file.urls[0])
    raw = stored.raw(file.identifier)
    if raw is not None:
        return raw if raw.url == url else None
    current = stored.current().version
    for split, digest in current.splits.items() if current else ():
        try:
            sources = stored.index(split, digest).own_sources
        except UNUSABLE:
            continue
        for used in sources:
            if (used.name, used.url) == (file.identifier, url):
                return RawFile(used.name, used.sha256, used.bytes, url, None, Source(url))
    return None


def made_raw(stored: StoredDataset, file: str, recipe: str) -> RawFile | None:
    """Return the record of a derived file if this recipe made it; its bytes may be gone."""
    raw = stored.raw(file)
    return raw if raw and raw.digest == recipe else None


def check_raw(stored: StoredDataset, raw: RawFile) -> None:
    """Hash a stored raw file. Raises `DigestMismatch` if it changed, `NotPrepared` if it is gone."""
    key, url = stored.raw_key(raw), stored.storage.url
    again = command(f"prepare --refresh {stored.name}", url)
    try:
        with stored.open_raw(raw, whole=True) as opened:
            found = files.sha256_in(opened)
    except FileNotFoundError as error:
        raise NotPrepared(f"The raw file {key} is gone from {url}. Make it again with: {again}") from error
    if found != raw.sha256:
        raise DigestMismatch(
            f"The raw file {key} in {url} has sha256 {found}. Delete it, and make it again with: {again}"
        )


@dataclass(frozen=True)
class FoundSplit:
    """A stored split: its index, the digest of that, and the split's view."""

    index: SplitIndex
    digest: str
    view: Stored


def made_split(stored: StoredDataset, split: str, recipe: str) -> FoundSplit | None:
    """Return a stored split that this recipe made, if all its files are there; the current one is tried first."""
    tried = set[str]()
    for digest in _candidates(stored, split):
        if digest in tried:
            continue
        tried.add(digest)
        try:
            index = stored.index(split, digest)
            if index.recipe == recipe:
                # Opening shows damage that a reader would meet. A remote file is opened only when it is read, so its
                # size is asked for too.
                view = open_split(stored, split, digest)
                stored.check_sizes(index)
                return FoundSplit(index, digest, view)
        except UNUSABLE:
            # A damaged split is made again, and its files are replaced.
            continue
    return None


def publish_raw(stored: StoredDataset, staged: StagedRaw) -> RawFile:
    """Store a raw file under its digest, then its record; note for other datasets where it is."""
    stored.storage.put(stored.raw_key(staged.raw), staged.path)
    raw = publish_record(stored, staged)
    note_raw(stored, raw)
    return raw


def publish_record(stored: StoredDataset, staged: StagedRaw) -> RawFile:
    """Store the record of a raw file, without its bytes."""
    raw = replace(staged.raw, retrieved=datetime.now(UTC).isoformat(timespec="seconds"))
    stored.storage.put(source_key(stored.name, raw.name), record_bytes(raw))
    staged.published()
    return raw


def publish_stream(stored: StoredDataset, staged: StagedSplit, stream: str) -> None:
    """Store the files of one stream under their digests."""
    put_all(stored.storage, _files_of(staged, stream))


def publish_index(stored: StoredDataset, staged: StagedSplit) -> str:
    """Store a split's index, then note in the records of its raw files that it proves them.

    Stores the split's files again if a collector removed one in the meantime.
    """
    digest = digest_of(staged.index)
    stored.put_document(index_key(stored.name, staged.index.split, digest), canonical(staged.index))
    try:
        stored.check_sizes(staged.index)
    except StoredFileDamaged:
        for stream in staged.index.streams:
            publish_stream(stored, staged, stream)
    prove(stored, staged.proven)
    return digest


def publish_split(stored: StoredDataset, staged: StagedSplit) -> str:
    """Store a split, its index last; return the digest of the index."""
    # All streams together: a split may have thousands of small files.
    files_of_all = map(partial(_files_of, staged), staged.index.streams)
    put_all(stored.storage, dict(chain.from_iterable(found.items() for found in files_of_all)))
    return publish_index(stored, staged)


def _files_of(staged: StagedSplit, stream: str) -> dict[str, Path]:
    """Return the files of a stream by their keys."""
    keys = [staged.index.key_of(stream, file) for file in staged.index.streams[stream].files]
    return dict(zip(keys, staged.files[stream], strict=True))


def _candidates(stored: StoredDataset, split: str) -> Iterator[str]:
    """Yield the digests of a split's indexes, the current one first."""
    current = stored.current().version
    if current and split in current.splits:
        yield current.splits[split]
    # A listing may lag behind; what it lacks is made again.
    names = (key.rsplit("/", 1)[1] for key in stored.storage.list(storage_key(stored.name, split, "index")))
    yield from sorted(name.removesuffix(".json") for name in names)
