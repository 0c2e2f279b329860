"""Finds the file of a URL on this machine, and tells whether it still has the bytes that it had."""

import os
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from dataset_assets.core import files, marks
from dataset_assets.core.redact import redacted
from dataset_assets.errors import DatasetAssetsError, DigestMismatch
from dataset_assets.retrieval.local_file import regular_file

SCHEMES = {
    "file": "dataset_assets.retrieval.local",
    "package": "dataset_assets.retrieval.package",
    "folder": "dataset_assets.retrieval.folder",
    "manual": "dataset_assets.retrieval.manual",
}
"""The schemes of files and folders on this machine, and the module with the `path_of` of each."""


def file_of(url: str) -> Path | None:
    """Return the path of a `file:` or `package:` URL; None for one that is missing, a folder, and any other URL."""
    try:
        if (path := _path_of(url)) is not None:
            regular_file(path, redacted(url))
        return path
    except DatasetAssetsError:
        return None


def folder_of(url: str) -> Path | None:
    """Return the path of a folder's URL; None for one that is missing, and any other URL."""
    with suppress(DatasetAssetsError):
        path = _path_of(url)
        return path if path and os.path.isdir(path) else None
    return None


def _path_of(url: str) -> Path | None:
    module = SCHEMES.get(url.partition(":")[0].lower())
    path: Path | None = import_module(module).path_of(url) if module else None
    return path


def is_unchanged(path: Path, sha256: str) -> bool:
    """Say whether a file has this digest.

    It is hashed, unless it was before, and its device, inode, size and times are still the same.
    """

    def compare() -> None:
        if files.sha256_of(path) != sha256:
            raise DigestMismatch(f"{path} has changed.")

    try:
        marks.once(f"source {sha256}", path, compare)
    except DigestMismatch:
        return False
    return True
