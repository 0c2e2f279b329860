"""Plugins: datasets, formats, retrievers, storages and decoders that installed packages offer by entry point.

The groups are `dataset_assets.datasets`, `.formats`, `.retrievers`, `.storages` and `.decoders`. The name of an entry
point is a prefix of dataset names, the name of a format, a URL scheme, or the name of a decoder. A plugin is imported
only when its name is used, and a broken plugin does not affect the others.
"""

import functools
import logging
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from typing import Any, Iterator

from dataset_assets.core.redact import redacted_text
from dataset_assets.errors import UsageError

GROUPS = ("datasets", "formats", "retrievers", "storages", "decoders")

# A broken module may even call sys.exit() when it is imported.
BROKEN = (Exception, SystemExit)
"""The errors that importing a plugin's module may raise."""

log = logging.getLogger(__name__)


@functools.cache
def points(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group, sorted by name. Several packages may offer datasets under the same name."""
    return tuple(sorted(set(_offered(f"dataset_assets.{group}")), key=lambda point: (point.name, point.value)))


def names(group: str) -> list[str]:
    """Return the names that a group offers."""
    return list(dict.fromkeys(point.name for point in points(group)))


def provided(group: str, name: str) -> Any:
    """Import and return the object that a plugin offers under this name, or None if no plugin does.

    Raises `UsageError` if two packages offer the name, or if the import fails.
    """
    offers = [point for point in points(group) if point.name == name]
    if not offers:
        return None
    if len(offers) > 1:
        both = " and ".join(f"{package_of(point)} ({point.value})" for point in offers)
        raise UsageError(f"{both} both offer {name!r} in {group}. Uninstall one of them.")
    try:
        return offers[0].load()
    except BROKEN as error:
        raise UsageError(
            f"The plugin {package_of(offers[0])} offers {name!r} in {group}, but {offers[0].value} cannot be imported "
            f"({redacted_text(f'{type(error).__name__}: {error}')}). Fix or uninstall the plugin."
        ) from error


@dataclass(frozen=True)
class Offer:
    """What a package offers by one entry point, and why that cannot be imported."""

    package: str
    version: str
    group: str
    name: str
    value: str
    problem: str | None


def offers() -> list[Offer]:
    """Return what all installed packages offer, sorted by package. Imports all of it."""
    found = [_offer(group, point) for group in GROUPS for point in points(group)]
    return sorted(found, key=lambda offer: (offer.package, GROUPS.index(offer.group), offer.name))


def _offer(group: str, point: EntryPoint) -> Offer:
    version = point.dist.version if point.dist else ""
    return Offer(package_of(point), version, group, point.name, point.value, _problem(point))


def _problem(point: EntryPoint) -> str | None:
    try:
        point.load()
    except BROKEN as error:
        # The text of its error may hold a login.
        return f"{point.value} cannot be imported: {type(error).__name__}"
    return None


def package_of(point: EntryPoint) -> str:
    """Return the name of the package that offers an entry point."""
    return point.dist.name if point.dist else point.module.partition(".")[0]


def _offered(group: str) -> list[EntryPoint]:
    try:
        return list(entry_points(group=group))
    except Exception:
        # The metadata of some installed package cannot be read: find that package and leave it out.
        every = (point for distribution in _first_of_each_name() for point in _points_of(distribution))
        return [point for point in every if point.group == group]


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
