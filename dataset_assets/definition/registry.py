"""Finds definitions by name: in this package, in plugins, and in the files of the setting `definitions`.

A folder that was registered on this machine has a definition too.

A plugin is an entry point of the group `dataset_assets.datasets`. Its name is a prefix of dataset names; its value is a
module, which offers its top-level `Dataset` and `Family` values with that prefix. Only modules that may define a name
are imported. A broken plugin is logged and does not affect the others. A file of the setting, Python or YAML, needs no
package.
"""

import functools
import logging
import sys
from collections import Counter
from contextlib import suppress
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Iterator, Mapping

from dataset_assets.core import plugins, registered
from dataset_assets.core.names import check_dataset_name, is_member, namesakes, split_member
from dataset_assets.core.noted_sources import how_to_make_again
from dataset_assets.core.settings import APP, YAML, settings
from dataset_assets.definition.dataset import Dataset
from dataset_assets.definition.family import Family
from dataset_assets.errors import (
    DatasetAssetsError,
    DefinitionError,
    NameNotAllowed,
    UnknownDataset,
    UsageError,
    nearest,
)
from dataset_assets.storage.aliases import named
from dataset_assets.storage.storage import Storage

OURS = "dataset_assets.datasets"
ANY = ""
"""The prefix of every name."""

EVERY = "[*]"
"""Behind the name of a family: all its members."""

Defined = Dataset | Family

log = logging.getLogger(__name__)


def find(name: str, storage: Storage | None = None) -> Dataset:
    """Return the definition with this name or alias. In `storage`, a stored dataset or alias has the name first.

    A member of a family has its axes in the name; those with a default may be left out. Raises `UnknownDataset`, with
    the nearest name, if there is none. Raises `DefinitionError` if two plugins define the name, or if one plugin's name
    is a prefix of another's.
    """
    try:
        name = check_dataset_name(name)
    except NameNotAllowed as error:
        known_names = (known for dataset in definitions() for known in (dataset.name, *dataset.aliases))
        error.args = (f"{error.args[0]}{namesakes(name, known_names)}",)
        raise
    if dataset := defined(name):
        return dataset
    if storage is not None and (stored := named(storage, name)).exists():
        if dataset := defined(stored.name):
            return dataset
        alias = "" if stored.name == name else f", of which {name} is an alias,"
        raise UnknownDataset(
            f"{stored.name}{alias} is stored in {storage.url}, and load opens it, but nothing here defines it."
            + (
                how_to_make_again(stored.name)
                or " To prepare it, name the file or folder of its definition in DATASET_ASSETS_DEFINITIONS."
            )
        )
    known = {dataset.name: dataset for dataset in definitions()}
    for dataset in known.values():
        if name in dataset.aliases:
            return dataset
    near = nearest(split_member(name)[0], [*known, *(family.name for family in families())], listed=False)
    advice = how_to_make_again(name) or f"{near} List them with: dataset-assets search"
    raise UnknownDataset(f"No dataset is named {name}.{advice}")


def in_file(path: Path) -> Dataset:
    """Return the dataset that a file defines. Raises `UsageError` if it cannot be read, or defines none or several."""
    found = _datasets_in(str(path.absolute()))
    datasets = [each for each in (found or {}).values() if isinstance(each, Dataset)]
    if found is None:
        raise UsageError(f"{path} cannot be read as a definition; the warning above says why.")
    if len(datasets) != 1:
        names = ", ".join(sorted(each.name for each in datasets))
        one = "Name the file in DATASET_ASSETS_DEFINITIONS, and prepare one of them by its name."
        raise UsageError(f"{path} defines {names}. {one}" if names else f"{path} defines no dataset.")
    return datasets[0]


def free_aliases(dataset: Dataset) -> list[str]:
    """Return the aliases of a dataset that may be stored; a name that another definition has itself is left out."""
    free = [alias for alias in dict.fromkeys(dataset.aliases) if alias != dataset.name]
    for alias in (taken := [alias for alias in free if _exact(alias)]):
        log.warning("%s is itself a dataset, so it is no alias of %s.", alias, dataset.name)
    return [alias for alias in free if alias not in taken]


def definitions(pattern: str = "*") -> list[Dataset]:
    """Return the definitions whose names match a pattern (`com.lecun.*`), sorted by name.

    If two definitions cannot share a storage, the first is used: ours, then those of plugins by module name. Members
    of families are not among them, unless a module names one.
    """
    known, folders = _known()
    for name in registered.names():
        if not _clash(name, known, folders) and (found := _registered(name)):
            known[name] = (found, "")
    datasets = [found for _, (found, _) in sorted(known.items()) if isinstance(found, Dataset)]
    return [dataset for dataset in datasets if fnmatchcase(dataset.name, pattern)]


def families() -> list[Family]:
    """Return the families, sorted by name. No member is made."""
    return [found for _, (found, _) in sorted(_known()[0].items()) if isinstance(found, Family)]


def family(name: str) -> Family | None:
    """Return the family with this name; None if there is none."""
    found = _exact(name) if not is_member(name) else None
    return found if isinstance(found, Family) else None


def names() -> list[str]:
    """Return the names of the definitions and families, sorted. No member is made."""
    return sorted([each.name for each in definitions()] + [each.name for each in families()])


def members(name: str, beginning: str = "") -> list[str]:
    """Return the names of the first members of a family that begin so; none if they cannot be listed."""
    group = family(name)
    return group.first_members(beginning=beginning) if group else []


def searchable() -> list[Dataset]:
    """Return the definitions, and an example of each family under the family's name."""
    found = definitions()
    for each in families():
        try:
            found.append(each.as_dataset())
        except DatasetAssetsError as error:
            log.warning("%s is left out: %s", each.name, error)
    return found


def packages() -> dict[str, str]:
    """Return the package of each definition and family by name; of a file of the setting its path."""
    offered = {point.value: plugins.package_of(point) for point in plugins.points("datasets")}
    found = {name: module for name, (_, module) in _known()[0].items()}
    return {
        name: APP if module.startswith(f"{OURS}.") else offered.get(module, module) for name, module in found.items()
    }


def matching(pattern: str) -> list[Dataset]:
    """Return the definitions that match a pattern, the member of a family with this name, or with `[*]` all of them.

    Raises `UsageError` if the members cannot be listed or are too many, and `UnknownDataset` if nothing matches.
    """
    if is_member(pattern) and "=" in pattern:
        return [find(pattern)]
    if pattern.endswith(EVERY) and (group := family(pattern.removesuffix(EVERY))):
        return [*map(group.named, group.listed())]
    if found := definitions(pattern):
        return found
    if group := family(pattern):
        return [group.member({})]
    known = nearest(pattern, [dataset.name for dataset in definitions()])
    raise UnknownDataset(f"No dataset matches {pattern!r}.{known} List them with: dataset-assets search")


def _known() -> tuple[dict[str, tuple[Defined, str]], dict[str, str]]:
    """Return the definitions of all modules that can share a storage, each with its module; and a name by folder."""
    known, folders = _known_in(tuple(_places()))
    return {**known}, folders


@functools.lru_cache(maxsize=1)
def _known_in(places: tuple[tuple[str, str], ...]) -> tuple[dict[str, tuple[Defined, str]], dict[str, str]]:
    known: dict[str, tuple[Defined, str]] = {}
    folders: dict[str, str] = {}
    for prefix, module in places:
        for name, found in _own(prefix, module).items():
            if name in known and known[name][0] is found:
                continue
            if clash := _clash(name, known, folders):
                log.warning("%s of %s is left out: %s Rename one of them.", name, module, clash)
                continue
            known[name] = (found, module)
            folders |= dict.fromkeys(_above(name.partition("[")[0]), name)
    return known, folders


def _registered(name: str) -> Dataset | None:
    """Return the definition of the folder that is registered under a name, or None."""
    if registered.registered(name) is None:
        return None
    # It imports the decoders, which most processes do not need.
    from dataset_assets.definition.folders import registered_dataset

    return registered_dataset(name)


def defined(name: str) -> Dataset | None:
    """Return the definition with this very name, or None; import only modules that may define it.

    Raises `NameNotAllowed` for values that its family does not have.
    """
    found = _exact(name.partition("[")[0])
    if isinstance(found, Family):
        return found.named(name)
    if found and is_member(name):
        raise UnknownDataset(f"{found.name} is one dataset, not a family. Leave out the axes.")
    # A module may name a member without its family.
    return found or next((each for each in definitions() if each.name == name), None) if is_member(name) else found


def is_defined(name: str) -> bool:
    """Say whether something here defines the dataset with this very name."""
    with suppress(DatasetAssetsError):
        return defined(name) is not None
    return False


def _exact(name: str) -> Defined | None:
    """Return what modules define under this very name, or else the folder that is registered under it."""
    candidates: dict[Defined, str] = {}
    for prefix, module in _places():
        if _begins(name, prefix):
            own = _own(prefix, module).values()
            related = (each for each in own if _begins(each.name, name) or _begins(name, each.name))
            candidates |= {each: module for each in related if not is_member(each.name)}
    exact = [each for each in candidates if each.name == name]
    # Our own come first, so that no plugin can replace one.
    if not exact:
        return _registered(name)
    if len(candidates) == 1 or candidates[exact[0]].startswith(f"{OURS}."):
        return exact[0]
    (one, here), (other, there) = [*candidates.items()][:2]
    why = "they have the same name" if one.name == other.name else "one would be stored in the folders of the other"
    raise DefinitionError(
        f"{one.name} of {here} and {other.name} of {there} cannot be used together: {why}. Rename one, or uninstall a "
        "package."
    )


def _clash(name: str, known: Mapping[str, tuple[Defined, str]], folders: Mapping[str, str]) -> str:
    """Return why a name cannot be stored beside the other names, or ""."""
    base, _ = split_member(name)
    if name in known or base in known and isinstance(known[base][0], Dataset):
        return f"another dataset has that name. It is in {known[name if name in known else base][1]}."
    other = folders.get(base) or next((above for above in _above(base) if above in known), None)
    if other is None:
        return ""
    first, second = sorted((base, other))
    return f"{first} is a prefix of {second}, whose files would lie in its folders. {other} is in {known[other][1]}."


def _above(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _begins(name: str, prefix: str) -> bool:
    base, _, _ = name.partition("[")
    return prefix in (ANY, base) or base.startswith(f"{prefix}.")


def _places() -> Iterator[tuple[str, str]]:
    """Yield (prefix of names, module) for every place with definitions. Plugins are searched only when reached."""
    for prefix, module in import_module(OURS).MODULES.items():
        yield prefix, f"{OURS}.{module}"
    for point in plugins.points("datasets"):
        yield point.name, point.value
    for path in settings().definitions:
        yield ANY, str(path)


@functools.cache
def _own(prefix: str, module: str) -> dict[str, Defined]:
    """Return the datasets of a module whose names begin with its prefix."""
    datasets = _datasets_in(module)
    own = {name: dataset for name, dataset in (datasets or {}).items() if _begins(name, prefix)}
    if datasets is not None and not own:
        offered = f"{prefix}.*" if prefix else "definitions"
        log.warning("%s offers %s, but defines %s.", module, offered, ", ".join(datasets) or "no dataset")
    return own


@functools.cache
def _datasets_in(module: str) -> dict[str, Defined] | None:
    """Return the datasets of a module or file by name, or None if it cannot be read."""
    if module.endswith(YAML):
        return _dataset_of_yaml(module)
    try:
        values = [value for value in vars(_imported(module)).values() if isinstance(value, Defined)]
    except plugins.BROKEN as error:
        log.warning(
            "The datasets of %s are left out: it cannot be imported (%s: %s).", module, type(error).__name__, error
        )
        return None
    names = Counter(value.name for value in set(values))
    for name in (name for name, count in names.items() if count > 1):
        log.warning("%s is left out: %s defines it twice. Rename one of them.", name, module)
    return {value.name: value for value in values if names[value.name] == 1}


def _dataset_of_yaml(path: str) -> dict[str, Defined] | None:
    # It imports the decoders, which most processes do not need.
    from dataset_assets.definition.yaml_file import dataset_from_yaml

    try:
        dataset = dataset_from_yaml(path)
    except DatasetAssetsError as error:
        log.warning("The dataset of a file is left out. %s", error)
        return None
    return {dataset.name: dataset}


def _imported(place: str) -> ModuleType:
    """Import a module by its name, or a file. A file's folder joins sys.path, so that other processes find it too."""
    if not place.endswith(".py"):
        return import_module(place)
    path = Path(place)
    if not path.is_file():
        raise FileNotFoundError("there is no such file")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    module = import_module(path.stem)
    if not (module.__file__ and path.samefile(module.__file__)):
        raise ImportError(f"{path.stem} is also the name of {module.__file__ or 'a part of Python'}; rename the file")
    return module
