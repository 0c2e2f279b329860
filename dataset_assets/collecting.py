"""Collecting: what no kept version names, and is older than the grace, is removed.

Kept are the newest few versions that passed their checks, the current one first of all, pinned ones, and all that is
younger than the grace. Documents go before what they name, so that after a kill nothing left names what is gone.
"""

import logging
from dataclasses import dataclass, field
from time import time
from typing import Iterable

from dataset_assets.errors import DatasetAssetsError, DigestMismatch, IntegrityError, NewerFormat, NotPrepared
from dataset_assets.index import (
    SplitIndex,
    Version,
    index_key,
    raw_key,
    read_pointer,
    read_split_index,
    read_version,
    source_key,
    stream_key,
    version_key,
)
from dataset_assets.layout import Contents, Kind, Place, contents, place_of
from dataset_assets.leases import SECONDS, collecting
from dataset_assets.names import check_dataset_name, storage_key
from dataset_assets.progress import report
from dataset_assets.publishing import raw_record
from dataset_assets.storage import LeavesStrays, Storage

DAY_SECONDS = 86_400
logger = logging.getLogger(__name__)

ORDER: tuple[Kind, ...] = ("version", "index", "source", "stream", "raw")
"""What is removed, and in which order; pointers and pins are not."""

DOCUMENTS: tuple[Kind, ...] = ("pointer", "version", "pin", "collector", "index")
"""What only we name so: where none of them is, files that are named by their digests may be somebody else's."""


@dataclass
class Collected:
    """What was, or may be, removed of a dataset, or with none under no key; with a `problem` it was left as it is."""

    dataset: str
    kept: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    bytes: int = 0
    problem: str | None = None


def collect(
    storage: Storage,
    names: Iterable[str] = (),
    *,
    keep_versions: int = 3,
    grace_seconds: float = 7 * DAY_SECONDS,
    dry_run: bool = False,
    lease_seconds: float = SECONDS,
) -> list[Collected]:
    """Remove what is not kept of some datasets, or of all; with `dry_run` only say what it would be.

    A dataset whose current version cannot be read is left as it is, and its `problem` told. Raises `Conflict` if
    another collector is at work.
    """
    rule = _Rule(storage, keep_versions, grace_seconds)
    report_ = []
    for dataset, there in contents_of(storage, names).items():
        planned, places = rule.plan(there, time())
        # A collector that was killed may have left nothing but its note, for which those who release wait.
        if (places or there.of("collector")) and not dry_run:
            planned = _removed(rule, dataset, lease_seconds)
        report_.append(planned)
    return report_


def collect_strays(
    storage: Storage, *, grace_seconds: float = 7 * DAY_SECONDS, dry_run: bool = False
) -> Collected | None:
    """Remove what killed writers have left under no key, such as the parts of an upload; None if there is nothing.

    It goes when it is older than the grace, and than a day: nothing but its age tells it from an upload that goes on.
    """
    if not isinstance(storage, LeavesStrays):
        return None
    found = Collected("")
    try:
        for stray in storage.strays(max(grace_seconds, DAY_SECONDS)):
            # What somebody else is uploading beside our keys is left.
            if stray.key is None or place_of(stray.key):
                if not dry_run:
                    stray.remove()
                found.removed.append(stray.key or "")
                found.bytes += stray.bytes
    except DatasetAssetsError as error:
        found.problem = str(getattr(error, "strerror", None) or error)
    return found if found.removed or found.problem else None


def contents_of(storage: Storage, names: Iterable[str] = ()) -> dict[str, Contents]:
    """Return what is stored of some datasets, or of all, by their names, sorted. Raises `NotPrepared`."""
    found: dict[str, Contents] = {}
    for name in (chosen := sorted(names)):
        there = contents(storage.list(storage_key(check_dataset_name(name))))[0].get(name)
        if there is None:
            raise NotPrepared(f"{name} is not in {storage.url}. List what is there with: dataset-assets ls")
        found[name] = there
    return found if chosen else dict(sorted(contents(storage.list(""))[0].items()))


def _removed(rule: "_Rule", dataset: str, lease_seconds: float) -> Collected:
    """Look again, now that writers know of it, and remove."""
    storage = rule.storage
    with collecting(storage, dataset, lease_seconds) as hold:
        there = contents(storage.list(storage_key(dataset)))[0][dataset]
        # The note was just written: its time is what the clock of the store says now.
        now = storage.stat(there.of("collector")[0].key).modified
        planned, places = rule.plan(there, now)
        for i, place in enumerate(places):
            hold()
            storage.delete(place.key)
            report(dataset, i + 1, len(places))
    return planned


class _Rule:
    """What is kept, and what is not."""

    def __init__(self, storage: Storage, keep_versions: int, grace_seconds: float) -> None:
        self.storage, self.keep_versions, self.grace_seconds = storage, keep_versions, grace_seconds

    def plan(self, there: Contents, now: float) -> tuple[Collected, list[Place]]:
        """Say what of a dataset is not kept, in the order in which it may be removed."""
        try:
            if not self._is_known(there):
                url = self.storage.url
                logger.warning("Nothing in %s says that dataset_assets made %s: it is left.", url, there.dataset)
                return Collected(there.dataset), []
            keys, versions = self._kept(there, now)
        except DatasetAssetsError as error:
            if not isinstance(error, (IntegrityError, NotPrepared)):
                raise
            return Collected(there.dataset, problem=str(error)), []
        found = Collected(there.dataset, sorted(versions))
        places = []
        for place in sorted((p for p in there.places if p.kind in ORDER), key=lambda p: ORDER.index(p.kind)):
            if place.key not in keys and self._is_ours(place) and (size := self._old(place, now)) is not None:
                places.append(place)
                found.removed.append(place.key)
                found.bytes += size
        return found, places

    def _kept(self, there: Contents, now: float) -> tuple[set[str], set[str]]:
        """Return the keys that are kept, and the versions."""
        versions = self._versions(there, now)
        keys = {version_key(there.dataset, digest) for digest in versions}
        named = {(split, digest) for version in versions.values() for split, digest in version.splits.items()}
        # Of a writer that has not stored its version yet.
        named |= {(p.name, p.digest) for p in there.of("index") if self._old(p, now) is None}
        for split, digest in named:
            index = read_split_index(self.storage, there.dataset, split, digest)
            keys |= {index_key(there.dataset, split, digest), *files_of(index)}
        if versions:
            keys |= self._recorded(there)
        return keys, set(versions)

    def _versions(self, there: Contents, now: float) -> dict[str, Version]:
        current, _ = read_pointer(self.storage, there.dataset)
        sure = {current} if current else set()
        stored = {place.digest: place for place in there.of("version")}
        sure |= {pin.digest for pin in there.of("pin") if pin.digest in stored}
        sure |= {digest for digest, place in stored.items() if self._old(place, now) is None}
        kept = {digest: read_version(self.storage, there.dataset, digest) for digest in sure}
        # Also where an older one was stored after it, by a copy for instance.
        newest = sorted(stored, key=lambda d: (d == current, self._modified(stored[d]), d), reverse=True)
        passed = [
            digest for digest in newest if (version := self._readable(there.dataset, digest)) and not version.refused
        ]
        for digest in passed[: self.keep_versions]:
            kept[digest] = read_version(self.storage, there.dataset, digest)
        return kept

    def _readable(self, dataset: str, digest: str) -> Version | None:
        try:
            return read_version(self.storage, dataset, digest)
        except NewerFormat:
            raise
        except (DigestMismatch, IntegrityError, NotPrepared):
            return None

    def _recorded(self, there: Contents) -> set[str]:
        """Return the keys of raw files as they were last retrieved: the next refresh asks whether they changed."""
        keys = set()
        for place in there.of("source"):
            if record := raw_record(self.storage, there.dataset, place.name):
                keys |= {source_key(there.dataset, place.name), raw_key(there.dataset, place.name, record.sha256)}
        return keys

    def _is_known(self, there: Contents) -> bool:
        return any(there.of(kind) for kind in DOCUMENTS) or bool(self._recorded(there))

    def _is_ours(self, place: Place) -> bool:
        """Say whether the content, too, says that we made it, where others may have a file of this name."""
        try:
            return place.kind != "source" or raw_record(self.storage, place.dataset, place.name) is not None
        except NewerFormat:
            return False

    def _old(self, place: Place, now: float) -> int | None:
        """Return the size of an object that is older than the grace."""
        try:
            found = self.storage.stat(place.key)
        except FileNotFoundError:
            return None
        return found.bytes if now - found.modified >= self.grace_seconds else None

    def _modified(self, place: Place) -> float:
        try:
            return self.storage.stat(place.key).modified
        except FileNotFoundError:
            return 0.0


def files_of(index: SplitIndex) -> set[str]:
    """Return the keys of a split's streams, and of the raw files that it was made of."""
    streams = {
        stream_key(index.dataset, index.split, name, file.sha256, stream.suffix)
        for name, stream in index.streams.items()
        for file in stream.files
    }
    return streams | {raw_key(index.dataset, source.name, source.sha256) for source in index.sources}
