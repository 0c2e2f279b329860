"""Values that users manage themselves: bytes or a value at a prefix, found again by a URL, kept until deleted."""

import re
from pathlib import Path
from typing import Any, Iterator

from dataset_assets.errors import DigestMismatch, NameNotAllowed, NotFound, UsageError
from dataset_assets.experiments.encoded import Encoded, decompressed
from dataset_assets.experiments.place import chosen_compression, chosen_storage
from dataset_assets.experiments.value_store import StoredValues, stored
from dataset_assets.experiments.values import decode, encode
from dataset_assets.storage import Storage, check_key
from dataset_assets.storage.keys import own_value
from dataset_assets.storage.links import see_no_link

_OBJECT = r"(?P<digest>[0-9a-f]{64})\.(?P<codec>\w+?)(?:\.(?P<zst>zst))?"
_URL = re.compile(rf"store:(?P<folder>values(?:/[^/]+)+)/(?P<object>{_OBJECT})")
DEFAULT_PREFIX = "default"


class DataStoreIO:
    """One value that you manage yourself, by its `url`.

    The URL, such as `store:values/models/<sha256>.npy`, is relative to the storage of the setting `datastore_url`. It
    is the same in any process, folder and machine that uses this storage, and names nothing outside of
    it. Persisting and deleting experiments leaves these values alone. Raises `UsageError` for any other URL.
    """

    def __init__(self, url: str, *, storage: "str | Path | Storage | None" = None) -> None:
        found = _URL.fullmatch(url) if isinstance(url, str) else None
        if found is None:
            raise UsageError(
                f"{str(url)[:120]!r} is not the URL of a stored value. Pass what DataStoreIO.write(...).url returned, "
                "such as store:values/models/<sha256>.npy."
            )
        self.url, self._parts = url, found
        self._folder = _checked(found["folder"])
        self._given = storage

    @classmethod
    def write(
        cls,
        data: "bytes | bytearray | memoryview",
        relative_path_prefix: str | None = None,
        *,
        storage: "str | Path | Storage | None" = None,
        compression: str | None = None,
    ) -> "DataStoreIO":
        """Store bytes below a prefix, and return where. The same bytes have the same URL."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise UsageError(f"The data is a {type(data).__name__}, not bytes. Use serialize_write for other values.")
        return cls._write(Encoded("bytes", [data]), relative_path_prefix, storage, compression)

    @classmethod
    def serialize_write(
        cls,
        value: Any,
        relative_path_prefix: str | None = None,
        *,
        storage: "str | Path | Storage | None" = None,
        compression: str | None = None,
        allow_pickle: bool = False,
    ) -> "DataStoreIO":
        """Store a value below a prefix, and return where. Raises `SchemaError` for a value that no codec writes."""
        return cls._write(encode(value, "value", allow_pickle), relative_path_prefix, storage, compression)

    @classmethod
    def _write(cls, encoded: Encoded, prefix: str | None, storage: Any, compression: str | None) -> "DataStoreIO":
        folder = _folder(DEFAULT_PREFIX if prefix is None else prefix)
        store = chosen_storage(storage)
        name = stored(store, folder, encoded, chosen_compression(compression))
        return cls(f"store:{folder}/{name}", storage=storage)

    def read(self) -> bytes:
        """Return the stored bytes. Raises `NotFound` and `DigestMismatch`."""
        return bytes(self._data())

    def read_deserialize(self, expected_type: type | None = None, *, allow_pickle: bool = False) -> Any:
        """Return the value. Raises `UsageError` if it is of another type than expected, and what `read` raises."""
        value = decode(self._parts["codec"], self._data(), allow_pickle)
        if expected_type is not None and not isinstance(value, expected_type):
            raise UsageError(f"{self.url} holds a {type(value).__name__}, not the expected {expected_type.__name__}.")
        return value

    @staticmethod
    def delete(relative_path_prefix: str, *, storage: "str | Path | Storage | None" = None) -> int:
        """Delete all values below a prefix, and return how many. Other files there stay.

        Prefixes are compared by whole parts: `run1` leaves `run10` alone. Raises `NameNotAllowed` for an empty one, and
        `Refused` if a folder is a symbolic link.
        """
        folder, store = _folder(relative_path_prefix), chosen_storage(storage)
        keys = [key for key in store.list(folder) if key.startswith(f"{folder}/") and own_value(key)]
        see_no_link(store, [folder, *keys])
        for key in keys:
            store.delete(key)
        return len(keys)

    def _data(self) -> memoryview:
        store, name = chosen_storage(self._given), self._parts["object"]
        if not store.exists(f"{self._folder}/{name}"):
            raise NotFound(
                f"{self.url} is not in {store.url}. Set datastore_url to the storage in which it was written, or pass "
                "storage=."
            )
        try:
            data = StoredValues(store, self._folder).whole(name)
        except DigestMismatch as error:
            raise DigestMismatch(f"{self.url} in {store.url} is damaged: {error}") from None
        return decompressed(data) if self._parts["zst"] else data

    def __repr__(self) -> str:
        return f"DataStoreIO({self.url!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DataStoreIO) and self.url == other.url

    def __hash__(self) -> int:
        return hash(self.url)


def _folder(prefix: str) -> str:
    if not isinstance(prefix, str) or not prefix:
        raise NameNotAllowed(f"The prefix {prefix!r:.80} is empty or no text. Name the folder of the values.")
    return _checked(f"values/{prefix}")


def _checked(folder: str) -> str:
    try:
        return check_key(folder)
    except NameNotAllowed:
        raise NameNotAllowed(
            f"{folder.removeprefix('values/')[:80]!r} is not a prefix. Use names of letters, digits, '_', '-' and '.', "
            "joined by '/', none of them beginning with '.' or '-'."
        ) from None


def values_below(prefix: str | None, storage: Storage) -> Iterator[tuple[str, int]]:
    """Yield the URL and the size of each value below a prefix, or of all."""
    folder = "values" if prefix is None else _folder(prefix)
    for key in sorted(storage.list(folder)):
        if own_value(key) and _URL.fullmatch(f"store:{key}"):
            yield f"store:{key}", storage.stat(key).bytes
