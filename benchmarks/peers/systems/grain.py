"""Grain: a MapDataset over the map, shuffled and batched, with its reading threads or processes."""

from functools import partial
from pathlib import Path
from typing import Any

import grain
from workloads import BATCH, Workload

from systems import batch_of

NEEDS = ("grain", "torch")


def prepare(workload: Workload, folder: Path) -> None:
    """The arrays are read as they are."""


class Source:
    def __init__(self, workload: Workload) -> None:
        self.of = workload

    def __len__(self) -> int:
        return self.of.samples

    def __getitem__(self, i: int) -> Any:
        return self.of[i], self.of.y[i]


def collated(workload: Workload, items: Any) -> Any:
    return batch_of(workload, *zip(*items))


class Grain:
    def __init__(self, workload: Workload) -> None:
        self.of = workload
        self.data: Any = grain.MapDataset.source(Source(workload))

    def batches(self, shuffled: bool, workers: int) -> Any:
        data = self.data.shuffle(1) if shuffled else self.data
        options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=8)
        found = data.batch(BATCH, batch_fn=partial(collated, self.of)).to_iter_dataset(options)
        return found.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers)) if workers else found

    def samples(self) -> Any:
        return iter(self.data)

    def get(self, i: int) -> Any:
        return self.data[i]


def open(workload: Workload, folder: Path) -> Grain:
    return Grain(workload)
