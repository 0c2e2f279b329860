"""Copies files of `file:` URLs. A file with the same size and modification time counts as unchanged.

A folder is read as one tar.
"""

import os
from pathlib import Path
from urllib.parse import unquote

from dataset_assets.core.files import Written
from dataset_assets.core.patterns import split_quoted_pattern
from dataset_assets.core.redact import redacted
from dataset_assets.errors import UsageError
from dataset_assets.retrieval.listed import Listed, in_folder
from dataset_assets.retrieval.local_file import copy_into, look_at_file, regular_file, validator
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
        if os.path.isdir(path):
            from dataset_assets.retrieval.folder import retrieve_folder

            return retrieve_folder(path, url, into, known, report, follow=True)
        source = Source(shown, etag=f'"{validator(regular_file(path, shown))}"')
        if known and known.etag == source.etag:
            return None
        copy_into(path, shown, into, report)
        return source

    def look(self, url: str) -> Look:
        """Return the size and validator of the file, or the state of a folder."""
        path = path_of(url)
        if os.path.isdir(path):
            from dataset_assets.retrieval.folder import look_at

            return look_at(path, follow=True)
        return look_at_file(path, redacted(url))

    def listed(self, url: str) -> list[Listed]:
        """Return the files of a folder, or those that match a pattern."""
        root, pattern = path_of(url), ""
        if not root.is_dir():
            folder, pattern = split_quoted_pattern(split_url(url).path)
            root = Path(unquote(folder))
        return in_folder(root, pattern, url, lambda path: (root / path).as_uri())


def path_of(url: str) -> Path:
    """Return the path of a `file:` URL."""
    parts = split_url(url)
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute() or "\0" in str(path):
        raise UsageError(f"{redacted(url)} is not a file of this machine. Write it as file:///folder/name.")
    return path
