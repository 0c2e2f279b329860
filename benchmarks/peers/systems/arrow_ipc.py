"""pyarrow: a mapped file of one record batch, and `Table.take` for gathers; of several it would join them each time."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from workloads import BATCH, Workload

from systems import batch_of_arrow, loader_of

NEEDS = ("pyarrow", "torch")


def prepare(workload: Workload, folder: Path) -> None:
    table = workload.arrow(0, workload.samples)
    with pa.OSFile(str(folder / "data.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


class Ipc:
    def __init__(self, workload: Workload, folder: Path) -> None:
        self.of = workload
        self.table = pa.ipc.open_file(pa.memory_map(str(folder / "data.arrow"))).read_all()

    def batches(self, shuffled: bool, workers: int) -> Any:
        of, table = self.of, self.table
        if not shuffled and not workers:
            return (batch_of_arrow(of, table.slice(at, BATCH)) for at in range(0, of.samples, BATCH))
        return loader_of(of, lambda rows: batch_of_arrow(of, table.take(rows)), shuffled, workers)

    def samples(self) -> Any:
        for batch in self.batches(shuffled=False, workers=0):
            yield from zip(batch[0] if self.of.dense else batch[0].split(batch[1].tolist()), batch[-1])

    def get(self, i: int) -> Any:
        return batch_of_arrow(self.of, self.table.slice(i, 1))


def open(workload: Workload, folder: Path) -> Ipc:
    return Ipc(workload, folder)
