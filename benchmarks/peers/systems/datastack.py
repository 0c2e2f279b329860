"""DataStack: the whole split in memory by `torch.load`, iterated item by item, batched by torch's DataLoader."""

from pathlib import Path
from typing import Any

import torch
from data_stack.dataset.iterator import DatasetIteratorView, SequenceDatasetIterator
from torch.utils.data import DataLoader
from workloads import BATCH, Workload

from systems import batch_of

NEEDS = ("data_stack", "torch")


def prepare(workload: Workload, folder: Path) -> None:
    x: Any = torch.from_numpy(workload.x) if workload.dense else None
    if x is None:
        x = [torch.from_numpy(workload[i].copy()) for i in range(workload.samples)]
    torch.save([x, workload.y.tolist()], folder / "data.pt")


class DataStack:
    def __init__(self, workload: Workload, folder: Path) -> None:
        self.of = workload
        x, y = torch.load(folder / "data.pt", weights_only=True)
        self.data: Any = SequenceDatasetIterator([x, y])

    def batches(self, shuffled: bool, workers: int) -> Any:
        data = self.data
        if shuffled:
            data = DatasetIteratorView(data, torch.randperm(self.of.samples).tolist())
        ahead: dict[str, Any] = {"prefetch_factor": 4} if workers else {}
        return DataLoader(data, BATCH, num_workers=workers, collate_fn=self.collate, **ahead)

    def collate(self, items: Any) -> Any:
        if not self.of.dense:
            return batch_of(self.of, [item[0].numpy() for item in items], [item[1] for item in items])
        x, y = zip(*items)
        return torch.stack(x), torch.tensor(y)

    def samples(self) -> Any:
        return (self.data[i] for i in range(self.of.samples))

    def get(self, i: int) -> Any:
        return self.data[i]


def open(workload: Workload, folder: Path) -> DataStack:
    return DataStack(workload, folder)
