"""All that is stored of a dataset. A listing may lack keys, so each key that a document names is asked for."""

from contextlib import suppress
from itertools import islice
from typing import Iterable, Iterator

from dataset_assets.core.names import VARIANTS, is_folder_name, is_member, plain_name, storage_key
from dataset_assets.errors import IntegrityError, NameNotAllowed, Refused
from dataset_assets.storage.keys import (
    Contents,
    contents,
    folded,
    index_key,
    pin_key,
    place_of,
    pointer_key,
    version_key,
)
from dataset_assets.storage.storage import Storage, listed, listing_cut
from dataset_assets.storage.stored_dataset import UNUSABLE, StoredDataset

LISTED = 10_000
"""How many objects are listed for a hint, at most."""


def whole(
    stored: StoredDataset, there: Contents | None = None, folders: Iterable[tuple[str, ...]] | None = None
) -> Contents:
    """Return all that is stored of a dataset; `there` is an earlier listing.

    It is compared with listings of single `folders`: of these, or of all that hold documents.

    It holds every pointer, pin, version and index, or `ListingCut` is raised: each of them that a document or another
    listing names is asked for by its key if it was not listed.
    """
    there = there or stored.listed()
    while (again := relisted(stored, there, _named(stored, there, folders))) is not None:
        there = again
    return there


def every_whole(storage: Storage, folders: Iterable[tuple[str, ...]] | None = None) -> dict[str, Contents]:
    """Return all that is stored of each dataset, by name, sorted; of one that may not be read, what the listing shows.

    The listing is compared with those of single `folders`, as in `whole`.
    A verb that then reads it raises `Refused`, as for a folder that was moved out of the storage and left a link.
    """
    found = {}
    for name, there in sorted(contents(listed(storage, ""))[0].items()):
        stored = StoredDataset(storage, name)
        with suppress(Refused):
            stored = stored.own_named()
            there = whole(stored, there, folders)
        found[stored.name] = there
    return found


def relisted(stored: StoredDataset, there: Contents, needed: Iterable[str]) -> Contents | None:
    """List again if a needed key is stored and was not listed, such as one that was stored just now; else return None.

    Raises `ListingCut` if the new listing lacks it too, and `StorageError` if the storage refuses to say.
    """
    if not (present := [key for key in _unlisted(needed, there) if stored.storage.exists(key)]):
        return None
    again = stored.listed()
    for key in _unlisted(present, again):
        # A collector may have removed it in between.
        if stored.storage.exists(key):
            raise listing_cut(key, stored.storage.url)
    return again


def _unlisted(keys: Iterable[str], there: Contents) -> list[str]:
    listed = there.keys()
    return sorted({key for key in keys if folded(key) not in listed})


def known_versions(stored: StoredDataset, there: Contents) -> set[str]:
    """Return the digests of the versions that are listed, pinned or current, whether or not they are stored."""
    found = listed_versions(there)
    # A damaged pointer names nothing.
    with suppress(IntegrityError):
        current = stored.pointer().version
        found |= {current} if current else set()
    return found


def listed_versions(there: Contents) -> set[str]:
    """Return the digests of the versions that are listed or pinned."""
    return {place.digest for kind in ("version", "pin") for place in there.of(kind)}


def _named(stored: StoredDataset, there: Contents, only: Iterable[tuple[str, ...]] | None) -> Iterator[str]:
    """Yield the keys of documents that other documents, and the listings of single folders, name."""
    name = stored.name
    yield pointer_key(name)
    folders = {("versions",), ("meta", "pins"), *((place.name, "index") for place in there.of("index"))}
    for digest in known_versions(stored, there):
        yield version_key(name, digest)
        # Each is asked whether it is pinned: a list of pins that ends early must not unpin any.
        yield pin_key(name, digest)
        with suppress(*UNUSABLE):
            for split, at in stored.version(digest).splits.items():
                yield index_key(name, split, at)
                folders.add((split, "index"))
    for folder in sorted(folders if only is None else only):
        for place in map(place_of, stored.storage.list(storage_key(name, *folder))):
            if place and place.dataset == plain_name(name):
                yield place.key


def clash_in(storage: Storage, name: str) -> tuple[str, str] | None:
    """Return `name` and a stored dataset, of which one lies in the folders of the other: that other comes first.

    Members of a family lie in its folders, and do not clash with each other.
    """
    base = name.partition("[")[0]
    parts = base.split(".")
    for above in (".".join(parts[:count]) for count in range(2, len(parts))):
        with suppress(NameNotAllowed):
            if StoredDataset(storage, above).exists():
                return above, name
    below = {place.dataset for place in map(place_of, storage.list(storage_key(base))) if place} - {base}
    if is_member(name):
        below = {one for one in below if not (is_folder_name(one) and one.rpartition(f".{VARIANTS}.")[0] == base)}
    return (name, min(below)) if below else None


def stored_names(storage: Storage) -> set[str]:
    """Return the names of stored datasets and families for a hint; in a storage with very many objects, the first."""
    names = {place.dataset for place in map(place_of, islice(storage.list(""), LISTED)) if place is not None}
    return {name.rpartition(f".{VARIANTS}.")[0] if is_folder_name(name) else name for name in names}
