"""Plugins: what other installed packages add, by entry point.

The groups are `dataset_assets.datasets`, `.formats`, `.retrievers`, `.storages` and `.decoders`; a point's name is the
beginning of qualified names, the format's name, the URL scheme, or the decoder's name. Nothing is imported before it is
asked for by its name, and a plugin that is broken costs the others nothing.
"""

import functools
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from dataset_assets.errors import UsageError

GROUPS = ("datasets", "formats", "retrievers", "storages", "decoders")


@functools.cache
def points(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group, by name; several packages may use one name among datasets."""
    found = entry_points(group=f"dataset_assets.{group}")
    return tuple(sorted(set(found), key=lambda point: (point.name, point.value)))


def names(group: str) -> list[str]:
    """Return the names that a group offers."""
    return [point.name for point in points(group)]


def provided(group: str, name: str) -> Any:
    """Return what a plugin provides under this name, or None; `UsageError`, with the cause, if it cannot be imported."""
    point = next((point for point in points(group) if point.name == name), None)
    if point is None:
        return None
    try:
        return point.load()
    except Exception as error:
        package = point.dist.name if point.dist else point.module
        raise UsageError(
            f"The plugin {package} offers {name!r} among {group}, but {point.value} cannot be imported "
            f"({type(error).__name__}: {error}). Mend or uninstall it."
        ) from error
