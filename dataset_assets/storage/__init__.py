"""Storage connectors: keys and bytes, in a folder, in memory, in a bucket, in a database, or in a place of yours."""

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset_assets.core import plugins
from dataset_assets.core.lazy import lazily
from dataset_assets.core.redact import redacted
from dataset_assets.errors import DatasetAssetsError, UsageError, nearest
from dataset_assets.storage.storage import (
    Entry,
    LeavesStrays,
    ListsEntries,
    ListsLevels,
    PutsTogether,
    ReadsWhole,
    Settles,
    Stat,
    Storage,
    Stray,
    check_key,
    entries_of,
    listing_cut,
    size_of,
)

if TYPE_CHECKING:
    from dataset_assets.storage.connectors.local import LocalStorage as LocalStorage
    from dataset_assets.storage.connectors.memory import MemoryStorage as MemoryStorage

__all__ = [
    "CONNECTORS", "Entry", "LeavesStrays", "ListsEntries", "ListsLevels", "LocalStorage", "MemoryStorage",
    "PutsTogether", "ReadsWhole", "Settles", "Stat", "Storage", "Stray", "check_key", "entries_of", "listing_cut",
    "open_storage", "size_of",
]  # fmt: skip

# Connectors are imported when they are first used: reading a manifest needs none.
__getattr__, __dir__ = lazily(globals(), {"LocalStorage": "connectors.local", "MemoryStorage": "connectors.memory"})

CONNECTORS: dict[str, str] = {
    "file": "dataset_assets.storage.connectors.local:open_local",
    "memory": "dataset_assets.storage.connectors.memory:open_memory",
    "s3": "dataset_assets.storage.connectors.bucket.store:open_bucket",
    "gs": "dataset_assets.storage.connectors.bucket.store:open_bucket",
    "az": "dataset_assets.storage.connectors.bucket.store:open_bucket",
    "sqlite": "dataset_assets.storage.connectors.sqlite:open_sqlite",
    "postgresql": "dataset_assets.storage.connectors.postgres:open_postgres",
    "postgresql+psycopg2": "dataset_assets.storage.connectors.postgres:open_postgres",
    "mongodb": "dataset_assets.storage.connectors.mongodb:open_mongodb",
}
"""What opens the URLs of each scheme, as `module:callable`; imported when one of them is opened. A plugin adds its
own by an entry point of the group `dataset_assets.storages`."""


def open_storage(url: str | Path | Storage) -> Storage:
    """Open the storage that a URL or the path of a folder names; a storage is returned as it is.

    >>> open_storage("/data/assets").url
    'file:///data/assets'
    """
    if not isinstance(url, (str, Path)):
        return url
    if isinstance(url, str) and not url.startswith(("/", "~")):
        return _connected(url)
    from dataset_assets.storage.connectors.local import LocalStorage

    return LocalStorage(url)


_EXTRAS = {"store": "object-store", "postgres": "sql", "mongodb": "mongodb"}


def _connected(url: str) -> Storage:
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", url)
    if scheme is None:
        raise UsageError(
            f"{redacted(url)[:80]!r} is neither a URL nor an absolute path. Write file:///folder, or a whole path."
        )
    # The rest of the URL is not shown: it may hold a password.
    place = CONNECTORS.get(scheme[1].lower())
    if place is not None:
        module, _, name = place.partition(":")
        opener: Any = getattr(_imported(module, scheme[1]), name)
    elif (opener := plugins.provided("storages", scheme[1].lower())) is None:
        known = nearest(scheme[1], [*CONNECTORS, *plugins.names("storages")])
        raise UsageError(f"No storage connector opens {scheme[1]!r} URLs.{known}")
    try:
        opened: Storage = opener(url)
    except DatasetAssetsError:
        raise
    except ValueError:
        raise UsageError(
            f"The {scheme[1]} URL of the storage cannot be read. Look at its host and port; in a user or password, "
            "write %5B for [, %5D for ] and %2F for /."
        ) from None
    return opened


def _imported(module: str, scheme: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(module.rpartition(".")[2])
        if extra is None:
            raise
        raise UsageError(
            f"{scheme}: URLs need the package {error.name}. Install it with: pip install 'dataset_assets[{extra}]'"
        ) from None
