"""Finds paths among the plain arguments of a function: a file that is read by its path is not watched for changes."""

import os
import warnings
from pathlib import Path
from typing import Any, Iterator, Mapping
from urllib.parse import unquote

from dataset_assets.errors import DefinitionError


def check_paths(function: str, plain: Mapping[str, Any], has_files: bool) -> None:
    """Warn of a text that names an existing file or folder. Raises `DefinitionError` for a `pathlib.Path`.

    With a file as an argument, a text such as "images/train" or "/data" may be a name inside of that file.
    """
    for name, value in plain.items():
        for leaf in _leaves(value):
            if isinstance(leaf, os.PathLike):
                raise DefinitionError(
                    f"Argument {name!r} of {function} is {leaf!r}. {_instead(Path(os.fsdecode(leaf)))}"
                )
            if isinstance(leaf, str) and (path := _path_in(leaf, has_files)):
                warnings.warn(
                    f"Argument {name!r} of {function} is the path {leaf!r}. A change of what is there is not "
                    f"noticed, so nothing is made again. {_instead(path)}",
                    stacklevel=3,
                )
                return


def _leaves(value: Any) -> Iterator[Any]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else None
    if items is None:
        yield value
        return
    if isinstance(value, dict) and "etag" in value:  # of an object that stays where it is, whose changes are noticed
        return
    for item in items:
        yield from _leaves(item)


def _path_in(text: str, has_files: bool) -> Path | None:
    """Return the path that a text surely is: it exists, and does not look like a plain word or a separator."""
    path = Path(unquote(text.removeprefix("file://"))) if text.startswith("file:///") else Path(text)
    parts = len({*path.parts} - {path.anchor, "..", "~"})
    marked = path.is_absolute() or text.startswith(("~/", "./", "../"))
    if parts < (2 if has_files or not marked else 1) or not (marked or not has_files and "/" in text):
        return None
    try:
        path = path.expanduser().absolute()
        return path if path.exists() else None
    except (OSError, RuntimeError, ValueError):
        return None


def _instead(path: Path) -> str:
    path = path.expanduser().absolute()
    if path.is_dir():
        return f"Pass each of its files: RemoteFile('{path.as_uri()}/NAME'), or one archive of them."
    return f"Pass RemoteFile('{path.as_uri()}')."
