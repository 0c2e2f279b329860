"""The file of a view: what `view.to_json()` returned."""

import os
from pathlib import Path

from dataset_assets.core import files
from dataset_assets.definition.registry import find
from dataset_assets.errors import NameNotAllowed, NotFound, UnknownDataset
from dataset_assets.storage.aliases import named
from dataset_assets.storage.storage import Storage


def is_view_file(what: object, storage: Storage) -> bool:
    """Say whether a path, or a text that ends in .json, names the file of a view.

    The name of a dataset may end so too: a text is a dataset's name if there is no such file, and such a dataset.
    """
    if isinstance(what, Path):
        return True
    text = str(what)
    return text.endswith(".json") and (os.path.isfile(text) or not _is_dataset(text, storage))


def _is_dataset(name: str, storage: Storage) -> bool:
    try:
        return named(storage, name).exists() or bool(find(name))
    except (NameNotAllowed, UnknownDataset):
        return False


def view_file(path: "Path | str") -> bytes:
    """Return the content of the file of a view. Raises `NotFound` if there is none, `StorageError` if reading fails."""
    try:
        with files.opened(Path(path)) as file:
            return file.read()
    except FileNotFoundError:
        raise NotFound(
            f"There is no file {path}. Write one with: Path({Path(path).name!r}).write_text(view.to_json())."
        ) from None
