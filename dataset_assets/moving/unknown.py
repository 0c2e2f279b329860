"""What is stored and no definition and no version knows: lists it, and removes the keys that are asked for.

Garbage collection leaves it if no document shows that we made it. Keys that are not of our layout are only listed.
"""

import re
from contextlib import suppress
from itertools import groupby
from time import time
from typing import Iterable, Iterator, Mapping, NamedTuple

from dataset_assets.core.commands import command
from dataset_assets.core.names import RESERVED, is_member, storage_key
from dataset_assets.core.progress import report
from dataset_assets.definition import registry
from dataset_assets.definition.dataset import Dataset
from dataset_assets.errors import NameNotAllowed, NewerFormat, NotFound, Refused, UnknownDataset
from dataset_assets.moving.gc import DAY_SECONDS, contents_of, files_of
from dataset_assets.storage import Stat, Storage, size_of
from dataset_assets.storage.aliases import named
from dataset_assets.storage.gc_lease import SECONDS, collecting, wait_for_collector
from dataset_assets.storage.keys import (
    Contents,
    Kind,
    Place,
    collector_key,
    contents,
    folded,
    index_key,
    is_axes_key,
    place_of,
)
from dataset_assets.storage.links import see_no_link
from dataset_assets.storage.listing import known_versions, whole
from dataset_assets.storage.storage import open_object
from dataset_assets.storage.stored_dataset import UNUSABLE, StoredDataset

KINDS: tuple[Kind, ...] = ("recipe", "index", "part", "source", "stream", "raw")
"""The kinds that may be removed, in this order; other documents are known by what they are."""

FOREIGN = "it is not of dataset_assets"
_DIGEST = re.compile(rb"[0-9a-f]{64}")


class Unknown(NamedTuple):
    """An object that nothing knows, and why it may not be removed (None: it may)."""

    key: str
    bytes: int
    stays: str | None


def unknown(storage: Storage, names: Iterable[str] = (), *, grace_seconds: float = 7 * DAY_SECONDS) -> list[Unknown]:
    """Return what no definition and no version knows, below some datasets or in all of a storage.

    Raises `NotPrepared` for a name of which nothing is stored, and `ListingCut`.
    """
    chosen = {named(storage, name).name for name in names}
    defined = {dataset.name: dataset for dataset in registry.definitions()}
    found: list[Unknown] = []
    for name, there in contents_of(storage, chosen).items():
        definition = defined.get(name) or (_defined(name) if is_member(name) else None)
        found += _unknown_of(StoredDataset(storage, name), there, definition, grace_seconds, time())
    for folder in [storage_key(name) for name in sorted(chosen)] or [""]:
        for key in contents(storage.list(folder))[1]:
            if key.partition("/")[0] not in RESERVED["first part of a dataset's name"] and not is_axes_key(key):
                found.append(Unknown(key, size_of(storage, key) or 0, FOREIGN))
    return sorted(found)


def remove_unknown(
    storage: Storage,
    keys: Iterable[str],
    *,
    grace_seconds: float = 7 * DAY_SECONDS,
    dry_run: bool = False,
    lease_seconds: float = SECONDS,
) -> list[Unknown]:
    """Remove objects that nothing knows, by their keys; with `dry_run` only report it.

    Waits for a running garbage collection. Before anything is removed, raises `Refused` for a key that is not of our
    layout, is younger than the grace period, or is used, and `NotFound` for one that is not stored.
    """
    places, listed = [_place(storage, key) for key in dict.fromkeys(keys)], dict[str, Unknown]()
    for dataset in {place.dataset for place in places}:
        stored, now = StoredDataset(storage, dataset).own_named(), time()
        found = _unknown_of(stored, whole(stored), _defined(stored.name), grace_seconds, now)
        listed |= {one.key: one for one in found}
    for place in places:
        _see_removable(storage, place.key, listed)
    places.sort(key=lambda place: (place.dataset, KINDS.index(place.kind)))
    removed: list[Unknown] = []
    for dataset, chosen in groupby(places, key=lambda place: place.dataset):
        stored, ordered = StoredDataset(storage, dataset).own_named(), [place.key for place in chosen]
        if dry_run:
            removed += [listed[key] for key in ordered]
        else:
            removed += _removed(stored, ordered, grace_seconds, lease_seconds)
    return removed


def _defined(name: str) -> Dataset | None:
    """Return the definition of a dataset; of a member of a family also None if its family has changed."""
    try:
        return registry.defined(name)
    except (NameNotAllowed, UnknownDataset):
        if not is_member(name):
            raise
        return None


def _place(storage: Storage, key: str) -> Place:
    if (place := place_of(key)) is None:
        raise _stays(storage, key, FOREIGN)
    see_no_link(storage, [collector_key(place.dataset), key])
    return place


def _see_removable(storage: Storage, key: str, listed: Mapping[str, Unknown]) -> None:
    if key not in listed and not storage.exists(key):
        gc = command("gc --unknown", storage.url)
        raise NotFound(f"{key} is not in {storage.url}. List what is there with: {gc}")
    if key not in listed:
        raise _stays(storage, key, "a definition, a version or a pin uses it")
    if (why := listed[key].stays) is not None:
        raise _stays(storage, key, why)


def _stays(storage: Storage, key: str, why: str) -> Refused:
    return Refused(
        f"{key[:300]} stays, because {why}. Nothing was removed. List what can be removed with: "
        f"{command('gc --unknown', storage.url)}"
    )


def _removed(stored: StoredDataset, keys: list[str], grace_seconds: float, lease_seconds: float) -> list[Unknown]:
    """Look again under the lease, which writers see, and remove."""
    storage = stored.storage
    wait_for_collector(stored)
    with collecting(stored, lease_seconds) as renew:
        # The lease was just written: its time is what the clock of the store says now.
        now, definition = storage.stat(collector_key(stored.name)).modified, _defined(stored.name)
        found = {one.key: one for one in _unknown_of(stored, whole(stored), definition, grace_seconds, now)}
        removed = [found[key] for key in keys if key in found and found[key].stays is None]
        for i, one in enumerate(removed):
            renew()
            see_no_link(storage, [one.key])
            storage.delete(one.key)
            report(stored.name, i + 1, len(removed))
    return removed


def _unknown_of(
    stored: StoredDataset, there: Contents, definition: Dataset | None, grace_seconds: float, now: float
) -> Iterator[Unknown]:
    def stat(place: Place) -> Stat | None:
        with suppress(FileNotFoundError):
            return stored.storage.stat(place.key)
        return None

    def is_young(found: Stat | None) -> bool:
        return found is not None and now - found.modified < grace_seconds

    named, damaged = _named(stored, there, {place for place in there.of("index") if is_young(stat(place))})
    digests = _in_parts(stored, there)
    young = f"it is younger than the grace period of {grace_seconds / DAY_SECONDS:g} days"
    for place in there.places:
        used = folded(place.goes_with(stored.name)) in named or place.digest in digests or _knows(definition, place)
        if place.kind in KINDS and not used and (found := stat(place)):
            ours = place.kind != "source" or _is_record(stored, place)
            why = damaged or (young if is_young(found) else None)
            yield Unknown(place.key, found.bytes, why if ours else FOREIGN)


def _is_record(stored: StoredDataset, place: Place) -> bool:
    """Say whether this release wrote a record of a raw file; another program may have a file of this name."""
    try:
        return stored.raw(place.name) is not None
    except NewerFormat:
        return False


def _named(stored: StoredDataset, there: Contents, young: set[Place]) -> tuple[set[str], str | None]:
    """Return the keys that versions name, and young indexes, whose version may follow; and what cannot be read."""
    damaged, splits = None, {(place.name, place.digest) for place in young}
    named, used = set[str](), set[str]()
    for digest in known_versions(stored, there):
        try:
            splits |= {*stored.version(digest).splits.items()}
        except UNUSABLE as error:
            damaged = str(error)
    for split, digest in splits:
        named.add(folded(index_key(stored.name, split, digest)))
        try:
            index = stored.index(split, digest)
        except UNUSABLE as error:
            damaged = str(error)
            continue
        named |= {*map(folded, files_of(index))}
        used |= {source.name.casefold() for source in index.sources}
    for place in there.of("source"):
        if place.name.casefold() in used and (record := stored.raw(place.name)):
            named |= {folded(place.key), folded(stored.raw_key(record))}
    return named, damaged and f"a document that may name it cannot be read ({damaged.rstrip('.')})"


def _in_parts(stored: StoredDataset, there: Contents) -> set[str]:
    """Return the digests of the records of parts, and those that are written in them."""
    found = set[str]()
    for place in there.of("part"):
        with open_object(stored.storage, place.key) as file:
            found |= {place.digest, *(digest.decode() for digest in _DIGEST.findall(file.read()))}
    return found


def _knows(definition: Dataset | None, place: Place) -> bool:
    """Say whether the definition has the split or the file of an object."""
    if definition is None:
        return False
    if place.kind in ("source", "raw") and definition.has_patterns:
        return True  # its source says whether it is one of them
    names = definition.files if place.kind in ("source", "raw") else definition.splits
    return place.name.casefold() in {name.casefold() for name in names}
