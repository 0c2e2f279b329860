"""The file of a view: what `view.to_json()` returned."""

from pathlib import Path

from dataset_assets.core import files
from dataset_assets.errors import NotFound


def view_file(path: "Path | str") -> bytes:
    """Return the content of the file of a view. Raises `NotFound` if there is none, `StorageError` if reading fails."""
    try:
        with files.opened(Path(path)) as file:
            return file.read()
    except FileNotFoundError:
        raise NotFound(
            f"There is no file {path}. Write one with: Path({Path(path).name!r}).write_text(view.to_json())."
        ) from None
