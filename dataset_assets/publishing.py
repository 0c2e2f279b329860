"""Publishing: data first, then the index, then the pointer; and finding what was published before.

Every function may be called again after it was killed, by two processes at once, and without any lock.
"""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Mapping

from dataset_assets.definition import Dataset, RemoteFile
from dataset_assets.errors import Conflict, DatasetAssetsError, StoredFileDamaged
from dataset_assets.index import (
    SplitIndex, Version, canonical, digest_of, index_key, pointer_key, pointer_to, raw_key, read_pointer,
    read_split_index, read_version, sha256_hex, source_key, stream_key, version_key,
)
from dataset_assets.loading import StoredFiles
from dataset_assets.making import RawFile, StagedRaw, StagedSplit
from dataset_assets.names import storage_key
from dataset_assets.retrieval import Source, redacted
from dataset_assets.storage import Storage, size_of


def raw_record(storage: Storage, dataset: str, file: str) -> RawFile | None:
    """Return what is recorded of a raw file, whether or not its bytes are still there."""
    try:
        with storage.get(source_key(dataset, file)) as opened:
            found = json.loads(opened.read())
        return RawFile(**{**found, "source": Source(**found["source"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        # A damaged record is no record: the file is retrieved again and recorded anew.
        return None


def has_raw(storage: Storage, dataset: Dataset, raw: RawFile) -> bool:
    """Say whether a raw file's bytes are there, by their size."""
    return size_of(storage, raw_key(dataset.name, raw.name, raw.sha256)) == raw.bytes


def usable_raw(storage: Storage, dataset: Dataset, file: RemoteFile) -> RawFile | None:
    """Return the raw file if it is there and is the one that the definition means."""
    raw = raw_record(storage, dataset.name, file.identifier)
    if raw is None or not has_raw(storage, dataset, raw):
        return None
    same = raw.url == redacted(file.urls[0]) if file.digest is None else raw.digest == file.digest
    return raw if same else None


def recorded_raw(storage: Storage, dataset: Dataset, file: RemoteFile) -> RawFile | None:
    """Return what was recorded when this very URL was first retrieved."""
    raw = raw_record(storage, dataset.name, file.identifier)
    return raw if raw and raw.url == redacted(file.urls[0]) else None


def made_raw(storage: Storage, dataset: Dataset, file: str, recipe: str) -> RawFile | None:
    """Return a derived file that is there and was made by this recipe."""
    raw = raw_record(storage, dataset.name, file)
    return raw if raw and raw.digest == recipe and has_raw(storage, dataset, raw) else None


def publish_raw(storage: Storage, dataset: Dataset, staged: StagedRaw) -> RawFile:
    """Store a raw file under its content, then what is known of its source."""
    raw = replace(staged.raw, retrieved=datetime.now(UTC).isoformat(timespec="seconds"))
    storage.put(raw_key(dataset.name, raw.name, raw.sha256), staged.path)
    storage.put(source_key(dataset.name, raw.name), json.dumps(asdict(raw), indent=1).encode())
    return raw


def publish_stream(storage: Storage, staged: StagedSplit, stream: str) -> None:
    """Store the files of one stream under their content."""
    index, found = staged.index, staged.index.streams[stream]
    for file, path in zip(found.files, staged.files[stream], strict=True):
        storage.put(stream_key(index.dataset, index.split, stream, file.sha256, found.suffix), path)


def publish_index(storage: Storage, staged: StagedSplit) -> str:
    """Store a split's index, and look again whether its files are there: a collector may have taken one meanwhile."""
    digest = digest_of(staged.index)
    storage.put(index_key(staged.index.dataset, staged.index.split, digest), canonical(staged.index))
    try:
        StoredFiles(storage, staged.index).check_sizes()
    except StoredFileDamaged:
        for stream in staged.index.streams:
            publish_stream(storage, staged, stream)
    return digest


def publish_split(storage: Storage, staged: StagedSplit) -> str:
    """Store a split, its index last; return the index's digest."""
    for stream in staged.index.streams:
        publish_stream(storage, staged, stream)
    return publish_index(storage, staged)


def made_split(storage: Storage, dataset: Dataset, split: str, recipe: str) -> tuple[SplitIndex, str] | None:
    """Return a whole stored split that was made by this recipe, and its digest; the released one is looked at first."""
    seen: set[str] = set()
    for digest in _candidates(storage, dataset, split):
        if digest in seen:
            continue
        seen.add(digest)
        try:
            index = read_split_index(storage, dataset.name, split, digest)
            if index.recipe == recipe:
                StoredFiles(storage, index).check_sizes()
                return index, digest
        except DatasetAssetsError:
            # Damaged work is no work: it is made again, and its files replaced.
            continue
    return None


def current_version(storage: Storage, dataset: str) -> tuple[Version | None, str | None, str | None]:
    """Return the released version, its digest and the pointer's own; None for what is absent or damaged."""
    try:
        digest, pointer = read_pointer(storage, dataset)
    except DatasetAssetsError:
        with storage.get(pointer_key(dataset)) as opened:
            return None, None, sha256_hex(opened.read())
    try:
        return (read_version(storage, dataset, digest) if digest else None), digest, pointer
    except DatasetAssetsError:
        return None, None, pointer


def publish_version(storage: Storage, version: Version) -> str:
    """Store a version, so that it can be opened by its digest, without releasing it."""
    digest = digest_of(version)
    storage.put(version_key(version.dataset, digest), canonical(version))
    return digest


def release(storage: Storage, version: Version, expected: str | None) -> str:
    """Store a version and make it the current one, as `point_to` does; one that is current already is left as it is."""
    digest = digest_of(version)
    if current_version(storage, version.dataset)[1] != digest:
        publish_version(storage, version)
        point_to(storage, version.dataset, digest, expected)
    return digest


def point_to(storage: Storage, dataset: str, digest: str, expected: str | None) -> None:
    """Move the pointer, if it is still the one that was read (`expected`) before the work began.

    Raises `Conflict` if another version was released meanwhile.
    """
    if storage.swap(pointer_key(dataset), pointer_to(digest), expected):
        return
    current, _ = read_pointer(storage, dataset)
    if current != digest:
        raise Conflict(
            f"{dataset}: version {current} was released by somebody else while {digest} was prepared. The current version "
            f"is left as it is; open yours as {dataset}@{digest}, or prepare again to release what is defined now."
        )


def _candidates(storage: Storage, dataset: Dataset, split: str) -> Mapping[str, None]:
    current, _, _ = current_version(storage, dataset.name)
    found = [current.splits[split]] if current and split in current.splits else []
    # A listing may lag; it only saves work.
    names = (key.rsplit("/", 1)[1] for key in storage.list(storage_key(dataset.name, split, "index")))
    return dict.fromkeys([*found, *sorted(name.removesuffix(".json") for name in names)])
