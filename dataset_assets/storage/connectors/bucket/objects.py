"""A bucket in which an object may have any key: one that others wrote, and that is only read."""

from typing import Any, Iterator

import obstore

from dataset_assets.storage.connectors.bucket.client import request
from dataset_assets.storage.connectors.bucket.pages import Listing
from dataset_assets.storage.connectors.bucket.reader import BucketReader
from dataset_assets.storage.connectors.bucket.store import ObjectStorage


class Objects(ObjectStorage):
    """A bucket in which an object may have any key."""

    def _path(self, key: str) -> str:
        return f"{self.bucket.prefix}/{key}".removeprefix("/")

    def listed(self, folder: str) -> Iterator[tuple[str, int, str | None]]:
        """Yield key, size and ETag of each object below a folder."""
        if self.forked() is not None:
            return ((entry.key, entry.bytes, None) for entry in self.objects(folder))
        return ((one["path"], one["size"], one["e_tag"]) for one in Listing(self.clients, folder))

    @request()
    def head(self, client: Any, key: str) -> Any:
        """Return the size, the ETag and the version of an object. Raises FileNotFoundError."""
        meta = obstore.head(client, self._path(key))
        return {"size": meta["size"], "e_tag": meta["e_tag"], "version": meta["version"]}

    def pinned(self, key: str, size: int, etag: str) -> BucketReader:
        """Return a reader of an object that was looked at before, without asking for it: each read names its ETag."""
        return BucketReader(self.clients, key, {"path": self._path(key), "size": size, "e_tag": etag or None})
