"""h5py: contiguous datasets; rows of a gather are sorted for it and put back."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from workloads import Workload

from systems import batch_of, loader_of

NEEDS = ("h5py", "torch")


def prepare(workload: Workload, folder: Path) -> None:
    with h5py.File(folder / "data.h5", "w") as file:
        if not workload.dense:
            file["tokens"] = workload.tokens
            return
        x = file.create_dataset("x", workload.x.shape, workload.dtype)
        for lo, hi in workload.pieces():
            x[lo:hi] = workload.x[lo:hi]


class Hdf5:
    def __init__(self, workload: Workload, folder: Path) -> None:
        self.of = workload
        self.x: Any = h5py.File(folder / "data.h5")["x" if workload.dense else "tokens"]

    def row(self, i: int) -> Any:
        return self.x[i] if self.of.dense else self.x[self.of.starts[i] : self.of.starts[i + 1]]

    def take(self, rows: Any) -> Any:
        if not self.of.dense:
            return batch_of(self.of, [self.row(i) for i in rows], self.of.y[rows])
        order = np.argsort(rows)
        x = np.empty((len(rows), *self.of.shape), self.of.dtype)
        x[order] = self.x[rows[order]]
        return torch.from_numpy(x), torch.from_numpy(self.of.y[rows])

    def slice(self, rows: Any) -> Any:
        return torch.from_numpy(self.x[rows[0] : rows[-1] + 1]), torch.from_numpy(self.of.y[rows])

    def batches(self, shuffled: bool, workers: int) -> Any:
        take = self.take if shuffled or not self.of.dense else self.slice
        return loader_of(self.of, take, shuffled, workers)

    def samples(self) -> Any:
        return (self.get(i) for i in range(self.of.samples))

    def get(self, i: int) -> Any:
        return self.row(i), self.of.y[i]


def open(workload: Workload, folder: Path) -> Hdf5:
    return Hdf5(workload, folder)
