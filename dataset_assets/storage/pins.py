"""Pins: versions of a dataset that are never collected."""

from dataset_assets.core.names import split_pin, storage_key
from dataset_assets.errors import NotPrepared
from dataset_assets.storage import Storage
from dataset_assets.storage.keys import pin_key, place_of
from dataset_assets.storage.manifest import read_pointer, read_version, sealed


def pin(pinned: str, storage: Storage) -> None:
    """Keep a version, `name@digest`, or the current one, whatever its age. Raises `NotPrepared` if it is not there."""
    name, digest = _taken_apart(pinned, storage)
    read_version(storage, name, digest)
    storage.put(pin_key(name, digest), sealed({"pinned": digest}))
    # A collector may have taken it in between; then the pin is no promise.
    if not storage.exists(storage_key(name, "versions", f"{digest}.json")):
        storage.delete(pin_key(name, digest))
        raise NotPrepared(f"{pinned} was collected while it was pinned. Make it again: dataset-assets prepare {name}")


def unpin(pinned: str, storage: Storage) -> None:
    """Let a version, or the current one, be collected when it is old enough; one that is not pinned is no error."""
    name, digest = _taken_apart(pinned, storage)
    storage.delete(pin_key(name, digest))


def pins(name: str, storage: Storage) -> list[str]:
    """Return the digests of a dataset's pinned versions."""
    places = map(place_of, storage.list(storage_key(name, "meta", "pins")))
    return sorted(place.digest for place in places if place and place.kind == "pin")


def _taken_apart(pinned: str, storage: Storage) -> tuple[str, str]:
    name, digest = split_pin(pinned)
    digest = digest or read_pointer(storage, name)[0]
    if digest is None:
        raise NotPrepared(f"{name} is not in {storage.url}. Make it with: dataset-assets prepare {name}")
    return name, digest
