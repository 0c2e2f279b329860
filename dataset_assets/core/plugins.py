"""Plugins: what other installed packages add, by entry point.

The groups are `dataset_assets.datasets`, `.formats`, `.retrievers`, `.storages` and `.decoders`; a point's name is the
beginning of qualified names, the format's name, the URL scheme, or the decoder's name. Nothing is imported before it is
asked for by its name, and a plugin that is broken costs the others nothing.
"""

import functools
import logging
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from typing import Any, Iterator

from dataset_assets.errors import UsageError

GROUPS = ("datasets", "formats", "retrievers", "storages", "decoders")

# A module may also end the process when it is imported; that is one way to be broken.
BROKEN = (Exception, SystemExit)
"""What the import of a plugin's module may raise."""

log = logging.getLogger(__name__)


@functools.cache
def points(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group, by name; several packages may use one name among datasets."""
    return tuple(sorted(set(_offered(f"dataset_assets.{group}")), key=lambda point: (point.name, point.value)))


def names(group: str) -> list[str]:
    """Return the names that a group offers."""
    return list(dict.fromkeys(point.name for point in points(group)))


def provided(group: str, name: str) -> Any:
    """Return what a plugin provides under this name, or None.

    Raises `UsageError` if two packages offer the name, and, with the cause, if it cannot be imported.
    """
    offers = [point for point in points(group) if point.name == name]
    if not offers:
        return None
    if len(offers) > 1:
        both = " and ".join(f"{package_of(point)} ({point.value})" for point in offers)
        raise UsageError(f"{name!r} is offered among {group} by {both}. Uninstall one of them.")
    try:
        return offers[0].load()
    except BROKEN as error:
        raise UsageError(
            f"The plugin {package_of(offers[0])} offers {name!r} among {group}, but {offers[0].value} cannot be "
            f"imported ({type(error).__name__}: {error}). Repair or uninstall it."
        ) from error


def package_of(point: EntryPoint) -> str:
    """Return the name of the package that offers something."""
    return point.dist.name if point.dist else point.module.partition(".")[0]


def _offered(group: str) -> list[EntryPoint]:
    try:
        return list(entry_points(group=group))
    except Exception:
        # Some installed package has metadata that cannot be read: it is looked for, and left out.
        readable = (point for distribution in _first_of_each_name() for point in _points_of(distribution))
        return [point for point in readable if point.group == group]


def _first_of_each_name() -> Iterator[Distribution]:
    seen: set[str] = set()
    for distribution in distributions():
        name = str(distribution.metadata["Name"]).lower().replace("_", "-")
        if name not in seen:
            seen.add(name)
            yield distribution


def _points_of(distribution: Distribution) -> list[EntryPoint]:
    try:
        return list(distribution.entry_points)
    except Exception as error:
        name = distribution.metadata["Name"]
        log.warning("The plugins of %s are left out: its entry points cannot be read (%s).", name, error)
        return []
