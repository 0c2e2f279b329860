"""Zarr 3: chunks of 256 rows, uncompressed; a gather is an orthogonal selection."""

from pathlib import Path
from typing import Any

import torch
import zarr
from workloads import BATCH, Workload

from systems import batch_of, loader_of

NEEDS = ("zarr", "torch")


def prepare(workload: Workload, folder: Path) -> None:
    source = workload.x if workload.dense else workload.tokens
    chunk = (BATCH if workload.dense else 1 << 20, *source.shape[1:])
    x = zarr.create_array(
        str(folder / "data.zarr"), shape=source.shape, chunks=chunk, dtype=source.dtype, compressors=None
    )
    step = chunk[0] * 64
    for lo in range(0, len(source), step):
        x[lo : lo + step] = source[lo : lo + step]


class Zarr:
    def __init__(self, workload: Workload, folder: Path) -> None:
        self.of = workload
        self.x: Any = zarr.open_array(str(folder / "data.zarr"), mode="r")

    def row(self, i: int) -> Any:
        return self.x[i] if self.of.dense else self.x[self.of.starts[i] : self.of.starts[i + 1]]

    def take(self, rows: Any) -> Any:
        if not self.of.dense:
            return batch_of(self.of, [self.row(i) for i in rows], self.of.y[rows])
        return torch.from_numpy(self.x.oindex[rows]), torch.from_numpy(self.of.y[rows])

    def slice(self, rows: Any) -> Any:
        return torch.from_numpy(self.x[int(rows[0]) : int(rows[-1]) + 1]), torch.from_numpy(self.of.y[rows])

    def batches(self, shuffled: bool, workers: int) -> Any:
        take = self.take if shuffled or not self.of.dense else self.slice
        return loader_of(self.of, take, shuffled, workers)

    def samples(self) -> Any:
        return (self.get(i) for i in range(self.of.samples))

    def get(self, i: int) -> Any:
        return self.row(i), self.of.y[i]


def open(workload: Workload, folder: Path) -> Zarr:
    return Zarr(workload, folder)
