"""Garbage collection: removes what no kept version names and is older than the grace period.

Kept are the current version, the newest few that passed their checks, pinned versions, and everything younger than
the grace period. Documents are removed before the files that they name: a kill leaves no document without its files.

What is kept is found by keys, from the pointer, the pins and the versions. A key that was not listed may still be
stored: it is asked for, and if it is stored, nothing is removed (`ListingCut`).
"""

import logging
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import time
from typing import Iterable

from dataset_assets.core.commands import command
from dataset_assets.core.progress import report
from dataset_assets.errors import DatasetAssetsError, DigestMismatch, IntegrityError, NewerFormat, NotPrepared, Refused
from dataset_assets.storage import LeavesStrays, Stat, Storage
from dataset_assets.storage.aliases import aliases_in, named
from dataset_assets.storage.documents import OPENED
from dataset_assets.storage.gc_lease import SECONDS, collecting
from dataset_assets.storage.keys import (
    Contents,
    Kind,
    Place,
    alias_key,
    collector_key,
    folded,
    index_key,
    part_key,
    place_of,
    raw_key,
    source_key,
    version_key,
)
from dataset_assets.storage.listing import every_whole, relisted, whole
from dataset_assets.storage.manifest import SplitIndex, Version
from dataset_assets.storage.raw_files import RawFile
from dataset_assets.storage.storage import settle
from dataset_assets.storage.stored_dataset import StoredDataset

DAY_SECONDS = 86_400
logger = logging.getLogger(__name__)

ORDER: tuple[Kind, ...] = ("version", "recipe", "index", "part", "source", "stream", "raw")
"""The kinds that are removed, in this order; pointers and pins never are."""

DOCUMENTS: tuple[Kind, ...] = ("pointer", "version", "pin", "collector", "recipe", "index", "part")
"""Kinds whose keys only dataset_assets writes: without any of them, files may belong to another program."""


@dataclass
class Collected:
    """What was removed, or would be, of a dataset; with an empty name, of files under no key.

    With a `problem` only what surely does not belong to a broken version was removed; nothing if it `stopped`.
    """

    dataset: str
    kept: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    bytes: int = 0
    problem: str | None = None
    stopped: bool = False


def collect(
    storage: Storage,
    names: Iterable[str] = (),
    *,
    keep_versions: int = 3,
    grace_seconds: float = 7 * DAY_SECONDS,
    dry_run: bool = False,
    lease_seconds: float = SECONDS,
) -> list[Collected]:
    """Remove what is not kept of some datasets, or of all; with `dry_run` only report it.

    If a kept version is damaged, nothing of its dataset is removed, and `problem` says why. If a file of one is gone,
    what may belong to it stays. Raises `Conflict` if another collector is running, and `ListingCut`, before anything is
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
    """Remove what killed writers left under no key, such as parts of a file; return None if there is nothing.

    It must be older than the grace period and than a day: only its age distinguishes it from a write in progress.
    """
    if not isinstance(storage, LeavesStrays):
        return None
    found = Collected("")
    try:
        for stray in storage.strays(max(grace_seconds, DAY_SECONDS)):
            # Uploads of other programs are left.
            if stray.key is None or place_of(stray.key):
                if not dry_run:
                    stray.remove()
                found.removed.append(stray.key or "")
                found.bytes += stray.bytes
    except DatasetAssetsError as error:
        found.problem, found.stopped = str(getattr(error, "strerror", None) or error), True
    return found if found.removed or found.problem else None


def collect_aliases(
    storage: Storage, *, grace_seconds: float = 7 * DAY_SECONDS, dry_run: bool = False
) -> Collected | None:
    """Remove the aliases of datasets that are not stored and that are older than the grace period; None: none."""
    found = Collected("aliases")
    for alias, dataset in aliases_in(storage).items():
        with suppress(FileNotFoundError):
            stat = storage.stat(alias_key(alias))
            if time() - stat.modified < grace_seconds or StoredDataset(storage, dataset).exists():
                continue
            if not dry_run:
                storage.delete(alias_key(alias))
            found.removed.append(alias_key(alias))
            found.bytes += stat.bytes
    return found if found.removed else None


def contents_of(storage: Storage, names: Iterable[str] = ()) -> dict[str, Contents]:
    """Return what is stored of some datasets, or of all, by name, sorted. Raises `NotPrepared`."""
    found: dict[str, Contents] = {}
    for name in (chosen := sorted({named(storage, name).name for name in names})):
        found[name] = whole(StoredDataset(storage, name))
        if not found[name].places:
            raise NotPrepared(f"{name} is not in {storage.url}. List what is there with: {command('ls', storage.url)}")
    if chosen:
        return found
    return every_whole(storage)


def _removed(rule: "_Rule", lease_seconds: float) -> Collected:
    """Plan again under a lease, which writers see, and remove."""
    stored, storage = rule.stored, rule.storage
    with collecting(stored, lease_seconds) as renew:
        there = whole(stored)
        now = _now(stored, there)
        planned, places = rule.plan(there, now)
        documents = [place.key for place in places if place.kind in DOCUMENTS]
        planned.removed, planned.bytes = [], 0
        for i, place in enumerate(places):
            if i == len(documents):
                # No power failure may bring a document back without its files.
                settle(storage, documents)
            renew()
            # A writer may have renewed it since it was listed.
            if (size := rule.old_size(replace(place, stat=None), now)) is not None:
                storage.delete(place.key)
                OPENED.forget(storage, place.key)
                planned.removed.append(place.key)
                planned.bytes += size
            report(stored.name, i + 1, len(places))
    return planned


def _now(stored: StoredDataset, there: Contents) -> float:
    """Return what the clock of the store said when the lease was written.

    From the listing, if it has the lease: some stores round the time of an object that is asked for, and not of one
    that is listed.
    """
    listed = [place.stat.modified for place in there.of("collector") if place.stat]
    return listed[0] if listed else stored.storage.stat(collector_key(stored.name)).modified


@dataclass
class _Kept:
    """What is kept: versions, the keys that they need, which of these are gone, and the only keys that may go then."""

    versions: dict[str, Version | None]
    keys: set[str] = field(default_factory=set)
    gone: list[str] = field(default_factory=list)
    only: set[str] | None = None

    def may_go(self, key: str) -> bool:
        """Say whether a listed key may be removed."""
        return folded(key) not in self._folded and (self.only is None or key in self.only)

    @cached_property
    def _folded(self) -> set[str]:
        return {*map(folded, self.keys)}


def _stays(stored: StoredDataset) -> str:
    url = stored.storage.url
    return (
        f"What may belong to it stays. Make it again with: {command(f'verify --repair {stored.name}', url)}; or let "
        f"go of a pinned version with: {command(f'unpin {stored.name}@DIGEST', url)}"
    )


class _Rule:
    """Decides what of a dataset is kept."""

    def __init__(self, stored: StoredDataset, keep_versions: int, grace_seconds: float) -> None:
        self.stored, self.storage = stored, stored.storage
        self.keep_versions, self.grace_seconds = keep_versions, grace_seconds

    def plan(self, there: Contents, now: float) -> tuple[Collected, list[Place]]:
        """Return what of a dataset is not kept, in the order in which it may be removed."""
        # Each plan reads all documents anew, and each of them once.
        self.stored = self.stored.remembering()
        try:
            if not self._is_known(there):
                url = self.storage.url
                logger.warning("Nothing in %s says that dataset_assets made %s: it is left.", url, there.dataset)
                return Collected(there.dataset), []
            kept, there = self._kept_of(there, now)
        except DatasetAssetsError as error:
            if not isinstance(error, (IntegrityError, NotPrepared, Refused)):
                raise
            return Collected(there.dataset, problem=str(error), stopped=True), []
        found = Collected(there.dataset, sorted(kept.versions), problem=" ".join(kept.gone) or None)
        places = []
        for place in sorted((p for p in there.places if p.kind in ORDER), key=lambda p: ORDER.index(p.kind)):
            ours = kept.may_go(place.goes_with(self.stored.name)) and self._is_ours(place)
            if ours and (size := self.old_size(place, now)) is not None:
                places.append(place)
                found.removed.append(place.key)
                found.bytes += size
        return found, places

    def _kept_of(self, there: Contents, now: float) -> tuple["_Kept", Contents]:
        """Return what is kept, and a listing that holds all of it that is stored."""
        while True:
            kept = self._kept(there, now)
            anew = relisted(self.stored, there, kept.keys)
            if anew is None:
                break
            there = anew
        known = {folded(place.key) for place in there.places}
        unlisted = {key for key in kept.keys if folded(key) not in known}
        # Raw files may be gone: they can be retrieved or derived again.
        gone = {key for key in unlisted if (place := place_of(key)) and place.kind == "stream"}
        kept.gone += [f"{key} is gone." for key in sorted(gone)]
        if kept.gone:
            kept.gone.append(_stays(self.stored))
            kept.only = self._surely_of_others(there, kept)
        return kept, there

    def _kept(self, there: Contents, now: float) -> "_Kept":
        """Return the keys that are kept, and the versions."""
        kept = _Kept(self._versions(there, now))
        kept.gone += [f"Version {digest} is gone." for digest, version in kept.versions.items() if version is None]
        # These may belong to a writer that has not stored its version yet.
        named = {(p.name, p.digest) for p in there.of("index") if self.old_size(p, now) is None}
        listed = {place.key for place in there.of("part")}
        for digest, version in kept.versions.items():
            kept.keys.add(version_key(there.dataset, digest))
            named |= {*version.splits.items()} if version else set()
        for split, digest in sorted(named):
            key = index_key(there.dataset, split, digest)
            kept.keys.add(key)
            try:
                index = self.stored.index(split, digest)
                kept.keys |= files_of(index) | (parts_of(index) & listed)
            except NotPrepared:
                kept.gone.append(f"{key} is gone.")
        kept.keys |= self._young_parts(there, now)
        if kept.versions:
            # Provisional bytes are kept only by an index that names them.
            recorded = {raw for raw in self._records(there) if not raw.state or self.stored.raw_key(raw) in kept.keys}
            kept.keys |= {
                key for raw in recorded for key in (source_key(there.dataset, raw.name), self.stored.raw_key(raw))
            }
        return kept

    def _young_parts(self, there: Contents, now: float) -> set[str]:
        """Return the records, and their files, of parts whose writer may not have stored its index yet."""
        young = [place for place in there.of("part") if self.old_size(place, now) is None]
        records = [record for place in young if (record := self.stored.part(place.name, place.digest))]
        files = {key for record in records for key in record.sizes(self.stored.name)}
        return {place.key for place in young} | (files & {place.key for place in there.of("stream")})

    def _versions(self, there: Contents, now: float) -> dict[str, Version | None]:
        """Return the versions that are kept; None for one that is gone."""
        current = self.stored.pointer().version
        placed = {place.digest: place for place in there.of("version")}
        sure = ({current} if current else set()) | {pin.digest for pin in there.of("pin")}
        sure |= {digest for digest, place in placed.items() if self.old_size(place, now) is None}
        kept = {digest: self._still(digest) for digest in sure}
        # The current one counts as the newest, even if a copy stored an older one after it.
        newest = sorted(placed, key=lambda d: (d == current, self._modified(placed[d]), d), reverse=True)
        passed = [digest for digest in newest if (version := self._readable(digest)) and not version.refused]
        for digest in passed[: self.keep_versions]:
            kept[digest] = self._still(digest)
        return kept

    def _surely_of_others(self, there: Contents, kept: "_Kept") -> set[str]:
        """Return the keys that versions not kept name; a document that is gone may have named any other key."""
        found = set()
        for digest in {place.digest for place in there.of("version")} - {*kept.versions}:
            version = self._readable(digest)
            found |= {version_key(there.dataset, digest)} if version else set()
            for split, at in version.splits.items() if version else ():
                found.add(index_key(there.dataset, split, at))
                with suppress(IntegrityError, NotPrepared):
                    index = self.stored.index(split, at)
                    found |= files_of(index) | parts_of(index)
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

    def _records(self, there: Contents) -> list[RawFile]:
        """Return the records of raw files, which the next refresh needs."""
        return [record for place in there.of("source") if (record := self.stored.raw(place.name))]

    def _is_known(self, there: Contents) -> bool:
        return any(there.of(kind) for kind in DOCUMENTS) or bool(self._records(there))

    def _is_ours(self, place: Place) -> bool:
        """Say whether dataset_assets wrote an object; a record of another program may have the same name."""
        try:
            return place.kind != "source" or self.stored.raw(place.name) is not None
        except NewerFormat:
            return False

    def old_size(self, place: Place, now: float) -> int | None:
        """Return the size of an object that is older than the grace period; None for any other."""
        found = self._stat(place)
        return found.bytes if found and now - found.modified >= self.grace_seconds else None

    def _modified(self, place: Place) -> float:
        found = self._stat(place)
        return found.modified if found else 0.0

    def _stat(self, place: Place) -> Stat | None:
        try:
            return place.stat or self.storage.stat(place.key)
        except FileNotFoundError:
            return None


def files_of(index: SplitIndex) -> set[str]:
    """Return the keys of a split's streams, of the raw files that it was made of, and of an index that it needs."""
    others = {index_key(index.dataset, *named) for named in index.named}
    return {*index.files} | others | {raw_key(index.dataset, source.name, source.sha256) for source in index.sources}


def parts_of(index: SplitIndex) -> set[str]:
    """Return the keys of the records of a split's parts, which need not be stored."""
    return {part_key(index.dataset, index.split, part.recipe) for part in index.parts}
