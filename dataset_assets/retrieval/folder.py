"""Reads a folder as one tar: its files, which of them are executable, and its empty folders.

Equal folders give equal bytes, on every machine and at any time. `folder:NAME` is a folder that was registered; the URL
of a folder, `file:///folder`, works too. A name without dots is that of a folder of the user's, which may be followed
by a path below it: `folder:corpora/wiki/part1.txt`. If that is a file, it is copied as it is.
"""

import os
import tarfile
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote

from dataset_assets.core import registered, user_folders
from dataset_assets.core.files import CHUNK, Written
from dataset_assets.core.folder_tree import Entry, entries, state_of, state_of_file
from dataset_assets.core.patterns import split_quoted_pattern
from dataset_assets.core.redact import redacted
from dataset_assets.errors import Refused, RetrievalError, UsageError
from dataset_assets.retrieval.listed import Listed, in_folder
from dataset_assets.retrieval.local_file import copy_into, look_at_file, regular_file, validator
from dataset_assets.retrieval.retriever import ByteProgress, Look
from dataset_assets.storage.raw_files import Source

BLOCK = 512


class Sink(Protocol):
    """A file to write to, and how many bytes were written."""

    bytes: int

    def write(self, data: Any) -> int: ...


class FolderRetriever:
    """Reads the folder of a `folder:NAME` URL."""

    def retrieve(
        self, url: str, into: Written, known: Source | None = None, report: ByteProgress | None = None
    ) -> Source | None:
        """Write the file, or the folder as a tar. Return None if nothing of it changed since `known`."""
        path = path_of(url)
        if os.path.isdir(path):
            return retrieve_folder(path, url, into, known, report)
        source = Source(redacted(url), etag=f'"{validator(regular_file(path, redacted(url)))}"')
        if known and known.etag == source.etag:
            return None
        copy_into(path, redacted(url), into, report)
        return source

    def look(self, url: str) -> Look:
        """Return the state of the folder, or the size and validator of the file."""
        path = path_of(url)
        return look_at(path) if os.path.isdir(path) else look_at_file(path, redacted(url))

    def listed(self, url: str) -> list[Listed]:
        """Return the files of a folder, or those that match a pattern."""
        folder, pattern = split_quoted_pattern(url)
        folder = f"{folder.rstrip('/')}/"
        if "." in folder.partition("/")[0]:
            raise UsageError(f"{redacted(folder)} is registered, and read as a whole. Name a folder of your own.")
        return in_folder(path_of(folder), pattern, url, lambda path: f"{folder}{quote(path)}")


def path_of(url: str) -> Path:
    """Return the folder or file of a `folder:` URL.

    Raises `NotFound` or `RetrievalError`, with the fix, if no folder has the name or it is not there.
    """
    name, _, below = unquote(url.partition(":")[2]).partition("/")
    if "." in name:
        return registered.folder_of(f"{name}/{below}" if below else name)
    root = user_folders.folder(user_folders.check_name(name))
    if "\0" in below or below.startswith("/") or ".." in below.split("/"):
        raise Refused(f"{redacted(url)} is not below the folder {name}, which is {root}. Write a path without '..'.")
    if not os.path.exists(path := root / below):
        raise RetrievalError(
            f"{below} is not in the folder {name}, which is {root}. Put it there, or set another folder with: "
            f"{user_folders.set_command(name)}"
        )
    return path


def look_at(root: Path, follow: bool = False) -> Look:
    """Return the state of a folder, which changes with any of its files."""
    return Look(f'"{state_of(entries(root, follow))}"')


def retrieve_folder(
    root: Path,
    url: str,
    into: Written,
    known: Source | None = None,
    report: ByteProgress | None = None,
    follow: bool = False,
) -> Source | None:
    """Write a folder as a tar, unless its state is that of `known`; `follow` is that of `entries`."""
    found = entries(root, follow)
    source = Source(redacted(url), etag=f'"{state_of(found)}"')
    if known and known.etag == source.etag:
        return None
    if into.bytes:
        into.restart()
    write_tree(root, found, into, report)
    return source


def write_tree(root: Path, found: list[Entry], into: Sink, report: ByteProgress | None = None) -> None:
    """Write these entries of a folder as a tar. Raises `RetrievalError` if a file changes meanwhile."""
    total = sum(BLOCK + entry.size for entry in found)
    for entry in found:
        if entry.is_folder:
            into.write(header(entry))
        else:
            _write_file(Path(entry.target) if entry.target else root / entry.path, entry, into)
        if report:
            report(into.bytes, total)
    into.write(bytes(2 * BLOCK))


def _write_file(path: Path, entry: Entry, into: Sink) -> None:
    head, left = header(entry), entry.size
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise RetrievalError(f"{path} cannot be read: {error.strerror or error}. Check its permissions.") from error
    try:
        if state_of_file(os.fstat(fd)) != entry.state:
            raise _changed(path)
        while left and (chunk := _read(fd, min(left, CHUNK), path)):
            left -= len(chunk)
            into.write(head + chunk if head else chunk)
            head = b""
        if left or os.read(fd, 1) or state_of_file(os.fstat(fd)) != entry.state:
            raise _changed(path)
    finally:
        os.close(fd)
    into.write(head + bytes(-entry.size % BLOCK))


def _changed(path: Path) -> RetrievalError:
    return RetrievalError(f"{path} changed while it was read. Run the same command again when it is done.")


def _read(fd: int, count: int, path: Path) -> bytes:
    # Only errors of reading become a RetrievalError; errors of writing are a StorageError.
    try:
        return os.read(fd, count)
    except OSError as error:
        raise RetrievalError(f"{path} cannot be read: {error.strerror or error}. Check the disk.") from error


def header(entry: Entry) -> bytes:
    """Return the header of a member of a tar, which is the same for equal files."""
    info = tarfile.TarInfo(entry.path)
    info.mode = 0o755 if entry.is_folder or entry.executable else 0o644
    if entry.is_folder:
        info.type = tarfile.DIRTYPE
    info.size = entry.size
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
