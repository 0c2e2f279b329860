"""torch as in its tutorials: a TensorDataset, or one of items, in a DataLoader that collates them."""

from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset
from workloads import BATCH, Workload

from systems import batch_of

NEEDS = ("torch",)


def prepare(workload: Workload, folder: Path) -> None:
    """The arrays are read as they are."""


class Sequences(Dataset[Any]):
    def __init__(self, workload: Workload) -> None:
        self.of = workload

    def __len__(self) -> int:
        return self.of.samples

    def __getitem__(self, i: int) -> Any:
        return self.of[i], self.of.y[i]


class Items:
    def __init__(self, workload: Workload) -> None:
        self.of = workload
        tensors = (torch.from_numpy(workload.x), torch.from_numpy(workload.y)) if workload.dense else ()
        self.data: Any = TensorDataset(*tensors) if tensors else Sequences(workload)

    def collate(self, items: Any) -> Any:
        return batch_of(self.of, *zip(*items))

    def batches(self, shuffled: bool, workers: int) -> Any:
        ahead: dict[str, Any] = {"prefetch_factor": 4} if workers else {}
        collate = None if self.of.dense else self.collate
        return DataLoader(self.data, BATCH, shuffle=shuffled, num_workers=workers, collate_fn=collate, **ahead)

    def samples(self) -> Any:
        return (self.data[i] for i in range(self.of.samples))

    def get(self, i: int) -> Any:
        return self.data[i]


def open(workload: Workload, folder: Path) -> Items:
    return Items(workload)
