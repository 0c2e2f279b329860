"""Finds the entry points of installed packages as `importlib.metadata` does, which takes longer to import than to use.

Only folders on sys.path are searched here. What else may hold packages, such as a zip file or a finder of another
package, is left to `importlib.metadata`.
"""

import logging
import os
import re
import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any, Iterator, NamedTuple

if TYPE_CHECKING:
    from importlib.metadata import Distribution

ABOUT = (".dist-info", ".egg-info")

log = logging.getLogger(__name__)


class Unsure(Exception):
    """Something may hold packages that only `importlib.metadata` finds."""


class Point(NamedTuple):
    """An entry point; `about` is the folder of its package's metadata."""

    name: str
    value: str
    group: str
    about: str

    @property
    def dist(self) -> "Distribution":
        """The package that offers it."""
        from importlib.metadata import Distribution

        return Distribution.at(self.about)

    def load(self) -> Any:
        """Import what it names."""
        from importlib.metadata import EntryPoint

        return EntryPoint(self.name, self.value, self.group).load()


def points_of(group: str) -> list[Point]:
    """Return the entry points of a group; of two packages with one name the first on sys.path counts.

    Raises `Unsure` if it cannot see all packages. A package whose entry points cannot be read is left out with a
    warning.
    """
    return [point for about in _packages() for point in _readable(about) if point.group == group]


def _packages() -> list[str]:
    """Return the metadata folder of each package."""
    others = [finder for finder in sys.meta_path if hasattr(finder, "find_distributions")]
    if others != [PathFinder]:
        raise Unsure
    first: dict[str, str] = {}
    for root in sys.path:
        for child in _children(root):
            first.setdefault(_package_name(child), os.path.join(root, child))
    return [*first.values()]


def _children(root: str) -> list[str]:
    """Return the names of the metadata folders in a folder."""
    if not isinstance(root, str) or root.lower().endswith(".egg"):
        raise Unsure
    try:
        return [child for child in os.listdir(root or ".") if child.lower().endswith(ABOUT)]
    except (OSError, ValueError):
        if os.path.isfile(root):
            raise Unsure from None
        return []


def _package_name(child: str) -> str:
    stem, kind = os.path.splitext(child)
    name = stem.partition("-")[0]
    if kind not in ABOUT or not name:
        raise Unsure
    return normal_name(name)


def normal_name(package: str) -> str:
    """Return the form of a package's name that all its spellings share."""
    return re.sub(r"[-_.]+", "-", package).lower()


def _readable(about: str) -> list[Point]:
    try:
        return [*_points_in(about)]
    except (OSError, ValueError) as error:
        warn_left_out(_package_name(os.path.basename(about)), error)
        return []


def warn_left_out(package: str, error: Exception) -> None:
    """Log that the plugins of a package are left out."""
    log.warning("The plugins of %s are left out: its entry points cannot be read (%s).", package, error)


def _points_in(about: str) -> Iterator[Point]:
    group = None
    for line in map(str.strip, _text_of(about).splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line.strip("[]")
        elif group is not None and line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            if not equals:
                raise ValueError(f"the line {line[:80]!r} has no =")
            yield Point(name.strip(), value.strip(), group, about)


def _text_of(about: str) -> str:
    try:
        with open(os.path.join(about, "entry_points.txt"), encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError):
        return ""
