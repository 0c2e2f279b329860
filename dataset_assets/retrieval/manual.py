"""Files that only a person can download: where one lies, and what to do as long as it does not.

`manual:///NAME#how=...` is the file NAME in the folder `manual` of the home. `manual_url` of `dataset_assets.sources`
writes such a URL; earlier it wrote `?how=...`, which is read too.
"""

import os
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote

from dataset_assets.core.files import Written
from dataset_assets.core.redact import printable, redacted
from dataset_assets.core.settings import settings
from dataset_assets.errors import RetrievalError, UsageError
from dataset_assets.retrieval.local_file import copy_into, look_at_file, regular_file, validator
from dataset_assets.retrieval.retriever import ByteProgress, Look, split_url
from dataset_assets.storage.raw_files import Source


class ManualRetriever:
    """Copies the file of a `manual:` URL, or says how to get it."""

    def retrieve(
        self, url: str, into: Written, known: Source | None = None, report: ByteProgress | None = None
    ) -> Source | None:
        """Copy the file. Return None if its size and time are those of `known`."""
        path = _there(url)
        source = Source(redacted(url), etag=f'"{validator(regular_file(path, str(path)))}"')
        if known and known.etag == source.etag:
            return None
        if into.bytes:
            into.restart()
        copy_into(path, str(path), into, report)
        return source

    def look(self, url: str) -> Look:
        """Return the size and validator of the file."""
        path = _there(url)
        return look_at_file(path, str(path))


def path_of(url: str) -> Path:
    """Return where the file of a `manual:` URL is to lie."""
    name = unquote(split_url(url).path).lstrip("/")
    if name in ("", ".", "..") or PurePosixPath(name).name != name or "\\" in name or not name.isprintable():
        raise UsageError(
            f"{redacted(url)} names no file. Write it with dataset_assets.sources.manual_url('a.tar', ...)."
        )
    return settings().home / "manual" / name


def _there(url: str) -> Path:
    """Return the path of a file. Raises `RetrievalError`, with what its definition says, if it is not there."""
    path = path_of(url)
    if not os.path.exists(path):
        parts = split_url(url)
        how = " ".join(parse_qs(parts.fragment or parts.query).get("how", []))
        raise RetrievalError(
            f"{path.name} must be downloaded by hand. {printable(how)} Put it at {path}, and run this again."
        )
    return path
