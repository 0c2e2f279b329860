"""Folders of the user's, by name: a definition names one, and each user says where it is on this machine.

Each has a file of its own with its path, in the user's configuration folder, so two processes that set different
folders at once do not lose each other's.
"""

import os
import re
from pathlib import Path

from dataset_assets.core import files, trust
from dataset_assets.errors import NameNotAllowed, NotFound, RetrievalError, UsageError, nearest

_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
LONGEST = 100


def folders() -> dict[str, Path]:
    """Return the folders by name, sorted. Raises `UsageError` if one cannot be read."""
    try:
        entries = os.listdir(_root())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{_root()} cannot be read: {error}. Remove it, and set your folders again.") from error
    names = sorted(name for entry in entries if _NAME.fullmatch(name := entry.removesuffix(".txt")))
    found = {name: _read(name) for name in names}
    return {name: path for name, path in found.items() if path is not None}


def _read(name: str) -> Path | None:
    """Return the folder with this name; None if there is none, or none any more."""
    place = _place(name)
    try:
        path = Path(os.fsdecode(place.read_bytes()))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{place} cannot be read: {error}. Remove it, and set the folder again.") from error
    if not path.is_absolute() or "\0" in str(path):
        raise UsageError(f"{place} does not hold the path of a folder. Remove it, and set the folder again.")
    return path


def folder(name: str) -> Path:
    """Return the folder with this name. Raises `RetrievalError`, with the fix, if none is set or it is not there."""
    known = folders()
    if name not in known:
        hint = nearest(name, known, listed=False)
        raise RetrievalError(f"No folder is set as {name}.{hint} Set it with: {set_command(name)}")
    if not os.path.isdir(known[name]):
        raise RetrievalError(
            f"The folder {name} is set to {known[name]}, which is not a folder here. Put it there, or set another one "
            f"with: {set_command(name)}"
        )
    return known[name]


def set_folder(name: str, path: Path) -> Path:
    """Give a folder a name, instead of the folder that has it; return its absolute path. Raises `NotFound`."""
    absolute = path.expanduser().absolute()
    if not os.path.isdir(absolute):
        raise NotFound(f"{absolute} is not a folder. Create it first, or correct the path.")
    place = _place(check_name(name))
    files.make_folder(place.parent)
    with files.whole(place) as file:
        file.write(os.fsencode(absolute))
    return absolute


def unset_folder(name: str) -> None:
    """Remove the name of a folder; the folder itself is not touched. Raises `NotFound`."""
    known = folders()
    if name not in known:
        raise NotFound(f"No folder is set as {name}.{nearest(name, known)}")
    files.remove(_place(name))


def check_name(name: str) -> str:
    """Return the name of a folder: one word. Raises `NameNotAllowed`."""
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise NameNotAllowed(
            f"{name[:80]!r} cannot be the name of a folder. Write a word of a-z, 0-9 and single underscores, without "
            "dots."
        )
    return name


def set_command(name: str) -> str:
    """Return the command that sets a folder."""
    return f"dataset-assets settings folders set {name} /PATH"


def _root() -> Path:
    return trust.user_folder() / "folders"


def _place(name: str) -> Path:
    return _root() / f"{name}.txt"
