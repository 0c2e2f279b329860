"""Reads objects of buckets: `s3://bucket/key`, `gs://bucket/key` and `az://container/key`.

A prefix, which ends in `/`, and a pattern with `*` are read as one tar of all objects below it or that match.

Endpoint, region and account come from the environment or from the URL, and credentials from the environment, as for a
storage: `s3://bucket/path/file.csv?endpoint=https://host`. An object whose ETag is the same counts as unchanged.
"""

from contextlib import contextmanager
from typing import Any, Iterator
from urllib.parse import urlsplit

from dataset_assets.core.extras import needed
from dataset_assets.core.files import CHUNK, Written
from dataset_assets.core.patterns import split_pattern
from dataset_assets.core.redact import redacted
from dataset_assets.errors import Refused, RetrievalError, StorageError, UsageError
from dataset_assets.retrieval.listed import Listed, in_order, matching
from dataset_assets.retrieval.listed_tar import retrieve_all, state_of
from dataset_assets.retrieval.retriever import ByteProgress, Look
from dataset_assets.storage.object_file import Changed
from dataset_assets.storage.raw_files import Source


class BucketRetriever:
    """Reads the object of a URL in pieces, all of one ETag."""

    def retrieve(
        self, url: str, into: Written, known: Source | None = None, report: ByteProgress | None = None
    ) -> Source | None:
        """Write the object, or the tar of several. Return None if its ETag, or all of them, are those of `known`."""
        if is_several(url):
            return retrieve_all(url, objects_below(url), _append, into, known, report)
        with _told(url):
            reader = _reader(url)
            etag = _etag_of(reader)
            if known and etag and known.etag == etag:
                return None
            if into.bytes:
                into.restart()
            _copy(reader, url, into, report)
        return Source(redacted(url), etag=etag)

    def look(self, url: str) -> Look:
        """Return the ETag and the size of the object; of several, what changes with any of them."""
        if is_several(url):
            state = state_of(objects_below(url))
            return Look(f'"{state}"' if state else None)
        with _told(url):
            reader = _reader(url)
        return Look(_etag_of(reader), None, reader.size)

    def listed(self, url: str) -> list[Listed]:
        """Return the objects below a prefix, or those that match a pattern."""
        return objects_below(url)


def is_several(url: str) -> bool:
    """Say whether a URL of a bucket is a prefix, which ends in `/`, or a pattern with `*`."""
    path = urlsplit(url).path
    return path.endswith("/") or "*" in path


def objects_below(url: str) -> list[Listed]:
    """Return the objects below a prefix, or those that match a pattern, sorted by path. Raises `RetrievalError`."""
    parts = urlsplit(url)
    if parts.fragment:
        raise UsageError(f"{redacted(url)} names no prefix. Write {parts.scheme}://bucket/folder/, without '#'.")
    folder, pattern = split_pattern(parts.path.removeprefix("/"))
    query = f"?{parts.query}" if parts.query else ""
    found = []
    with _told(url):
        for key, size, etag in _bucket(url).listed(folder.rstrip("/")):
            if key.endswith("/") and not size:  # a folder, as some consoles make them
                continue
            if not {"?", "#", "*"}.isdisjoint(key):
                raise Refused(f"{redacted(url)} has an object {key!r:.200}, with one of ? # * in its name. Rename it.")
            place = f"{parts.scheme}://{parts.netloc}/{key}{query}"
            found.append(Listed(key.removeprefix(folder), place, size, etag))
    return in_order(matching(found, pattern), url)


def _append(one: Listed, into: Written) -> None:
    with _told(one.url):
        reader = _reader(one.url)
        if one.state and _etag_of(reader) not in (None, one.state):
            raise RetrievalError(f"{redacted(one.url)} was replaced while it was read. Run the same command again.")
        _copy(reader, one.url, into, None)


def _copy(reader: Any, url: str, into: Written, report: ByteProgress | None) -> None:
    at = 0
    while at < reader.size:
        piece = reader.part(at, min(at + CHUNK, reader.size))
        if not len(piece):
            raise RetrievalError(f"{redacted(url)} ended after {at} of {reader.size} bytes. Run it again.")
        into.write(piece)
        at += len(piece)
        if report:
            report(at, reader.size)
    reader.close()


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Raise `RetrievalError` for the errors of a storage."""
    try:
        yield
    except (FileNotFoundError, StorageError, Changed) as error:
        raise _failed(url, error) from error


def _etag_of(reader: Any) -> str | None:
    # The reader of a forked child, whose helper process reads, does not know it: then all is read.
    found: str | None = getattr(reader, "condition", {}).get("if_match")
    return found


def _bucket(url: str) -> Any:
    needed("obstore", "object-store")
    from dataset_assets.storage.connectors.bucket.address import bucket_of
    from dataset_assets.storage.connectors.bucket.objects import Objects

    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return Objects(bucket_of(f"{parts.scheme}://{parts.netloc}{query}"))


def _reader(url: str) -> Any:
    parts = urlsplit(url)
    key = parts.path.removeprefix("/")
    if not key or key.endswith("/") or parts.fragment:
        raise UsageError(
            f"{redacted(url)} names no object. Write {parts.scheme}://bucket/path/file.csv, without '#', or "
            f"{parts.scheme}://bucket/folder/ for all objects below a folder."
        )
    return _bucket(url).reader(key)


def _failed(url: str, error: Exception) -> RetrievalError:
    if isinstance(error, FileNotFoundError) and not isinstance(error, StorageError):
        return RetrievalError(f"{redacted(url)} is not there. Check its name with the tools of your cloud.")
    if isinstance(error, Changed):
        return RetrievalError(f"{redacted(url)} was replaced while it was read. Run the same command again.")
    return RetrievalError(f"{redacted(url)} cannot be read: {error}")
