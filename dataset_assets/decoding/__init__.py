"""Help for split functions: an open file -> arrays, rows or blocks, whatever it was compressed with.

Each function reads its file from where it stands to the end and leaves it open. When the bytes are not what they were
taken for it raises `DecodeError`; it never gives a shorter result.
"""

from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.csv_arrow import csv_blocks
from dataset_assets.decoding.csv_file import csv_rows
from dataset_assets.decoding.idx_file import idx, idx_blocks

__all__ = ["csv_blocks", "csv_rows", "decompressed", "idx", "idx_blocks"]
