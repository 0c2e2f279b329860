"""Pins: versions of a dataset that are never collected."""

from dataset_assets.core.commands import command
from dataset_assets.core.names import split_pin, storage_key
from dataset_assets.errors import NotPrepared
from dataset_assets.storage.aliases import named
from dataset_assets.storage.gc_lease import wait_for_collector
from dataset_assets.storage.keys import pin_key, place_of, version_key
from dataset_assets.storage.manifest import sealed
from dataset_assets.storage.storage import Storage, settle
from dataset_assets.storage.stored_dataset import StoredDataset


def pin(pinned: str, storage: Storage) -> None:
    """Keep a version, `name@digest` or the current one, for ever. Raises `NotPrepared` if it is not stored."""
    stored, digest = _version_named(pinned, storage)
    stored.version(digest)
    settle(storage, [version_key(stored.name, digest)])
    storage.put(pin_key(stored.name, digest), sealed({"pinned": digest}))
    # A collector that could not see the pin may remove the version; from now on collectors see it.
    wait_for_collector(stored)
    if not storage.exists(version_key(stored.name, digest)):
        storage.delete(pin_key(stored.name, digest))
        raise NotPrepared(
            f"{pinned} was collected while it was pinned. Make it again with: "
            f"{command(f'prepare {stored.name}', stored.storage.url)}"
        )


def unpin(pinned: str, storage: Storage) -> None:
    """Remove the pin of a version, `name@digest` or the current one; a version without a pin is no error."""
    stored, digest = _version_named(pinned, storage)
    storage.delete(pin_key(stored.name, digest))


def pins(stored: StoredDataset) -> list[str]:
    """Return the digests of the pinned versions."""
    places = map(place_of, stored.storage.list(storage_key(stored.name, "meta", "pins")))
    return sorted(place.digest for place in places if place and place.kind == "pin")


def _version_named(pinned: str, storage: Storage) -> tuple[StoredDataset, str]:
    name, digest = split_pin(pinned, storage.url)
    stored = named(storage, name)
    digest = digest or stored.pointer().version
    if digest is None:
        raise stored.absent()
    return stored, digest
