"""The state of raw files without a declared digest: provisional until a split that was made of them is published.

The state in a record is a hint, for its writer may be killed before it clears it: bytes that an index names are proven.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Iterable, Iterator

from dataset_assets.errors import StorageError
from dataset_assets.storage.keys import source_key
from dataset_assets.storage.manifest import SplitIndex
from dataset_assets.storage.raw_files import RawFile, State, record_bytes
from dataset_assets.storage.storage import put_all
from dataset_assets.storage.stored_dataset import UNUSABLE, StoredDataset


def is_proven(stored: StoredDataset, raw: RawFile) -> bool:
    """Say whether a split that was made of these bytes passed its checks; then different bytes are refused."""
    named = (raw.name, raw.sha256)
    if not raw.state or named in released_sources(stored):
        return True
    if raw.state == "doubted":
        return False
    listed = [(place.name, place.digest) for place in stored.listed().of("index")]
    passed = [index for index in _read(stored, listed) if all(finding.passed for finding in index.findings)]
    return named in _sources(passed)


def released_sources(stored: StoredDataset) -> set[tuple[str, str]]:
    """Return the name and sha256 of each file that a version names which was not refused."""
    current, found = stored.current().digest, set()
    for digest in {current, *stored.versions()} - {None}:
        with suppress(*UNUSABLE):
            version = stored.version(str(digest))
            found |= set() if version.refused else _sources(_read(stored, version.splits.items()))
    return found


def prove(stored: StoredDataset, raws: Iterable[RawFile]) -> None:
    """Note in their records that these bytes are proven. A storage that cannot be written is left as it is."""
    with suppress(StorageError):
        set_state(stored, raws, "")


def set_state(stored: StoredDataset, raws: Iterable[RawFile], state: State) -> None:
    """Write the state of raw files into their records, unless a record is of different bytes by now."""
    read = ((raw, stored.raw(raw.name)) for raw in raws)
    changed = [now for raw, now in read if now and now.sha256 == raw.sha256 and now.state != state]
    records = {source_key(stored.name, now.name): record_bytes(replace(now, state=state)) for now in changed}
    put_all(stored.storage, records)


def _read(stored: StoredDataset, indexes: Iterable[tuple[str, str]]) -> Iterator[SplitIndex]:
    for split, digest in indexes:
        with suppress(*UNUSABLE):
            yield stored.index(split, digest)


def _sources(indexes: Iterable[SplitIndex]) -> set[tuple[str, str]]:
    return {(used.name, used.sha256) for index in indexes for used in index.sources}
