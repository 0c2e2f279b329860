"""Documents that are named by their digest, kept in memory: such a document never changes, so it is fetched once."""

from dataset_assets.storage.storage import Storage

MOST_BYTES = 64 << 20
"""The most bytes that are kept. The documents that were kept first are dropped first."""


class Documents:
    """Verified documents, by storage and key.

    Each operation of a dict is atomic, so there is no lock that a forked child could inherit locked.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes, self.bytes = most_bytes, 0
        self._kept: dict[tuple[str, str], bytes] = {}

    def get(self, storage: Storage, key: str) -> bytes | None:
        """Return a document if it is kept."""
        return self._kept.get((storage.url, key))

    def keep(self, storage: Storage, key: str, data: bytes) -> None:
        """Keep a document whose bytes match its digest."""
        self.forget(storage, key)
        self._kept[storage.url, key] = data
        self.bytes += len(data)
        while self.bytes > self.most_bytes and (first := [*self._kept][:1]):
            self._drop(first[0])

    def forget(self, storage: Storage, key: str) -> None:
        """Drop a document that was removed from its storage."""
        self._drop((storage.url, key))

    def _drop(self, place: tuple[str, str]) -> None:
        self.bytes -= len(self._kept.pop(place, b""))


OPENED = Documents()
"""What this process read in remote storages, for `load`."""
