"""Collecting: what no kept version names, and is older than the grace, is removed.

Kept are the newest few versions that passed their checks, the current one first of all, pinned ones, and all that is
younger than the grace. Documents go before what they name, so that after a kill nothing left names what is gone.

What is kept is found by keys, from the pointer, the pins and the versions on. That something was not listed proves
nothing: it is asked for, and if it is there nothing is removed (`ListingCut`).
"""

import logging
from contextlib import suppress
from dataclasses import dataclass, field
from time import time
from typing import Iterable

from dataset_assets.core.progress import report
from dataset_assets.errors import DatasetAssetsError, DigestMismatch, IntegrityError, NewerFormat, NotPrepared
from dataset_assets.storage import LeavesStrays, Storage
from dataset_assets.storage.gc_lease import SECONDS, collecting
from dataset_assets.storage.keys import (
    Contents,
    Kind,
    Place,
    collector_key,
    contents,
    index_key,
    place_of,
    raw_key,
    source_key,
    version_key,
)
from dataset_assets.storage.listing import relisted, whole
from dataset_assets.storage.manifest import SplitIndex, Version
from dataset_assets.storage.stored_dataset import StoredDataset

DAY_SECONDS = 86_400
logger = logging.getLogger(__name__)

ORDER: tuple[Kind, ...] = ("version", "index", "source", "stream", "raw")
"""What is removed, and in which order; pointers and pins are not."""

DOCUMENTS: tuple[Kind, ...] = ("pointer", "version", "pin", "collector", "index")
"""What only we name so: where none of them is, files that are named by their digests may be somebody else's."""


@dataclass
class Collected:
    """What was, or may be, removed of a dataset, or with none under no key.

    With a `problem` it was left as it is, or, if something was removed, all that may be of what is broken.
    """

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

    A dataset with a kept version that is damaged is left as it is, and its `problem` told. If a part of one is gone,
    what may belong to it stays. Raises `Conflict` if another collector is at work, and `ListingCut`, before anything is
    removed, if a storage does not list all that it holds.
    """
    report_ = []
    for dataset, there in contents_of(storage, names).items():
        rule = _Rule(StoredDataset(storage, dataset), keep_versions, grace_seconds)
        planned, places = rule.plan(there, time())
        # A collector that was killed may have left nothing but its lease, for whose end releases wait.
        if (places or there.of("collector")) and not dry_run:
            planned = _removed(rule, lease_seconds)
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
        found[name] = whole(StoredDataset(storage, name))
        if not found[name].places:
            raise NotPrepared(f"{name} is not in {storage.url}. List what is there with: dataset-assets ls")
    if chosen:
        return found
    listed = sorted(contents(storage.list(""))[0].items())
    return {name: whole(StoredDataset(storage, name), there) for name, there in listed}


def _removed(rule: "_Rule", lease_seconds: float) -> Collected:
    """Plan again under a lease, which writers see, and remove."""
    stored, storage = rule.stored, rule.storage
    with collecting(stored, lease_seconds) as renew:
        # The lease was just written: its time is what the clock of the store says now.
        now = storage.stat(collector_key(stored.name)).modified
        planned, places = rule.plan(whole(stored), now)
        for i, place in enumerate(places):
            renew()
            storage.delete(place.key)
            report(stored.name, i + 1, len(places))
    return planned


@dataclass
class _Kept:
    """What is kept: versions, all keys that they need, what of that is gone, and the only keys that may go then."""

    versions: dict[str, Version | None]
    keys: set[str] = field(default_factory=set)
    gone: list[str] = field(default_factory=list)
    only: set[str] | None = None

    def may_go(self, key: str) -> bool:
        """Say whether a key may go."""
        return key not in self.keys and (self.only is None or key in self.only)


def _stays(dataset: str) -> str:
    return (
        "What may belong to it stays. Make it again with: dataset-assets verify --repair "
        f"{dataset}; or let go of a pinned version with: dataset-assets unpin {dataset}@DIGEST"
    )


class _Rule:
    """Decides what of a dataset is kept."""

    def __init__(self, stored: StoredDataset, keep_versions: int, grace_seconds: float) -> None:
        self.stored, self.storage = stored, stored.storage
        self.keep_versions, self.grace_seconds = keep_versions, grace_seconds

    def plan(self, there: Contents, now: float) -> tuple[Collected, list[Place]]:
        """Say what of a dataset is not kept, in the order in which it may be removed."""
        try:
            if not self._is_known(there):
                url = self.storage.url
                logger.warning("Nothing in %s says that dataset_assets made %s: it is left.", url, there.dataset)
                return Collected(there.dataset), []
            kept, there = self._kept_of(there, now)
        except DatasetAssetsError as error:
            if not isinstance(error, (IntegrityError, NotPrepared)):
                raise
            return Collected(there.dataset, problem=str(error)), []
        found = Collected(there.dataset, sorted(kept.versions), problem=" ".join(kept.gone) or None)
        places = []
        for place in sorted((p for p in there.places if p.kind in ORDER), key=lambda p: ORDER.index(p.kind)):
            ours = kept.may_go(place.key) and self._is_ours(place)
            if ours and (size := self._old(place, now)) is not None:
                places.append(place)
                found.removed.append(place.key)
                found.bytes += size
        return found, places

    def _kept_of(self, there: Contents, now: float) -> tuple["_Kept", Contents]:
        """Return what is kept, with what is there; it is listed anew until all that is kept and there is listed."""
        while True:
            kept = self._kept(there, now)
            anew = relisted(self.stored, there, kept.keys)
            if anew is None:
                break
            there = anew
        known = {place.key for place in there.places}
        # Raw files may be gone: what can be derived or retrieved again is not always stored.
        gone = {key for key in kept.keys - known if (place := place_of(key)) and place.kind == "stream"}
        kept.gone += [f"{key} is gone." for key in sorted(gone)]
        if kept.gone:
            kept.gone.append(_stays(there.dataset))
            kept.only = self._surely_of_others(there, kept)
        return kept, there

    def _kept(self, there: Contents, now: float) -> "_Kept":
        """Return the keys that are kept, and the versions."""
        kept = _Kept(self._versions(there, now))
        kept.gone += [f"Version {digest} is gone." for digest, version in kept.versions.items() if version is None]
        # Of a writer that has not stored its version yet.
        named = {(p.name, p.digest) for p in there.of("index") if self._old(p, now) is None}
        for digest, version in kept.versions.items():
            kept.keys.add(version_key(there.dataset, digest))
            named |= {*version.splits.items()} if version else set()
        for split, digest in sorted(named):
            key = index_key(there.dataset, split, digest)
            kept.keys.add(key)
            try:
                kept.keys |= files_of(self.stored.index(split, digest))
            except NotPrepared:
                kept.gone.append(f"{key} is gone.")
        if kept.versions:
            kept.keys |= self._recorded(there)
        return kept

    def _versions(self, there: Contents, now: float) -> dict[str, Version | None]:
        """Return the versions that are kept; None for one that is surely gone."""
        current = self.stored.pointer().version
        placed = {place.digest: place for place in there.of("version")}
        sure = ({current} if current else set()) | {pin.digest for pin in there.of("pin")}
        sure |= {digest for digest, place in placed.items() if self._old(place, now) is None}
        kept = {digest: self._still(digest) for digest in sure}
        # Also where an older one was stored after it, by a copy for instance.
        newest = sorted(placed, key=lambda d: (d == current, self._modified(placed[d]), d), reverse=True)
        passed = [digest for digest in newest if (version := self._readable(digest)) and not version.refused]
        for digest in passed[: self.keep_versions]:
            kept[digest] = self._still(digest)
        return kept

    def _surely_of_others(self, there: Contents, kept: "_Kept") -> set[str]:
        """Return the keys of versions that are not kept: of all else it may be what is gone that named it."""
        found = set()
        for digest in {place.digest for place in there.of("version")} - {*kept.versions}:
            version = self._readable(digest)
            found |= {version_key(there.dataset, digest)} if version else set()
            for split, at in version.splits.items() if version else ():
                found.add(index_key(there.dataset, split, at))
                with suppress(IntegrityError, NotPrepared):
                    found |= files_of(self.stored.index(split, at))
        return {key for key in found if (place := place_of(key)) and place.kind != "raw"}

    def _still(self, digest: str) -> Version | None:
        try:
            return self.stored.version(digest)
        except NotPrepared:
            return None

    def _readable(self, digest: str) -> Version | None:
        try:
            return self.stored.version(digest)
        except NewerFormat:
            raise
        except (DigestMismatch, IntegrityError, NotPrepared):
            return None

    def _recorded(self, there: Contents) -> set[str]:
        """Return the keys of raw files as they were last retrieved: the next refresh asks whether they changed."""
        keys = set()
        for place in there.of("source"):
            if record := self.stored.raw(place.name):
                keys |= {source_key(there.dataset, place.name), self.stored.raw_key(record)}
        return keys

    def _is_known(self, there: Contents) -> bool:
        return any(there.of(kind) for kind in DOCUMENTS) or bool(self._recorded(there))

    def _is_ours(self, place: Place) -> bool:
        """Say whether the content, too, says that we made it, where others may have a file of this name."""
        try:
            return place.kind != "source" or self.stored.raw(place.name) is not None
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
    streams = {index.key_of(name, file) for name, stream in index.streams.items() for file in stream.files}
    return streams | {raw_key(index.dataset, source.name, source.sha256) for source in index.sources}
