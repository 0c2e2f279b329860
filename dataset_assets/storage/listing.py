"""What is stored of a dataset. That something was not listed proves nothing: what is named is asked for by its key."""

from contextlib import suppress
from typing import Iterable, Iterator

from dataset_assets.core.names import storage_key
from dataset_assets.errors import IntegrityError, NotFound
from dataset_assets.storage import Storage, listing_cut
from dataset_assets.storage.keys import Contents, contents, pin_key, place_of
from dataset_assets.storage.manifest import index_key, pointer_key, read_pointer, read_version, version_key


def whole(storage: Storage, dataset: str, there: Contents | None = None) -> Contents:
    """Return what is stored of a dataset; `there` is what was listed of it before.

    Pointer, pins, versions and indexes are all in it, or `ListingCut` is raised: each that a document or another
    listing names is asked for by its key if it was not listed.
    """
    there = there or listed(storage, dataset)
    while (anew := relisted(storage, there, _named(storage, there))) is not None:
        there = anew
    return there


def listed(storage: Storage, dataset: str) -> Contents:
    """Return what one listing says."""
    return contents(storage.list(storage_key(dataset)))[0].get(dataset, Contents(dataset))


def relisted(storage: Storage, there: Contents, needed: Iterable[str]) -> Contents | None:
    """List anew if a needed key is there and was not listed, as one that was stored meanwhile; else return None.

    Raises `ListingCut` if the new listing lacks it too, and `StorageError` if the storage refuses to say.
    """
    unlisted = {*needed} - {place.key for place in there.places}
    if not (present := [key for key in sorted(unlisted) if storage.exists(key)]):
        return None
    anew = listed(storage, there.dataset)
    for key in {*present} - {place.key for place in anew.places}:
        # A collector may have taken it in between.
        if storage.exists(key):
            raise listing_cut(key, storage.url)
    return anew


def known_versions(storage: Storage, there: Contents) -> set[str]:
    """Return the digests of the versions that are listed, pinned or current, whether or not they are there."""
    found = {place.digest for kind in ("version", "pin") for place in there.of(kind)}
    # A damaged pointer names nothing.
    with suppress(IntegrityError):
        current, _ = read_pointer(storage, there.dataset)
        found |= {current} if current else set()
    return found


def _named(storage: Storage, there: Contents) -> Iterator[str]:
    """Yield the keys of documents that may be there, by what other documents and other listings name."""
    dataset = there.dataset
    yield pointer_key(dataset)
    folders = {("versions",), ("meta", "pins"), *((place.name, "index") for place in there.of("index"))}
    for digest in known_versions(storage, there):
        yield version_key(dataset, digest)
        # Each is asked whether it is pinned: a list of pins that ends early must not unpin any.
        yield pin_key(dataset, digest)
        with suppress(IntegrityError, NotFound):
            for split, at in read_version(storage, dataset, digest).splits.items():
                yield index_key(dataset, split, at)
                folders.add((split, "index"))
    for folder in sorted(folders):
        for place in map(place_of, storage.list(storage_key(dataset, *folder))):
            if place and place.dataset == dataset:
                yield place.key
