"""Removes a dataset, one of its versions, or a raw file, after naming what depends on it.

A dataset loses its pointer first, then its aliases and documents, then its files: a reader finds it whole, or not at
all, wherever a kill stops the removal. The same command continues it. While it removes, it holds the lease of garbage
collection, so a writer waits and then checks that its files are still stored.
"""

import logging
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Callable, Iterable, Iterator, NamedTuple
from urllib.parse import unquote

from dataset_assets.core.commands import command
from dataset_assets.core.names import check_dataset_name, plain_name, split_pin
from dataset_assets.core.progress import report
from dataset_assets.errors import (
    Conflict,
    DatasetAssetsError,
    NameNotAllowed,
    NotPrepared,
    Refused,
    UsageError,
    nearest,
)
from dataset_assets.moving.gc import files_of, parts_of
from dataset_assets.storage import Storage, open_storage, size_of
from dataset_assets.storage.aliases import aliases_of, followed
from dataset_assets.storage.documents import OPENED
from dataset_assets.storage.gc_lease import SECONDS, collecting, wait_for_collector
from dataset_assets.storage.keys import (
    Contents,
    Kind,
    alias_key,
    alias_of,
    collector_key,
    contents,
    index_key,
    pin_key,
    place_of,
    pointer_key,
    version_key,
)
from dataset_assets.storage.links import see_no_link
from dataset_assets.storage.listing import known_versions, relisted, whole
from dataset_assets.storage.manifest import pointer_to
from dataset_assets.storage.stored_dataset import UNUSABLE, Pointer, StoredDataset

ORDER: tuple[Kind, ...] = ("pointer", "pin", "version", "recipe", "index", "part", "source", "stream", "raw")
"""The order of removal. The aliases follow the pointer; the lease of garbage collection goes last."""

_FILE = re.compile(r"[A-Za-z0-9_]+")
log = logging.getLogger(__name__)


class Target(NamedTuple):
    """What is to be removed: a dataset; or one of its versions, or one of its raw files."""

    dataset: str
    version: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        more = f"@{self.version}" if self.version else f"/raw/{self.file}" if self.file else ""
        return self.dataset + more


@dataclass
class Removed:
    """What was removed, or would be; what depended on it; and the version that is current afterwards."""

    name: str
    depends: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    bytes: int = 0
    current: str | None = None


class _Plan(NamedTuple):
    """The keys to remove, in order; the version that is current then; and the pointer that named another one before."""

    keys: list[str]
    current: str | None = None
    before: Pointer | None = None


def rm(
    name: str, storage: "str | Storage", *, force: bool = False, dry_run: bool = False, lease_seconds: float = SECONDS
) -> Removed:
    """Remove a dataset, the version `name@digest`, or the raw file `name/raw/file`; with `dry_run` only report it.

    What depends on it is logged before anything is removed. The current version, a pinned one, and a raw file that a
    stored version names are removed only with `force`; the newest version that passed its checks and is whole becomes
    current first. Waits for a running garbage collection. Nothing is removed through a symbolic link.

    Raises `NotPrepared` if it is not stored, `Refused` where `force` or a folder without links is needed, `UsageError`
    for an alias, `DecodeError` for a damaged pointer whose version may be the one to remove, `ListingCut`, and
    `Conflict` if somebody else releases a version meanwhile.
    """
    store = open_storage(storage)
    target = _target(name, store.url)
    stored = _stored(store, target)
    try:
        plan = _planned(stored, target, force)
    except NotPrepared:
        if not dry_run:
            _end_lease(stored, lease_seconds)
        raise
    found = Removed(str(target), depends=[*_dependents(stored, target, plan)])
    for line in found.depends:
        log.warning("%s", line)
    if dry_run:
        return _carried_out(stored, found, plan, None)
    wait_for_collector(stored)
    with collecting(stored, lease_seconds) as renew:
        return _carried_out(stored, found, _planned(stored, target, force), renew)


def _end_lease(stored: StoredDataset, seconds: float) -> None:
    """Remove the lease that is left if the same command was killed when all else was removed."""
    with suppress(DatasetAssetsError):
        if stored.storage.exists(collector_key(stored.name)):
            wait_for_collector(stored)
            with collecting(stored, seconds):
                pass


def _target(name: str, url: str) -> Target:
    # The value of an axis may have the word too.
    member, bracket, rest = str(name).rpartition("]")
    plain, slash, file = rest.partition("/raw/")
    if not slash:
        return Target(*split_pin(name, url))
    dataset = check_dataset_name(member + bracket + plain)
    if not _FILE.fullmatch(file):
        raise NameNotAllowed(
            f"{file[:80]!r} is not the name of a raw file. Write {dataset}/raw/NAME, with a name that is listed by: "
            f"{command(f'info {dataset}', url)}"
        )
    return Target(dataset, None, file)


def _stored(store: Storage, target: Target) -> StoredDataset:
    """Return the dataset of a target; refuse an alias, and a folder that is a link."""
    stored = StoredDataset(store, target.dataset)
    if (other := followed(stored)) is not stored:
        raise UsageError(
            f"{target.dataset} is an alias of {other.name}. Nothing was removed. Write the dataset's own name: "
            f"{command(f'rm {target._replace(dataset=other.name)}', store.url)}"
        )
    see_no_link(store, [collector_key(target.dataset)])
    return stored


def _planned(stored: StoredDataset, target: Target, force: bool) -> _Plan:
    there = whole(stored)
    if not there.places or all(place.kind == "excluded" for place in there.places):
        ls = command("ls", stored.storage.url)
        raise NotPrepared(f"{stored.name} is not in {stored.storage.url}. List what is there with: {ls}")
    if target.version:
        plan = _of_version(stored, there, target, force)
    else:
        plan = _of_file(stored, there, target, force) if target.file else _of_dataset(stored, there)
    see_no_link(stored.storage, plan.keys)
    return plan


def _of_dataset(stored: StoredDataset, there: Contents) -> _Plan:
    # What a later release wrote is not fully known here: that raises `NewerFormat`.
    stored.pointer(damage_is_absence=True)
    needed = {key for place in there.of("index") for key in _files(stored, place.name, place.digest)}
    while (anew := relisted(stored, there, needed)) is not None:
        there = anew
    pointer, *others = ([place.key for place in there.of(kind)] for kind in ORDER)
    return _Plan([*pointer, *map(alias_key, aliases_of(stored)), *(key for keys in others for key in keys)])


def _of_version(stored: StoredDataset, there: Contents, target: Target, force: bool) -> _Plan:
    digest, pinned = str(target.version), {place.digest for place in there.of("pin")}
    others = {place.digest for place in there.of("version")} - {digest}
    if digest not in known_versions(stored, there):
        raise NotPrepared(
            f"There is no version {digest} of {stored.name} in {stored.storage.url}. List those that are there with: "
            f"{command(f'versions {stored.name}', stored.storage.url)}"
        )
    # A damaged pointer may have named this version.
    pointer = stored.pointer(damage_is_absence=force)
    current = pointer.version == digest or (pointer.version is None and pointer.digest is not None)
    if (current or digest in pinned) and not force:
        what = " and ".join(["the current version"] * current + ["pinned"] * (digest in pinned))
        raise Refused(
            f"{target} is {what}. Nothing was removed. If it is current, the newest other version that is whole "
            f"becomes current. Remove it all the same with: {command(f'rm --force {target}', stored.storage.url)}"
        )
    pins = [pin_key(stored.name, digest)] if digest in pinned else []
    keys = [*pins, version_key(stored.name, digest), *_only_of(stored, there, digest, others)]
    if not current:
        return _Plan(keys, pointer.version)
    if newest := _newest_whole(stored, others):
        return _Plan(keys, newest, pointer)
    return _Plan([pointer_key(stored.name), *keys], None, pointer)


def _only_of(stored: StoredDataset, there: Contents, digest: str, others: set[str]) -> list[str]:
    """Return the indexes and files that only this version names; none if that cannot be known."""
    try:
        own = {*stored.version(digest).splits.items()}
        own -= {split for other in others for split in stored.version(other).splits.items()}
        indexes = {(place.name, place.digest) for place in there.of("index")}
        # An index that no version names may be of a writer that has not stored its version yet.
        kept = {key for split, at in indexes - own for key in _all_of(stored, split, at)}
    except UNUSABLE as error:
        log.warning("What only this version uses is left, because it is not known: %s", error)
        return []
    kept |= {stored.raw_key(record) for place in there.of("source") if (record := stored.raw(place.name))}
    files = {key for split, at in own for key in _files(stored, split, at)} - kept
    parts = {key for split, at in own for key in _parts(stored, split, at)} & {p.key for p in there.of("part")} - kept
    notes = [place.key for place in there.of("recipe") if (place.name, place.digest) in own]
    named = [key for one in sorted(own) if (key := index_key(stored.name, *one)) not in kept]
    documents = [*notes, *named, *sorted(parts)]
    return [*documents, *sorted(files, key=lambda key: "/raw/" in key)]


def _of_file(stored: StoredDataset, there: Contents, target: Target, force: bool) -> _Plan:
    file = str(target.file)
    raws, records = ([p.key for p in there.of(kind) if p.name == file] for kind in ("raw", "source"))
    users = [*_users(stored, there, file)]
    # The record of a file that was used tells `prepare` that it needs no download.
    keys = raws if users else [*records, *raws]
    if not keys:
        names = {place.name for place in there.of("raw")}
        raise NotPrepared(f"The raw file {target} is not in {stored.storage.url}.{nearest(file, names)}")
    if users and not force:
        raise Refused(
            f"{users[0]}{f' and {len(users) - 1} more' if len(users) > 1 else ''}. Nothing was removed. If it is "
            f"needed, it is retrieved again. Remove it all the same with: "
            f"{command(f'rm --force {target}', stored.storage.url)}"
        )
    return _Plan(keys, stored.pointer(damage_is_absence=True).version)


def _users(stored: StoredDataset, there: Contents, file: str) -> Iterator[str]:
    """Yield a sentence for each version that names a raw file, or may do so."""
    for digest in sorted(known_versions(stored, there)):
        try:
            indexes = [stored.index(*split) for split in stored.version(digest).splits.items()]
        except UNUSABLE as error:
            yield f"Version {digest} of {stored.name} may use it, but cannot be read ({error})"
            continue
        if any(used.name == file for index in indexes for used in index.own_sources):
            yield f"Version {digest} of {stored.name} is made of {stored.name}/raw/{file}"


def _newest_whole(stored: StoredDataset, digests: Iterable[str]) -> str | None:
    """Return the newest version that passed its checks and has all its files."""
    for digest in sorted(digests, key=lambda digest: (_modified(stored, digest), digest), reverse=True):
        with suppress(*UNUSABLE):
            version = stored.version(digest)
            for split, at in version.splits.items():
                stored.check_sizes(stored.index(split, at))
            if not version.refused:
                return digest
    return None


def _modified(stored: StoredDataset, digest: str) -> float:
    try:
        return stored.storage.stat(version_key(stored.name, digest)).modified
    except FileNotFoundError:
        return 0.0


def _files(stored: StoredDataset, split: str, digest: str) -> set[str]:
    """Return the files that an index names; none if it is damaged."""
    with suppress(*UNUSABLE):
        return files_of(stored.index(split, digest))
    return set()


def _parts(stored: StoredDataset, split: str, digest: str) -> set[str]:
    """Return the records of parts that an index names; none if it is damaged."""
    with suppress(*UNUSABLE):
        return parts_of(stored.index(split, digest))
    return set()


def _all_of(stored: StoredDataset, split: str, digest: str) -> set[str]:
    index = stored.index(split, digest)
    return files_of(index) | parts_of(index)


def _dependents(stored: StoredDataset, target: Target, plan: _Plan) -> Iterator[str]:
    """Yield a sentence for each thing that depends on what is removed."""
    for place in map(place_of, plan.keys):
        if place and place.kind == "pin":
            yield f"{place.dataset}@{place.digest} is pinned."
    for alias in filter(None, map(alias_of, plan.keys)):
        yield f"{alias} is an alias of {stored.name}."
    if target.file:
        yield from (f"{line}." for line in _users(stored, whole(stored), target.file))
    urls = {unquote(f"{stored.storage.url}/{key}") for key in plan.keys}
    for name in sorted({*contents(stored.storage.list(""))[0]} - {plain_name(stored.name)}):
        yield from _made_of(StoredDataset(stored.storage, name), urls, stored.name)


def _made_of(other: StoredDataset, urls: set[str], name: str) -> Iterator[str]:
    """Yield a sentence for each version of another dataset that links to this one, or has these URLs as sources."""
    for digest in sorted(other.versions()):
        with suppress(*UNUSABLE):
            indexes = [other.index(*split) for split in other.version(digest).splits.items()]
            of_urls = any(unquote(used.url) in urls for index in indexes for used in index.sources)
            if of_urls or any(name in index.linked for index in indexes):
                yield f"{other.name}@{digest} was made of it."


def _carried_out(stored: StoredDataset, found: Removed, plan: _Plan, renew: Callable[[], None] | None) -> Removed:
    """Move the pointer and remove, or without `renew` only count."""
    storage, found.current = stored.storage, plan.current
    if renew and plan.before:
        _leave(stored, plan.before, plan.current)
    for i, key in enumerate(plan.keys):
        if (size := size_of(storage, key)) is None:
            continue
        if renew:
            renew()
            see_no_link(storage, [key])
            storage.delete(key)
            OPENED.forget(storage, key)
            report(stored.name, i + 1, len(plan.keys))
        found.removed.append(key)
        found.bytes += size
    return found


def _leave(stored: StoredDataset, before: Pointer, version: str | None) -> None:
    """Move the pointer to another version; without one, only see that nobody moved it. Raises `Conflict`."""
    # No collector can remove the version meanwhile: this process holds the lease.
    if version is None:
        unmoved = stored.pointer(damage_is_absence=True) == before
    else:
        unmoved = stored.storage.swap(pointer_key(stored.name), pointer_to(version), before.digest)
    if not unmoved:
        raise Conflict(
            f"{stored.name}: another version was released meanwhile. Nothing was removed. Look at what is there with: "
            f"{command(f'versions {stored.name}', stored.storage.url)}"
        )
