"""The datasets that the web UI shows: the user's own, those that are prepared, and those that are asked for."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from dataset_assets.core.commands import command
from dataset_assets.core.names import storage_key
from dataset_assets.core.settings import APP
from dataset_assets.definition import registry
from dataset_assets.storage import Storage
from dataset_assets.storage.keys import place_of, pointer_key
from dataset_assets.storage.stored_dataset import StoredDataset

VARIABLE = "DATASET_ASSETS_UI_DATASETS"
"""The variable that tells the processes of the UI, and those of its runs, which datasets they define."""
CONNECTIONS = 8


def shown(storage: Storage, asked: Iterable[str] = (), *, every: bool = False) -> list[str]:
    """Return the names of the datasets to show; all that are registered with `every`, and if there are no others.

    `asked` are names or patterns. Raises `UnknownDataset` for one that matches nothing.
    """
    defined = [dataset.name for dataset in registry.definitions()]
    found = {dataset.name for name in asked for dataset in registry.matching(name)}
    if not every:
        packages = registry.packages()
        found |= {name for name in defined if packages.get(name) != APP}
        found |= {*_prepared(storage, defined), *_prepared_members(storage)}
    return sorted(found if found and not every else {*found, *defined})


def in_words(names: Sequence[str], storage: str) -> str:
    """Say how many datasets are shown, and how to see the others."""
    others = {dataset.name for dataset in registry.definitions()} - {*names}
    if not others:
        return f"all {len(names)}"
    return f"{len(names)}, your own and those that are prepared; {len(others)} more: {command('ui --all', storage)}"


def chosen() -> list[str]:
    """Return the names that this process defines, as the UI that started it says; without one, all."""
    return [name for name in os.environ.get(VARIABLE, "").split("\n") if name] or ["*"]


def _prepared(storage: Storage, names: Sequence[str]) -> Iterator[str]:
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        stored = pool.map(lambda name: storage.exists(pointer_key(name)), names)
        yield from (name for name, is_stored in zip(names, stored) if is_stored)


def _prepared_members(storage: Storage) -> Iterator[str]:
    """Yield the members of families that are stored, and that are defined."""
    for family in registry.families():
        places = map(place_of, storage.list(storage_key(family.name)))
        for folder in sorted({place.dataset for place in places if place} - {family.name}):
            member = StoredDataset(storage, folder).own_named().name
            if registry.is_defined(member):
                yield member
