"""Reads rows of an array in a remote storage: each read requests only the bytes of its rows."""

import math
from typing import Any, BinaryIO

import numpy as np

from dataset_assets.core.counters import FETCHED
from dataset_assets.errors import DecodeError
from dataset_assets.formats.columns import Indices, check_rows
from dataset_assets.formats.dtypes import AnyArray, Dtype
from dataset_assets.formats.format import name_of
from dataset_assets.formats.npy import layout_of

RANGE_BYTES = 8 << 20


def in_store(file: BinaryIO) -> bool:
    """Return whether a file is in a storage that serves byte ranges (`dataset_assets.storage.object_file.Ranges`)."""
    return hasattr(getattr(file, "raw", None), "ranges")


def rows_in(file: BinaryIO) -> "RangedRows":
    """Return the rows of a `.npy` file in a storage. Raises `DecodeError`."""
    dtype, shape, start = layout_of(file)
    try:
        np.empty((0, *shape[1:]), dtype)
    except ValueError as error:
        raise DecodeError(
            f"The header of {name_of(file)} has the shape {shape}, which is not possible ({error}). Verify the "
            "dataset, then prepare it again."
        ) from error
    size, expected = file.seek(0, 2), start + math.prod(shape) * dtype.itemsize
    if size != expected:
        raise DecodeError(
            f"{name_of(file)} has {size} bytes; its header says {expected}. Verify the dataset, then prepare it again."
        )
    return RangedRows(file, dtype, shape, start)


class RangedRows:
    """A stream of arrays as a column. It keeps the file open."""

    def __init__(self, file: BinaryIO, dtype: Dtype, shape: tuple[int, ...], start: int) -> None:
        self.file, self.dtype, self.shape, self.start = file, dtype, shape, start
        self.row_bytes = math.prod(shape[1:]) * dtype.itemsize
        self._plain = len(shape) == 1 and dtype.kind in "biuf"

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, i: int) -> Any:
        row = self.take(np.array([i]))
        return row.item(0) if self._plain else row[0]

    def take(self, indices: Indices, out: Any = None) -> AnyArray:
        check_rows(indices, len(self))
        wanted, places = np.unique(indices, return_inverse=True)
        # Consecutive rows are one range.
        cuts = np.flatnonzero(np.diff(wanted) != 1) + 1
        rows = self._read([(int(run[0]), int(run[-1]) + 1) for run in np.split(wanted, cuts) if len(run)])
        return np.take(rows, places, 0, out=out, mode="clip") if len(rows) else rows

    def slice(self, lo: int, hi: int) -> AnyArray:
        # A large slice is several ranges, which are requested in parallel.
        step = max(1, RANGE_BYTES // max(1, self.row_bytes))
        return self._read([(at, min(at + step, hi)) for at in range(lo, hi, step)])

    def _read(self, runs: list[tuple[int, int]]) -> AnyArray:
        starts = [self.start + lo * self.row_bytes for lo, _ in runs]
        stops = [self.start + hi * self.row_bytes for _, hi in runs]
        raw: Any = self.file.raw  # type: ignore[attr-defined]
        with FETCHED.timed("fetching_seconds"):
            buffers = raw.ranges(starts, stops) if runs and self.row_bytes else []
        lengths = [stop - start for start, stop in zip(starts, stops)] if self.row_bytes else []
        if [len(buffer) for buffer in buffers] != lengths:
            # Otherwise a part of the array would be uninitialised memory of this process.
            raise DecodeError(
                f"The storage of {name_of(self.file)} returned fewer or more bytes than requested. Read it again."
            )
        rows = np.empty((sum(hi - lo for lo, hi in runs), *self.shape[1:]), self.dtype)
        flat, at = rows.reshape(-1).view(np.uint8), 0
        for buffer in buffers:
            flat[at : at + len(buffer)] = np.frombuffer(buffer, np.uint8)
            at += len(buffer)
        return rows
