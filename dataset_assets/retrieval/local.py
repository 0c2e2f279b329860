"""Copies files of `file:` URLs. A file with the same size and modification time counts as unchanged.

A folder is read as one tar.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from dataset_assets.core.files import CHUNK, Written
from dataset_assets.core.redact import redacted
from dataset_assets.errors import RetrievalError, UsageError
from dataset_assets.retrieval.retriever import ByteProgress, Look, split_url
from dataset_assets.storage.raw_files import Source


class FileRetriever:
    """Copies the file of a `file:///folder/name` URL."""

    def retrieve(
        self, url: str, into: Written, known: Source | None = None, report: ByteProgress | None = None
    ) -> Source | None:
        """Copy the file, or a folder as a tar. Return None if its size and time, or its state, are those of `known`."""
        path = path_of(url)
        shown = redacted(url)
        if path.is_dir():
            from dataset_assets.retrieval.folder import retrieve_folder

            return retrieve_folder(path, url, into, known, report)
        source = Source(shown, etag=f'"{validator(regular_file(path, shown))}"')
        if known and known.etag == source.etag:
            return None
        copy_into(path, shown, into, report)
        return source

    def look(self, url: str) -> Look:
        """Return the size and validator of the file, or the state of a folder."""
        path = path_of(url)
        if path.is_dir():
            from dataset_assets.retrieval.folder import look_at

            return look_at(path)
        info = regular_file(path, redacted(url))
        return Look(f'"{validator(info)}"', bytes=info.st_size)


def path_of(url: str) -> Path:
    """Return the path of a `file:` URL."""
    parts = split_url(url)
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute() or "\0" in str(path):
        raise UsageError(f"{redacted(url)} is not a file of this machine. Write it as file:///folder/name.")
    return path


def regular_file(path: Path, shown: str) -> os.stat_result:
    """Return the stat of a file. Raises `RetrievalError` if it is missing, or is a folder, pipe or device."""
    try:
        info = path.stat()
    except OSError as error:
        raise _unreadable(shown, error) from error
    if not stat.S_ISREG(info.st_mode):
        raise RetrievalError(f"{shown} is not a regular file. Name a file; pack a folder into an archive first.")
    return info


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
