"""Splits that are stored already and fit their recipe, and publishing what was made: the index comes last.

Every function may be called again after its process was killed, and by several processes at once, without a lock.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Iterator, Sequence

from dataset_assets.core.canonical import canonical, digest_of
from dataset_assets.errors import StoredFileDamaged
from dataset_assets.making.provisional import prove
from dataset_assets.making.shared import note_raw
from dataset_assets.making.steps import StagedRaw, StagedSplit
from dataset_assets.reading.load import open_split
from dataset_assets.reading.views import Stored
from dataset_assets.storage.keys import source_key
from dataset_assets.storage.manifest import SplitIndex
from dataset_assets.storage.raw_files import RawFile, record_bytes
from dataset_assets.storage.storage import put_all
from dataset_assets.storage.stored_dataset import UNUSABLE, StoredDataset


@dataclass(frozen=True)
class FoundSplit:
    """A stored split: its index, the digest of that, and the split's view."""

    index: SplitIndex
    digest: str
    view: Stored


def made_split(stored: StoredDataset, split: str, recipe: str) -> FoundSplit | None:
    """Return a stored split that this recipe made, if all its files are there; the current one is tried first."""
    tried = set[str]()
    for digest in _candidates(stored, split, recipe):
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
    """Store a raw file that is kept under its digest, and its record; note for other datasets where it is."""
    return publish_raws(stored, [staged])[0]


def publish_raws(stored: StoredDataset, staged: Sequence[StagedRaw]) -> list[RawFile]:
    """Store raw files as `publish_raw` does: first all files, then all records."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    raws = [replace(one.raw, retrieved=now) for one in staged]
    put_all(stored.storage, {stored.raw_key(one.raw): one.path for one in staged if one.keep})
    put_all(stored.storage, {source_key(stored.name, raw.name): record_bytes(raw) for raw in raws})
    for one, raw in zip(staged, raws):
        if one.keep:
            note_raw(stored, raw)
        # After the note: a process that waits for its turn looks for it.
        one.published()
    return raws


def publish_stream(stored: StoredDataset, staged: StagedSplit, stream: str) -> None:
    """Store the files of one stream under their digests."""
    put_all(stored.storage, _files_of(staged, stream))


def publish_index(stored: StoredDataset, staged: StagedSplit) -> str:
    """Store a split's index, then note in the records of its raw files that it proves them.

    Stores the split's files again if a collector removed one in the meantime.
    """
    digest = digest_of(staged.index)
    if staged.rows:
        stored.storage.put(staged.index.rows_key, staged.rows)
    stored.put_index(staged.index, digest, canonical(staged.index))
    try:
        stored.check_sizes(staged.index)
    except StoredFileDamaged:
        # The parts whose files are gone are made again by the next run.
        if staged.index.parts:
            raise
        for stream in staged.index.streams:
            publish_stream(stored, staged, stream)
        if staged.rows:
            stored.storage.put(staged.index.rows_key, staged.rows)
    prove(stored, staged.proven)
    return digest


def publish_split(stored: StoredDataset, staged: StagedSplit) -> str:
    """Store a split, its index last; return the digest of the index."""
    # All streams together: a split may have thousands of small files.
    files_of_all = map(partial(_files_of, staged), staged.index.streams)
    put_all(stored.storage, dict(chain.from_iterable(found.items() for found in files_of_all)))
    return publish_index(stored, staged)


def _files_of(staged: StagedSplit, stream: str) -> dict[str, Path]:
    """Return the files of a stream by their keys; none if the split stores row numbers."""
    # The files of parts are stored when each part is done.
    if staged.rows or staged.index.parts:
        return {}
    keys = [staged.index.key_of(stream, file) for file in staged.index.streams[stream].files]
    return dict(zip(keys, staged.files[stream], strict=True))


def _candidates(stored: StoredDataset, split: str, recipe: str) -> Iterator[str]:
    """Yield the digests of a split's indexes that the recipe may have made, the current one first."""
    current = stored.current().version
    if current and split in current.splits:
        yield current.splits[split]
    yield from stored.with_recipe(split, recipe)
