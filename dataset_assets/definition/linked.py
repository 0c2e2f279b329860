"""The datasets that a dataset is made of, by its links: found in the registry, inputs first, without a circle."""

from dataclasses import dataclass
from typing import Iterable, Mapping

from dataset_assets.definition import registry
from dataset_assets.definition.dataset import Dataset, SplitOf
from dataset_assets.definition.links import FileOf
from dataset_assets.errors import DefinitionError, NotFound, UnknownDataset, UnknownSplit, nearest
from dataset_assets.storage.aliases import named
from dataset_assets.storage.storage import Storage


def linked(dataset: Dataset, storage: Storage | None = None) -> list[Dataset]:
    """Return the definitions of the datasets that this one is made of, directly or through others; inputs come first.

    One that is only stored in `storage` has none. Raises `UnknownDataset`, `UnknownSplit` and `NotFound` for a link
    that leads nowhere, and `DefinitionError` if the dataset is made of itself.
    """
    found: dict[str, Dataset] = {}
    _add(dataset, (), found, _Finder({}, storage, False))
    return [each for name, each in found.items() if name != dataset.name]


def see_no_circle(datasets: Iterable[Dataset]) -> None:
    """Raise the errors of `linked` for any of these datasets, but not for one that is made of an unknown dataset."""
    known = {each.name: each for each in datasets}
    found: dict[str, Dataset] = {}
    for dataset in known.values():
        _add(dataset, (), found, _Finder(known, None, True))


def own_name(link: "SplitOf | FileOf") -> str:
    """Return the name of a link's dataset, if the link has an alias, or a member's name without its defaults."""
    try:
        return registry.find(str(link.dataset)).name
    except UnknownDataset:
        return str(link.dataset)


@dataclass(frozen=True)
class _Finder:
    """Finds the definition of a link's dataset; None if it has none, and need not have one."""

    known: Mapping[str, Dataset]
    storage: Storage | None
    lenient: bool

    def __call__(self, dataset: Dataset, name: str) -> Dataset | None:
        if name in self.known:
            return self.known[name]
        try:
            return registry.find(name)
        except UnknownDataset as error:
            if self.lenient or self.storage is not None and named(self.storage, name).exists():
                return None
            error.args = (f"{dataset.name} is made of {name}. {error.args[0]}",)
            raise


def _add(dataset: Dataset, path: tuple[str, ...], found: dict[str, Dataset], find: _Finder) -> None:
    if dataset.name in path:
        circle = " -> ".join([*path[path.index(dataset.name) :], dataset.name])
        raise DefinitionError(f"{dataset.name} is made of itself: {circle}. Make one of them of files only.")
    if dataset.name in found:
        return
    for link in dataset.links:
        if other := find(dataset, str(link.dataset)):
            _check(dataset, link, other)
            _add(other, (*path, dataset.name), found, find)
    found[dataset.name] = dataset


def _check(dataset: Dataset, link: "SplitOf | FileOf", other: Dataset) -> None:
    """Raise an error if the other dataset does not have what is linked."""
    if isinstance(link, SplitOf):
        if link.split not in other.splits:
            hint = nearest(link.split, other.splits)
            raise UnknownSplit(f"{dataset.name} is made of {other.name}, which has no split {link.split!r}.{hint}")
        return
    file = other.files.get(link.file)
    if file is None:
        hint = nearest(link.file, other.files)
        raise NotFound(f"{dataset.name} is made of {other.name}, which has no file {link.file!r}.{hint}")
    if not file.keep:
        raise DefinitionError(
            f"{dataset.name} is made of {link.file} of {other.name}, which is not stored. Define it there with "
            "keep=True."
        )
