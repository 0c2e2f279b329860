"""Plugins: datasets, formats, retrievers, storages, decoders and engines that installed packages offer by entry point.

The groups are `dataset_assets.datasets`, `.formats`, `.retrievers`, `.storages`, `.decoders` and `.engines`. The name
of an entry point is a prefix of dataset names, the name of a format, a URL scheme, or that of a decoder or an engine. A
plugin is imported only when its name is used, and a broken plugin does not affect the others.
"""

import functools
from typing import TYPE_CHECKING, Any, NamedTuple, Sequence

from dataset_assets.core.entry_points import Point, Unsure, normal_name, points_of, warn_left_out
from dataset_assets.core.redact import redacted_text
from dataset_assets.errors import UsageError

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

    Offered = Point | EntryPoint

GROUPS = ("datasets", "formats", "retrievers", "storages", "decoders", "engines")

# A broken module may even call sys.exit() when it is imported.
BROKEN = (Exception, SystemExit)
"""The errors that importing a plugin's module may raise."""


@functools.cache
def points(group: str) -> "tuple[Offered, ...]":
    """Return the entry points of a group, sorted by name. Several packages may offer datasets under the same name."""
    first: dict[tuple[str, str], Offered] = {}
    for point in _offered(f"dataset_assets.{group}"):
        first.setdefault((point.name, point.value), point)
    return tuple(first[place] for place in sorted(first))


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


class Offer(NamedTuple):
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


def _offer(group: str, point: "Offered") -> Offer:
    version = point.dist.version if point.dist else ""
    return Offer(package_of(point), version, group, point.name, point.value, _problem(point))


def _problem(point: "Offered") -> str | None:
    try:
        point.load()
    except BROKEN as error:
        # The text of its error may hold a login.
        return f"{point.value} cannot be imported: {type(error).__name__}"
    return None


def package_of(point: "Offered") -> str:
    """Return the name of the package that offers an entry point."""
    return point.dist.name if point.dist else point.value.partition(":")[0].partition(".")[0]


def _offered(group: str) -> "Sequence[Offered]":
    try:
        return points_of(group)
    except Unsure:
        return _found_by_metadata(group)


def _found_by_metadata(group: str) -> "list[EntryPoint]":
    from importlib.metadata import distributions, entry_points

    try:
        return list(entry_points(group=group))
    except Exception:
        # The metadata of some installed package cannot be read: find that package and leave it out.
        first: dict[str, list[EntryPoint]] = {}
        for distribution in distributions():
            if (name := _name_of(distribution)) not in first:
                first[name] = _readable(distribution, name)
        return [point for points in first.values() for point in points if point.group == group]


def _name_of(distribution: "Distribution") -> str:
    try:
        return normal_name(str(distribution.metadata["Name"]))
    except Exception:
        return repr(distribution)


def _readable(distribution: "Distribution", name: str) -> "list[EntryPoint]":
    try:
        return list(distribution.entry_points)
    except Exception as error:
        warn_left_out(name, error)
        return []
