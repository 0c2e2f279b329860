"""torch written by hand: one `index_select` a batch on a map, by a DataLoader without its own batching."""

from pathlib import Path
from typing import Any

import torch
from workloads import Workload

from systems import batch_of, loader_of

NEEDS = ("torch",)


def prepare(workload: Workload, folder: Path) -> None:
    """The arrays are read as they are."""


class Gather:
    def __init__(self, workload: Workload) -> None:
        self.of, self.y = workload, torch.from_numpy(workload.y)
        self.x = torch.from_numpy(workload.x) if workload.dense else None

    def take(self, rows: Any) -> Any:
        if self.x is None:
            return batch_of(self.of, [self.of[i] for i in rows], self.of.y[rows])
        at = torch.as_tensor(rows)
        return self.x.index_select(0, at), self.y.index_select(0, at)

    def batches(self, shuffled: bool, workers: int) -> Any:
        return loader_of(self.of, self.take, shuffled, workers)

    def samples(self) -> Any:
        return (self.get(i) for i in range(self.of.samples))

    def get(self, i: int) -> Any:
        return self.of[i], self.of.y[i]


def open(workload: Workload, folder: Path) -> Gather:
    return Gather(workload)
