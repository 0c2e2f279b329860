"""`file:` URLs: a local file, copied; its size and time of change say whether it is still the same."""

import os
import stat
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from dataset_assets.core.files import CHUNK, Written
from dataset_assets.core.redact import redacted
from dataset_assets.errors import RetrievalError, UsageError
from dataset_assets.retrieval.retriever import Report, split_url
from dataset_assets.storage.raw_files import Source


class FileRetriever:
    """Copy the file that a `file:///folder/name` URL names."""

    def retrieve(
        self, url: str, into: Written, known: Source | None = None, report: Report | None = None
    ) -> Source | None:
        """Copy the file, unless its size and time of change are those of `known`."""
        path = path_of(url)
        shown = redacted(url)
        source = Source(shown, etag=_validator(regular_file(path, shown)))
        if known and known.etag == source.etag:
            return None
        if copy_into(path, shown, into, report) != source.etag:
            raise RetrievalError(f"{shown} was changed while it was copied. Copy it again when it is finished.")
        return source


def path_of(url: str) -> Path:
    """Return the path of a `file:` URL."""
    parts = split_url(url)
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute() or "\0" in str(path):
        raise UsageError(f"{redacted(url)} names no file of this machine. Write it as file:///folder/name.")
    return path


def regular_file(path: Path, shown: str) -> os.stat_result:
    """Return what the system knows of a file; raise `RetrievalError` if it is missing, or a folder, pipe or device."""
    try:
        info = path.stat()
    except OSError as error:
        raise _unreadable(shown, error) from error
    if not stat.S_ISREG(info.st_mode):
        raise RetrievalError(f"{shown} is not a plain file. Name a file: a folder must be packed into one first.")
    return info


def copy_into(path: Path, shown: str, into: Written, report: Report | None) -> str:
    """Write a file's bytes into `into`, and return what is its validator after that."""
    with _opened(path, shown) as file:
        total = os.fstat(file.fileno()).st_size
        while chunk := _read(file, shown):
            into.write(chunk)
            if report:
                report(into.bytes, total)
        return _validator(os.fstat(file.fileno()))


def _opened(path: Path, shown: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise _unreadable(shown, error) from error


def _read(file: BinaryIO, shown: str) -> bytes:
    # Only the reading: what is wrong with the file written to is another error, of another class.
    try:
        return file.read(CHUNK)
    except OSError as error:
        raise _unreadable(shown, error) from error


def _validator(info: os.stat_result) -> str:
    return f'"{info.st_size}-{info.st_mtime_ns}"'


def _unreadable(shown: str, error: OSError) -> RetrievalError:
    return RetrievalError(f"{shown} cannot be read: {error.strerror or error}. Put the file there, or correct the URL.")
