"""The remote: the storage that datasets are pushed to and pulled from, by the setting `remote`."""

from concurrent.futures import ThreadPoolExecutor
from typing import Iterator

from dataset_assets.core.names import check_dataset_name
from dataset_assets.core.settings import settings
from dataset_assets.errors import NameNotAllowed, UsageError
from dataset_assets.moving.shared_names import archived
from dataset_assets.storage import Storage, open_storage
from dataset_assets.storage.keys import place_of, pointer_key
from dataset_assets.storage.storage import ListsLevels, lists_levels
from dataset_assets.storage.stored_dataset import StoredDataset

AT_ONCE = 32
"""How many folders are asked for at a time."""


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
    """Return the names of the released datasets of a storage, and of archives of etcetera.

    Where a folder can be listed without what is below it, the objects of the datasets are not listed: each folder that
    may be a dataset is asked for its pointer, many at a time.
    """
    names = {*(_walked(storage) if lists_levels(storage) else filter(None, map(_named, storage.list(""))))}
    # The folder of a member of a family does not have its name.
    return sorted(StoredDataset(storage, name).own_named().name for name in names)


def _named(key: str) -> str | None:
    """Return the name of the dataset whose pointer or archive is at a key."""
    place = place_of(key) if key.endswith("/current.json") else None
    return place.dataset if place and place.kind == "pointer" else archived(key)


def _walked(storage: ListsLevels) -> Iterator[str]:
    top = storage.level("")
    yield from filter(None, map(archived, top.keys))
    waiting = [*filter(_may_hold_datasets, top.folders)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while waiting:
            levels = pool.map(storage.level, waiting)
            folders = [folder for level in levels for folder in level.folders if _may_hold_datasets(folder)]
            names = [_named(f"{folder}/current.json") for folder in folders]
            found = [*pool.map(lambda name: bool(name) and storage.exists(pointer_key(name)), names)]
            yield from (name for name, there in zip(names, found) if name and there)
            waiting = [folder for folder, there in zip(folders, found) if not there]


def _may_hold_datasets(folder: str) -> bool:
    try:
        return bool(check_dataset_name(f"{folder}/x".replace("/", ".")))
    except NameNotAllowed:
        return False
