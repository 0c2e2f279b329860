"""The folders that were registered on this machine: a small document in the home for each, read on every call."""

import json
import os
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Iterator

from dataset_assets.core import files
from dataset_assets.core.documents import UNFIT, read_as
from dataset_assets.core.names import check_dataset_name
from dataset_assets.core.settings import settings
from dataset_assets.errors import NameNotAllowed, NotFound, nearest

# The name and the folder of a dataset that is released without a record.
_LENT: ContextVar[tuple[str, Path] | None] = ContextVar("_LENT", default=None)


@dataclass(frozen=True)
class Registered:
    """A folder and what is known of it; `partitions` are the names of the folders in its `data`."""

    folder: str
    partitions: tuple[str, ...]
    license: str | None = None
    citation: str | None = None


def registered(name: str) -> Registered | None:
    """Return the folder that is registered under a dataset's name; None if there is none that can be read."""
    with suppress(OSError, *UNFIT):
        found: Registered = read_as(Registered, json.loads(_path(name).read_bytes()))
        return found
    return None


def folder_of(name: str) -> Path:
    """Return the registered folder of a dataset, or the one that is lent to it. Raises `NotFound` if there is none."""
    if (lent_now := _LENT.get()) and lent_now[0] == name:
        return lent_now[1]
    if (found := registered(name)) is None:
        raise NotFound(
            f"No folder is registered as {name}.{nearest(name, names(), listed=False)} "
            f"Register one with: dataset-assets register DIR {name}"
        )
    return Path(found.folder)


@contextmanager
def lent(name: str, folder: Path) -> Iterator[None]:
    """Give a dataset a folder inside the block, in this thread only. No record is written."""
    token = _LENT.set((name, folder))
    try:
        yield
    finally:
        _LENT.reset(token)


def names() -> Iterator[str]:
    """Yield the names under which folders are registered, sorted."""
    with suppress(OSError):
        for entry in sorted(os.listdir(_root())):
            with suppress(NameNotAllowed):
                if entry.endswith(".json"):
                    yield check_dataset_name(entry.removesuffix(".json"))


def write(name: str, record: Registered) -> None:
    """Record a folder under a dataset's name, atomically."""
    files.make_folder(_root())
    with files.whole(_path(name)) as file:
        file.write(json.dumps(asdict(record), indent=1).encode())


def forget(name: str) -> None:
    """Remove the record of a folder; the folder itself is not touched."""
    files.remove(_path(name))


def _root() -> Path:
    return settings().home / "folders"


def _path(name: str) -> Path:
    return _root() / f"{check_dataset_name(name)}.json"
