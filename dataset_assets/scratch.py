"""A folder to work in, on the storage's filesystem; what a killed process left there is swept away by the next one."""

import fcntl
import os
import secrets
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from dataset_assets import files

DAY_SECONDS = 86_400.0


@contextmanager
def scratch_folder(root: Path) -> Iterator[Path]:
    """Make a folder of one's own under `root`, and remove it at the end, whatever happens inside.

    Its lock is the kernel's and dies with the process, so a folder without a living owner is known for sure.
    """
    files.make_folder(root)
    sweep(root)
    folder = root / f"{os.getpid()}-{secrets.token_hex(6)}"
    with open(f"{folder}.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        files.make_folder(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            Path(lock.name).unlink(missing_ok=True)


def sweep(root: Path) -> None:
    """Remove the folders of processes that are gone."""
    for lock in root.glob("*.lock"):
        if _abandoned(lock):
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)
    # A lock may be swept in the moment before its owner takes it; a folder left without one is known by its age.
    for folder in root.iterdir():
        if folder.is_dir() and not folder.with_suffix(".lock").exists() and _age(folder) > DAY_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _abandoned(lock: Path) -> bool:
    try:
        with open(lock, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except OSError:
        return False


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
