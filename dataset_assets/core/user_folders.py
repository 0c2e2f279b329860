"""Folders of the user's, by name: a definition names one, and each user says where it is on this machine."""

import json
import os
import re
from pathlib import Path

from dataset_assets.core import files, trust
from dataset_assets.core.documents import UNFIT, read_as
from dataset_assets.errors import NameNotAllowed, NotFound, RetrievalError, UsageError, nearest

_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
LONGEST = 100


def folders() -> dict[str, Path]:
    """Return the folders by name, sorted. Raises `UsageError` if their list cannot be read."""
    path = _place()
    try:
        found: dict[str, str] = read_as(dict[str, str], json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, *UNFIT) as error:
        raise UsageError(f"{path} cannot be read: {error}. Remove it, and set your folders again.") from error
    return {name: Path(found[name]) for name in sorted(found)}


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
    _write({**folders(), check_name(name): absolute})
    return absolute


def unset_folder(name: str) -> None:
    """Remove the name of a folder; the folder itself is not touched. Raises `NotFound`."""
    known = folders()
    if name not in known:
        raise NotFound(f"No folder is set as {name}.{nearest(name, known)}")
    del known[name]
    _write(known)


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


def _write(known: dict[str, Path]) -> None:
    files.make_folder(_place().parent)
    with files.whole(_place()) as file:
        file.write(json.dumps({name: str(path) for name, path in known.items()}, indent=1, sort_keys=True).encode())


def _place() -> Path:
    return trust.user_folder() / "folders.json"
