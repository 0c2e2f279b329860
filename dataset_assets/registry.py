"""Qualified names -> definitions: those that ship with us, and those of plugins.

A plugin is an entry point of the group `dataset_assets.datasets`: its name is the beginning of qualified names, its
value a module whose top-level `Dataset` values count. Only modules that may hold the asked name are imported.
"""

import functools
import logging
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Iterator

from dataset_assets import plugins
from dataset_assets.definition import Dataset
from dataset_assets.errors import DefinitionError, UnknownDataset, nearest
from dataset_assets.names import check_dataset_name, prefix_clash

OURS = "dataset_assets.datasets"

log = logging.getLogger(__name__)


def find(name: str) -> Dataset:
    """Return the definition of this name or alias; `UnknownDataset`, with the nearest, where there is none."""
    check_dataset_name(name)
    for module in _modules_for(name):
        if name in (found := _datasets_in(module)):
            return found[name]
    known = {dataset.name: dataset for dataset in definitions()}
    for dataset in known.values():
        if name in dataset.aliases:
            return dataset
    raise UnknownDataset(f"No dataset is named {name}.{nearest(name, known)} List them with: dataset-assets search")


def definitions(pattern: str = "*") -> list[Dataset]:
    """Return the definitions whose names match a pattern (`com.lecun.*`), by name. A broken plugin is logged and left out."""
    found: dict[str, Dataset] = {}
    for module in dict.fromkeys(module for _, module in _places()):
        for name, dataset in _datasets_in(module).items():
            if found.setdefault(name, dataset) is not dataset:
                raise DefinitionError(f"{name} is defined twice, the second time in {module}. Rename one of them.")
    if clash := prefix_clash(list(found)):
        raise DefinitionError(f"{clash[0]} is the beginning of {clash[1]}, whose files would lie in its folders. Rename one.")
    return [found[name] for name in sorted(found) if fnmatchcase(name, pattern)]


def _modules_for(name: str) -> Iterator[str]:
    for prefix, module in _places():
        if name == prefix or name.startswith(prefix + "."):
            yield module


@functools.lru_cache(maxsize=1)
def _places() -> tuple[tuple[str, str], ...]:
    """Return (beginning of names, module) of every place where definitions are."""
    shipped = import_module(OURS).MODULES
    ours = [(prefix, f"{OURS}.{module}") for prefix, module in shipped.items()]
    return (*ours, *((point.name, point.value) for point in plugins.points("datasets")))


@functools.lru_cache(maxsize=None)
def _datasets_in(module: str) -> dict[str, Dataset]:
    try:
        values = vars(import_module(module)).values()
    except Exception as error:
        log.warning("The datasets of %s are left out: it cannot be imported (%s: %s).", module, type(error).__name__, error)
        return {}
    return {value.name: value for value in values if isinstance(value, Dataset)}
