"""Decoders for split functions: an open file, compressed or not -> arrays, rows, blocks or members.

Each function reads its file from the current position to the end and leaves it open. It raises `DecodeError` for bytes
that it cannot decode; it never returns a shorter result.
"""

from typing import Any, Callable, Iterable

from dataset_assets.core import plugins
from dataset_assets.decoding.archive import archive_members
from dataset_assets.decoding.arrow_file import arrow
from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.csv_arrow import csv_blocks
from dataset_assets.decoding.csv_file import csv_rows
from dataset_assets.decoding.excel_file import excel
from dataset_assets.decoding.hdf5_file import hdf5
from dataset_assets.decoding.idx_file import idx, idx_blocks
from dataset_assets.decoding.json_file import json_array
from dataset_assets.decoding.jsonl_file import json_lines
from dataset_assets.decoding.npy_file import npy, npz
from dataset_assets.decoding.parquet_file import parquet
from dataset_assets.decoding.safetensors_file import safetensors
from dataset_assets.decoding.sqlite_file import sqlite
from dataset_assets.decoding.tar_file import tar_members
from dataset_assets.decoding.text_file import text
from dataset_assets.decoding.tfrecord_file import tfrecord
from dataset_assets.decoding.webdataset_file import webdataset
from dataset_assets.decoding.zip_file import zip_members
from dataset_assets.errors import UsageError, nearest

__all__ = [
    "archive_members", "arrow", "csv_blocks", "csv_rows", "decoder", "decompressed", "excel", "hdf5", "idx",
    "idx_blocks", "json_array", "json_lines", "npy", "npz", "parquet", "safetensors", "sqlite", "tar_members", "text",
    "tfrecord", "webdataset", "zip_members",
]  # fmt: skip

DECODERS: dict[str, Callable[..., Iterable[Any]]] = {
    "archive_members": archive_members, "arrow": arrow, "csv_blocks": csv_blocks, "csv_rows": csv_rows,
    "excel": excel, "hdf5": hdf5, "idx": idx, "idx_blocks": idx_blocks, "json_array": json_array,
    "json_lines": json_lines, "npy": npy, "npz": npz, "parquet": parquet, "safetensors": safetensors,
    "sqlite": sqlite, "tar_members": tar_members, "text": text, "tfrecord": tfrecord, "webdataset": webdataset,
    "zip_members": zip_members,
}  # fmt: skip


def decoder(name: str) -> Callable[..., Iterable[Any]]:
    """Return the decoder of this name: ours, or a plugin's from the entry points `dataset_assets.decoders`.

    >>> decoder("csv_rows") is csv_rows
    True
    """
    function = DECODERS.get(name) or plugins.provided("decoders", name)
    if function is None:
        raise UsageError(f"No decoder is named {name!r}.{nearest(name, [*DECODERS, *plugins.names('decoders')])}")
    return function
