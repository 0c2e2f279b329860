"""Files that are not kept, handed from the step that retrieves them to the steps of the same run that read them.

They lie in the home of the machine. A step of another run, or with another home, retrieves the file itself. They are
removed when the run releases the dataset; those of a run that never did, after a day.
"""

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from dataset_assets.core import files
from dataset_assets.core.canonical import sha256_hex
from dataset_assets.core.scratch import DAY_SECONDS
from dataset_assets.core.settings import settings
from dataset_assets.making.maker import Maker
from dataset_assets.making.steps import StagedRaw
from dataset_assets.storage.raw_files import RawFile


def leave(run: str, dataset: str, staged: StagedRaw) -> None:
    """Leave a file that is not kept for the later steps of a run."""
    if staged.keep:
        return
    _sweep()
    place = _folder(run, dataset) / staged.raw.sha256
    files.make_folder(place.parent)
    # Another step may leave the same bytes now, or was killed while it did.
    files.link(staged.path, part := place.with_suffix(f".{os.urandom(8).hex()}.part"))
    files.move(part, place)


def take(run: str, maker: Maker, raw: RawFile) -> None:
    """Let a maker read a file that is not kept, if a step of this run left it and it is undamaged."""
    place = _folder(run, maker.dataset.name) / raw.sha256
    if not maker.files[raw.name].keep and place.is_file() and files.sha256_of(place) == raw.sha256:
        maker.use(raw, place)


def clear(run: str, dataset: str) -> None:
    """Remove what the steps of a run left, and what is older than a day."""
    _sweep()
    shutil.rmtree(_folder(run, dataset), ignore_errors=True)


def _root() -> Path:
    return settings().home / "handed_over"


def _folder(run: str, dataset: str) -> Path:
    return _root() / sha256_hex(f"{run} {dataset}".encode())[:32]


def _sweep() -> None:
    for folder in _root().iterdir() if _root().is_dir() else ():
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > DAY_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
