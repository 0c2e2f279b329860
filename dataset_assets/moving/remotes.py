"""The remote: the storage that datasets are pushed to and pulled from, by the setting `remote`."""

from dataset_assets.core.settings import settings
from dataset_assets.errors import UsageError
from dataset_assets.moving.shared_names import archived
from dataset_assets.storage import Storage, open_storage
from dataset_assets.storage.keys import place_of
from dataset_assets.storage.stored_dataset import StoredDataset


def open_remote(url: "str | Storage | None" = None) -> Storage:
    """Open the remote: the storage with this URL, or that of the setting `remote`. Raises `UsageError` if unset."""
    chosen = url or settings().remote
    if not chosen:
        raise UsageError(
            "No remote is set. Name a storage with --remote URL, or set one: export "
            "DATASET_ASSETS_REMOTE=s3://bucket/prefix"
        )
    return open_storage(chosen)


def listed_names(storage: Storage) -> list[str]:
    """Return the names of the released datasets of a storage, and of archives of etcetera, by one listing."""
    found = set()
    for key in storage.list(""):
        place = place_of(key) if key.endswith("/current.json") else None
        if place and place.kind == "pointer":
            found.add(StoredDataset(storage, place.dataset).own_named().name)
        elif (name := archived(key)) is not None:
            found.add(name)
    return sorted(found)
