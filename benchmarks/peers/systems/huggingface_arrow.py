"""Hugging Face datasets in arrow format, converted by hand: its fastest way."""

from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from datasets.arrow_writer import ArrowWriter
from workloads import BATCH, Workload

from systems import batch_of_arrow, loader_of

NEEDS = ("datasets", "torch")
datasets.disable_progress_bars()


def prepare(workload: Workload, folder: Path) -> None:
    value = datasets.Value(workload.dtype)
    x = datasets.List(value, length=workload.width) if workload.dense else datasets.LargeList(value)
    with ArrowWriter(
        path=str(folder / "data.arrow"), features=datasets.Features(x=x, y=datasets.Value("int64"))
    ) as writer:
        for lo, hi in workload.pieces():
            writer.write_table(workload.arrow(lo, hi))
        writer.finalize()


class Arrow:
    FORMAT = "arrow"

    def __init__(self, workload: Workload, folder: Path) -> None:
        self.of = workload
        self.data: Any = datasets.Dataset.from_file(str(folder / "data.arrow")).with_format(self.FORMAT)

    def batch(self, found: Any) -> Any:
        return batch_of_arrow(self.of, found)

    def batches(self, shuffled: bool, workers: int) -> Any:
        if not shuffled and not workers:
            return (self.batch(found) for found in self.data.iter(BATCH))
        return loader_of(self.of, lambda rows: self.batch(self.data[rows]), shuffled, workers)

    def samples(self) -> Any:
        for batch in self.batches(shuffled=False, workers=0):
            yield from zip(batch[0] if self.of.dense else batch[0].split(batch[1].tolist()), batch[-1])

    def get(self, i: int) -> Any:
        return self.batch(pa.table(self.data[i : i + 1]))


def open(workload: Workload, folder: Path) -> Arrow:
    return Arrow(workload, folder)
