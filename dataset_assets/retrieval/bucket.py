"""Reads objects of buckets: `s3://bucket/key`, `gs://bucket/key` and `az://container/key`.

Endpoint, region and account come from the environment or from the URL, and credentials from the environment, as for a
storage: `s3://bucket/path/file.csv?endpoint=https://host`. An object whose ETag is the same counts as unchanged.
"""

from typing import Any
from urllib.parse import urlsplit

from dataset_assets.core.extras import needed
from dataset_assets.core.files import CHUNK, Written
from dataset_assets.core.redact import redacted
from dataset_assets.errors import RetrievalError, StorageError, UsageError
from dataset_assets.retrieval.retriever import ByteProgress, Look
from dataset_assets.storage.object_file import Changed
from dataset_assets.storage.raw_files import Source


class BucketRetriever:
    """Reads the object of a URL in pieces, all of one ETag."""

    def retrieve(
        self, url: str, into: Written, known: Source | None = None, report: ByteProgress | None = None
    ) -> Source | None:
        """Write the object. Return None if its ETag is that of `known`."""
        try:
            reader = _reader(url)
            etag = _etag_of(reader)
            if known and etag and known.etag == etag:
                return None
            if into.bytes:
                into.restart()
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
        except (FileNotFoundError, StorageError, Changed) as error:
            raise _failed(url, error) from error
        return Source(redacted(url), etag=etag)

    def look(self, url: str) -> Look:
        """Return the ETag and the size of the object."""
        try:
            reader = _reader(url)
        except (FileNotFoundError, StorageError) as error:
            raise _failed(url, error) from error
        return Look(_etag_of(reader), None, reader.size)


def _etag_of(reader: Any) -> str | None:
    # The reader of a forked child, whose helper process reads, does not know it: then all is read.
    found: str | None = getattr(reader, "condition", {}).get("if_match")
    return found


def _reader(url: str) -> Any:
    needed("obstore", "object-store")
    from dataset_assets.storage.connectors.bucket.address import bucket_of
    from dataset_assets.storage.connectors.bucket.store import ObjectStorage

    class Objects(ObjectStorage):
        """A bucket in which an object may have any key."""

        def _path(self, key: str) -> str:
            return key

    parts = urlsplit(url)
    key = parts.path.removeprefix("/")
    if not key or key.endswith("/") or parts.fragment:
        raise UsageError(f"{redacted(url)} names no object. Write {parts.scheme}://bucket/path/file.csv, without '#'.")
    query = f"?{parts.query}" if parts.query else ""
    return Objects(bucket_of(f"{parts.scheme}://{parts.netloc}{query}")).reader(key)


def _failed(url: str, error: Exception) -> RetrievalError:
    if isinstance(error, FileNotFoundError) and not isinstance(error, StorageError):
        return RetrievalError(f"{redacted(url)} is not there. Check its name with the tools of your cloud.")
    if isinstance(error, Changed):
        return RetrievalError(f"{redacted(url)} was replaced while it was read. Run the same command again.")
    return RetrievalError(f"{redacted(url)} cannot be read: {error}")
