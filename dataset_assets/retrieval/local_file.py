"""Copies one regular file of this machine, and tells what changes with it."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from dataset_assets.core.files import CHUNK, Written
from dataset_assets.errors import RetrievalError
from dataset_assets.retrieval.retriever import ByteProgress, Look


def regular_file(path: Path, shown: str) -> os.stat_result:
    """Return the stat of a file. Raises `RetrievalError` if it is missing, or is a folder, pipe or device."""
    try:
        info = path.stat()
    except OSError as error:
        raise _unreadable(shown, error) from error
    if not stat.S_ISREG(info.st_mode):
        raise RetrievalError(f"{shown} is not a regular file. Name a file; pack a folder into an archive first.")
    return info


def look_at_file(path: Path, shown: str) -> Look:
    """Return the size and validator of a file."""
    info = regular_file(path, shown)
    return Look(f'"{validator(info)}"', bytes=info.st_size)


def copy_into(path: Path, shown: str, into: Written, report: ByteProgress | None) -> None:
    """Copy a file into `into`. Raises `RetrievalError` if it changes meanwhile."""
    before = regular_file(path, shown)
    with _open(path, shown) as file:
        while chunk := _read(file, shown):
            into.write(chunk)
            if report:
                report(into.bytes, before.st_size)
        if validator(os.fstat(file.fileno())) != validator(before):
            raise RetrievalError(f"{shown} changed while it was copied. Run the same command again when it is done.")


def _open(path: Path, shown: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise _unreadable(shown, error) from error


def _read(file: BinaryIO, shown: str) -> bytes:
    # Only errors of reading become a RetrievalError; errors of writing are a StorageError.
    try:
        return file.read(CHUNK)
    except OSError as error:
        raise _unreadable(shown, error) from error


def validator(info: os.stat_result) -> str:
    """Return what changes with a file: its size and modification time."""
    return f"{info.st_size}-{info.st_mtime_ns}"


def _unreadable(shown: str, error: OSError) -> RetrievalError:
    return RetrievalError(f"{shown} cannot be read: {error.strerror or error}. Put the file there, or correct the URL.")
