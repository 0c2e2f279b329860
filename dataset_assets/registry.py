"""Qualified names -> definitions: those that ship with us, and those of plugins.

A plugin is an entry point of the group `dataset_assets.datasets`: its name is the beginning of qualified names, its
value a module whose top-level `Dataset` values count, if their names begin so. Only modules that may hold the asked
name are imported. What is wrong with one plugin is logged, and costs the others nothing.
"""

import functools
import logging
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Iterable, Iterator

from dataset_assets import plugins
from dataset_assets.definition import Dataset
from dataset_assets.errors import UnknownDataset, nearest
from dataset_assets.names import check_dataset_name, prefix_clash

OURS = "dataset_assets.datasets"

log = logging.getLogger(__name__)


def find(name: str) -> Dataset:
    """Return the definition of this name or alias; `UnknownDataset`, with the nearest, where there is none."""
    check_dataset_name(name)
    for prefix, module in _places():
        if _begins(name, prefix) and (found := _datasets_in(module).get(name)):
            return found
    known = {dataset.name: dataset for dataset in definitions()}
    for dataset in known.values():
        if name in (dataset.name, *dataset.aliases):
            return dataset
    raise UnknownDataset(f"No dataset is named {name}.{nearest(name, known)} List them with: dataset-assets search")


def definitions(pattern: str = "*") -> list[Dataset]:
    """Return the definitions whose names match a pattern (`com.lecun.*`), by name.

    Of two that cannot live in one storage, the first counts: ours, then those of plugins by the names of their modules.
    """
    found: dict[str, Dataset] = {}
    for prefix, module in _places():
        for name, dataset in _datasets_in(module).items():
            if not _begins(name, prefix) or found.get(name) is dataset:
                continue
            if problem := _clash(dataset, found):
                log.warning("%s of %s is left out: %s Rename one of them.", name, module, problem)
            else:
                found[name] = dataset
    return [found[name] for name in sorted(found) if fnmatchcase(name, pattern)]


def _begins(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _clash(dataset: Dataset, others: Iterable[str]) -> str:
    if dataset.name in others:
        return "another has that name."
    clash = prefix_clash([dataset.name, *others])
    return f"{clash[0]} is the beginning of {clash[1]}, whose files would lie in its folders." if clash else ""


def _places() -> Iterator[tuple[str, str]]:
    """Yield (beginning of names, module) of every place where definitions are; plugins are looked for if need be."""
    for prefix, module in import_module(OURS).MODULES.items():
        yield prefix, f"{OURS}.{module}"
    for point in plugins.points("datasets"):
        yield point.name, point.value


@functools.cache
def _datasets_in(module: str) -> dict[str, Dataset]:
    try:
        values = vars(import_module(module)).values()
    except plugins.BROKEN as error:
        log.warning("The datasets of %s are left out: it cannot be imported (%s: %s).", module, type(error).__name__, error)
        return {}
    return {value.name: value for value in values if isinstance(value, Dataset)}
