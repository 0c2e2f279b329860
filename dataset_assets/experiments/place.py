"""Where experiments and values are stored: an argument, else the block of `datastore`, else the settings."""

from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Iterator

from dataset_assets.core.settings import Settings, settings
from dataset_assets.storage import Storage, open_storage

_context: ContextVar[dict[str, "str | Storage"]] = ContextVar("datastore", default={})  # noqa: B039


@contextmanager
def datastore(url: "str | Path | Storage | None" = None, compression: str | None = None) -> Iterator[Storage]:
    """Use another storage, or compression ("none" or "zstd"), for the experiments and values of this block.

    >>> with datastore("/data/experiments"):
    ...     create_experiment("mnist_cnn").persist()
    """
    given: dict[str, str | Storage] = dict(_context.get())
    if url is not None:
        given["datastore_url"] = open_storage(url)
    if compression is not None:
        given["datastore_compression"] = settings(datastore_compression=compression).datastore_compression
    token = _context.set(given)
    try:
        yield chosen_storage()
    finally:
        _context.reset(token)


def chosen_storage(url: "str | Path | Storage | None" = None) -> Storage:
    """Return the storage of an argument, of the block, or of the settings."""
    given = _context.get().get("datastore_url") if url is None else url
    return open_storage(settings().datastore_url if given is None else given)


def chosen_compression(compression: str | None = None) -> str:
    """Return the compression of an argument, of the block, or of the settings. Raises `UsageError`."""
    given = _context.get().get("datastore_compression") if compression is None else compression
    chosen: Settings = settings(datastore_compression=given)
    return chosen.datastore_compression
