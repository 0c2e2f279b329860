"""Whether a copy may make its version the current one: only where that displaces no version of somebody else's."""

from hashlib import sha256
from typing import Callable

from dataset_assets.core.names import storage_key
from dataset_assets.errors import IntegrityError, NewerFormat
from dataset_assets.storage import Storage
from dataset_assets.storage.keys import place_of
from dataset_assets.storage.manifest import pointer_key, read_pointer, version_key
from dataset_assets.storage.releases import point_to

Knows = Callable[[str], bool]
"""Says whether the source of a copy has a version."""

Pointer = tuple[str | None, str | None]
"""The current version, and the digest of the pointer to it; a damaged pointer has a digest and no version."""


def pointer_in(storage: Storage, dataset: str) -> Pointer:
    """Read the pointer of a dataset. Raises `NewerFormat` for one that a newer release wrote."""
    try:
        return read_pointer(storage, dataset)
    except NewerFormat:
        raise
    except IntegrityError:
        return None, sha256(_read(storage, pointer_key(dataset))).hexdigest()


def has_version(storage: Storage, dataset: str, digest: str) -> bool:
    """Return whether a version's document is stored, whole."""
    try:
        return sha256(_read(storage, version_key(dataset, digest))).hexdigest() == digest
    except FileNotFoundError:
        return False


def stored_versions(storage: Storage, dataset: str) -> set[str]:
    """Return the digests of the versions of a dataset that are stored."""
    places = map(place_of, storage.list(storage_key(dataset, "versions")))
    return {place.digest for place in places if place and place.kind == "version"}


def may_move(target: Storage, dataset: str, pointer: Pointer, new: str | None, knows: Knows | None) -> bool:
    """Return whether the pointer of the target may move to a new version.

    It may where there is none, or where the source knows the version that is current. Without `knows` the source is a
    stranger. A damaged pointer named one of the versions that are stored, so the source has to know all of these.
    """
    current, digest = pointer
    if digest is None or (current and current == new):
        return True
    return knows is not None and all(map(knows, [current] if current else stored_versions(target, dataset)))


def settle(
    target: Storage, dataset: str, new: str | None, expected: str | None, agreed: bool
) -> tuple[str | None, str | None]:
    """Make a new version current if that was agreed; return the current one, and the new one if it did not become it.

    Raises `Conflict` if the pointer is not `expected` any more.
    """
    if new is None:
        return None, None
    current = pointer_in(target, dataset)[0]
    if current == new or not agreed:
        return current, None if current == new else new
    point_to(target, dataset, new, expected)
    return new, None


def _read(storage: Storage, key: str) -> bytes:
    with storage.get(key) as file:
        return file.read()
