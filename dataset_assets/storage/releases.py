"""Publishing: data first, then the index, then the pointer; and finding what was published before.

Every function may be called again after it was killed, by two processes at once, and without any lock.
"""

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Mapping

from dataset_assets.core import files
from dataset_assets.core.documents import Unfit, read_as
from dataset_assets.core.names import storage_key
from dataset_assets.core.redact import redacted
from dataset_assets.definition.dataset import Dataset, RemoteFile
from dataset_assets.errors import (
    Conflict,
    DigestMismatch,
    IntegrityError,
    NewerFormat,
    NotFound,
    NotPrepared,
    StoredFileDamaged,
)
from dataset_assets.making.steps import RawFile, StagedRaw, StagedSplit
from dataset_assets.reading.load import StoredFiles, index_of, open_split
from dataset_assets.retrieval import Source
from dataset_assets.storage import Storage, size_of
from dataset_assets.storage.gc_lease import wait_for_collector
from dataset_assets.storage.manifest import (
    SplitIndex,
    Version,
    bounded,
    canonical,
    digest_of,
    index_key,
    pointer_key,
    pointer_to,
    raw_key,
    read_pointer,
    read_split_index,
    read_version,
    sealed,
    sha256_hex,
    source_key,
    stream_key,
    unsealed,
    version_key,
)

# What cannot be read is made again; that the storage itself fails is another thing.
UNUSABLE = (IntegrityError, NotFound)


def raw_record(storage: Storage, dataset: str, file: str) -> RawFile | None:
    """Return what is recorded of a raw file, whether or not its bytes are still there."""
    key = source_key(dataset, file)
    try:
        with storage.get(key) as opened:
            found = unsealed(bounded(opened), key, dataset)
        record: RawFile = read_as(RawFile, found)
        return record
    except NewerFormat:
        raise
    except (FileNotFoundError, IntegrityError, Unfit):
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
    if file.digest is None:
        return raw if raw.url == redacted(file.urls[0]) else None
    return raw if file.digest in (raw.digest, f"sha256:{raw.sha256}") else None


def recorded_raw(storage: Storage, dataset: Dataset, file: RemoteFile) -> RawFile | None:
    """Return what was recorded when this very URL was first retrieved; if the record is lost, what the release says."""
    url = redacted(file.urls[0])
    raw = raw_record(storage, dataset.name, file.identifier)
    if raw is not None:
        return raw if raw.url == url else None
    current, _, _ = current_version(storage, dataset.name)
    for split, digest in current.splits.items() if current else ():
        try:
            sources = read_split_index(storage, dataset.name, split, digest).sources
        except UNUSABLE:
            continue
        for used in sources:
            if (used.name, used.url) == (file.identifier, url):
                return RawFile(used.name, used.sha256, used.bytes, url, None, Source(url))
    return None


def check_raw(storage: Storage, dataset: Dataset, raw: RawFile) -> None:
    """Raise `DigestMismatch` if a stored raw file is not what was retrieved, `NotPrepared` if it is gone."""
    key = raw_key(dataset.name, raw.name, raw.sha256)
    try:
        with storage.get(key) as opened:
            found = files.sha256_in(opened)
    except FileNotFoundError as error:
        raise NotPrepared(f"The raw file {key} is gone from {storage.url}. Prepare {dataset.name} again.") from error
    if found != raw.sha256:
        raise DigestMismatch(f"The raw file {key} in {storage.url} has sha256 {found}. Delete it and prepare again.")


def made_raw(storage: Storage, dataset: Dataset, file: str, recipe: str) -> RawFile | None:
    """Return a derived file that is there and was made by this recipe."""
    raw = raw_record(storage, dataset.name, file)
    return raw if raw and raw.digest == recipe and has_raw(storage, dataset, raw) else None


def publish_raw(storage: Storage, dataset: Dataset, staged: StagedRaw) -> RawFile:
    """Store a raw file under its content, then what is known of its source."""
    raw = replace(staged.raw, retrieved=datetime.now(UTC).isoformat(timespec="seconds"))
    storage.put(raw_key(dataset.name, raw.name, raw.sha256), staged.path)
    storage.put(source_key(dataset.name, raw.name), sealed(asdict(raw)))
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
                # Opened, so that damage which shows is mended, and not met by whoever loads it.
                # A remote one is opened when it is read: that its files are there has to be asked.
                StoredFiles(storage, index_of(open_split(storage, dataset.name, split, digest))).check_sizes()
                return index, digest
        except UNUSABLE:
            # Damaged work is no work: it is made again, and its files replaced.
            continue
    return None


def current_version(storage: Storage, dataset: str) -> tuple[Version | None, str | None, str | None]:
    """Return the released version, its digest and the pointer's own; None for what is absent or damaged."""
    try:
        digest, pointer = read_pointer(storage, dataset)
    except NewerFormat:
        raise
    except IntegrityError:
        return None, None, _digest_in(storage, pointer_key(dataset))
    try:
        return (read_version(storage, dataset, digest) if digest else None), digest, pointer
    except NewerFormat:
        raise
    except UNUSABLE:
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
        # A collector may have taken what it saw no version of; from here on it sees this one.
        wait_for_collector(storage, version.dataset)
        for split, index in version.splits.items():
            StoredFiles(storage, read_split_index(storage, version.dataset, split, index)).check_sizes()
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
            f"{dataset}: version {current} was released by somebody else while {digest} was prepared. The current "
            f"version is left as it is; open yours as {dataset}@{digest}, or prepare again to release it."
        )


def _candidates(storage: Storage, dataset: Dataset, split: str) -> Mapping[str, None]:
    current, _, _ = current_version(storage, dataset.name)
    found = [current.splits[split]] if current and split in current.splits else []
    # A listing may lag; it only saves work.
    names = (key.rsplit("/", 1)[1] for key in storage.list(storage_key(dataset.name, split, "index")))
    return dict.fromkeys([*found, *sorted(name.removesuffix(".json") for name in names)])


def _digest_in(storage: Storage, key: str) -> str | None:
    try:
        with storage.get(key) as opened:
            return sha256_hex(opened.read())
    except FileNotFoundError:
        return None
