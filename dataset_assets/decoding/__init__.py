"""Help for split functions: an open file -> arrays, rows, blocks or members, whatever it was compressed with.

Each function reads its file from where it stands to the end and leaves it open. When the bytes are not what they were
taken for it raises `DecodeError`; it never gives a shorter result.
"""

from typing import Any, Callable, Iterable

from dataset_assets.core import plugins
from dataset_assets.decoding.archives import tar_members, zip_members
from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.csv_arrow import csv_blocks
from dataset_assets.decoding.csv_file import csv_rows
from dataset_assets.decoding.idx_file import idx, idx_blocks
from dataset_assets.decoding.jsonl_file import json_lines
from dataset_assets.errors import UsageError, nearest

__all__ = [
    "csv_blocks", "csv_rows", "decoder", "decompressed", "idx", "idx_blocks", "json_lines", "tar_members",
    "zip_members",
]  # fmt: skip

DECODERS: dict[str, Callable[..., Iterable[Any]]] = {
    "csv_blocks": csv_blocks, "csv_rows": csv_rows, "idx": idx, "idx_blocks": idx_blocks,
    "json_lines": json_lines, "tar_members": tar_members, "zip_members": zip_members,
}  # fmt: skip


def decoder(name: str) -> Callable[..., Iterable[Any]]:
    """Return the decoder of this name: one of ours, or one that a plugin offers in the group `dataset_assets.decoders`.

    >>> decoder("csv_rows") is csv_rows
    True
    """
    found = DECODERS.get(name) or plugins.provided("decoders", name)
    if found is None:
        raise UsageError(f"No decoder is named {name!r}.{nearest(name, [*DECODERS, *plugins.names('decoders')])}")
    return found
