"""Lance: `to_batches` for scans and `take` for gathers; it does not live through a fork, so its workers are spawned."""

from pathlib import Path
from typing import Any, Iterator

import lance
import pyarrow as pa
from workloads import BATCH, Workload

from systems import batch_of_arrow, loader_of

NEEDS = ("lance", "torch")


def prepare(workload: Workload, folder: Path) -> None:
    def batches() -> Iterator[Any]:
        for lo, hi in workload.pieces():
            yield from workload.arrow(lo, hi).to_batches()

    schema = workload.arrow(0, 1).schema
    lance.write_dataset(pa.RecordBatchReader.from_batches(schema, batches()), str(folder / "data.lance"))


class Lance:
    def __init__(self, workload: Workload, folder: Path) -> None:
        self.of, self.folder = workload, folder
        self.data: Any = lance.dataset(str(folder / "data.lance"))

    def __reduce__(self) -> Any:
        return type(self), (self.of, self.folder)

    def take(self, rows: Any) -> Any:
        return batch_of_arrow(self.of, self.data.take(rows.tolist()))

    def batches(self, shuffled: bool, workers: int) -> Any:
        if not shuffled:
            return (batch_of_arrow(self.of, pa.table(found)) for found in self.data.to_batches(batch_size=BATCH))
        spawned = {"multiprocessing_context": "spawn"} if workers else {}
        return loader_of(self.of, self.take, shuffled, workers, **spawned)

    def samples(self) -> Any:
        for batch in self.batches(shuffled=False, workers=0):
            yield from zip(batch[0] if self.of.dense else batch[0].split(batch[1].tolist()), batch[-1])

    def get(self, i: int) -> Any:
        return batch_of_arrow(self.of, self.data.take([i]))


def open(workload: Workload, folder: Path) -> Lance:
    return Lance(workload, folder)
