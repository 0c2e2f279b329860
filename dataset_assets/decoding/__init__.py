"""Decoders for split functions: an open file, compressed or not -> arrays, rows, blocks or members.

Each function reads its file from the current position to the end and leaves it open. It raises `DecodeError` for bytes
that it cannot decode; it never returns a shorter result.
"""

from typing import TYPE_CHECKING, Any, Callable, Iterable

from dataset_assets.core import plugins
from dataset_assets.core.lazy import Table, lazily
from dataset_assets.errors import UsageError, nearest

# One decoder does not load what the others need.
_PLACES = {
    "archive_members": "archive",
    "arrow": "arrow_file",
    "csv_blocks": "csv_arrow",
    "csv_rows": "csv_file",
    "decompressed": "compressed",
    "excel": "excel_file",
    "hdf5": "hdf5_file",
    "idx": "idx_file",
    "idx_blocks": "idx_file",
    "json_array": "json_file",
    "json_lines": "jsonl_file",
    "npy": "npy_file",
    "npz": "npy_file",
    "parquet": "parquet_file",
    "safetensors": "safetensors_file",
    "sqlite": "sqlite_file",
    "tar_members": "tar_file",
    "text": "text_file",
    "tfrecord": "tfrecord_file",
    "webdataset": "webdataset_file",
    "zip_members": "zip_file",
}

__all__ = ["decoder", *_PLACES]

if TYPE_CHECKING:
    from dataset_assets.decoding.archive import archive_members as archive_members
    from dataset_assets.decoding.arrow_file import arrow as arrow
    from dataset_assets.decoding.compressed import decompressed as decompressed
    from dataset_assets.decoding.csv_arrow import csv_blocks as csv_blocks
    from dataset_assets.decoding.csv_file import csv_rows as csv_rows
    from dataset_assets.decoding.excel_file import excel as excel
    from dataset_assets.decoding.hdf5_file import hdf5 as hdf5
    from dataset_assets.decoding.idx_file import idx as idx
    from dataset_assets.decoding.idx_file import idx_blocks as idx_blocks
    from dataset_assets.decoding.json_file import json_array as json_array
    from dataset_assets.decoding.jsonl_file import json_lines as json_lines
    from dataset_assets.decoding.npy_file import npy as npy
    from dataset_assets.decoding.npy_file import npz as npz
    from dataset_assets.decoding.parquet_file import parquet as parquet
    from dataset_assets.decoding.safetensors_file import safetensors as safetensors
    from dataset_assets.decoding.sqlite_file import sqlite as sqlite
    from dataset_assets.decoding.tar_file import tar_members as tar_members
    from dataset_assets.decoding.text_file import text as text
    from dataset_assets.decoding.tfrecord_file import tfrecord as tfrecord
    from dataset_assets.decoding.webdataset_file import webdataset as webdataset
    from dataset_assets.decoding.zip_file import zip_members as zip_members

DECODERS: Table[Callable[..., Iterable[Any]]] = Table(
    {name: f"{__name__}.{module}:{name}" for name, module in _PLACES.items() if name != "decompressed"}
)


def decoder(name: str) -> Callable[..., Iterable[Any]]:
    """Return the decoder of this name: ours, or a plugin's from the entry points `dataset_assets.decoders`.

    >>> from dataset_assets.decoding import csv_rows
    >>> decoder("csv_rows") is csv_rows
    True
    """
    function = DECODERS.get(name) or plugins.provided("decoders", name)
    if function is None:
        raise UsageError(f"No decoder is named {name!r}.{nearest(name, [*DECODERS, *plugins.names('decoders')])}")
    return function


__getattr__, __dir__ = lazily(globals(), _PLACES)
