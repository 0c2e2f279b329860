"""dataset_assets: prepared as a user would, and read through its Loader."""

from functools import cache
from pathlib import Path
from typing import Any, Iterator

from workloads import BATCH, Workload

from dataset_assets import Array, Columns, Dataset, Ragged, Split, View, load
from dataset_assets import prepare as make
from dataset_assets.loader import Loader, joined

NEEDS = ("dataset_assets", "torch")


def rows(root: str, name: str, samples: int, dtype: str, shape: list[int] | None) -> Iterator[Any]:
    workload = Workload(name, samples, dtype, shape and tuple(shape), Path(root))
    for lo, hi in workload.pieces():
        x = workload.x[lo:hi] if workload.dense else [workload[i] for i in range(lo, hi)]
        yield Columns(x=x, y=workload.y[lo:hi])


def prepare(workload: Workload, folder: Path) -> None:
    w = workload
    shape = list(w.shape) if w.shape else None
    split = Split(rows, root=str(w.root), name=w.name, samples=w.samples, dtype=w.dtype, shape=shape)
    formats = {"x": Array() if w.dense else Ragged(), "y": Array()}
    dataset = Dataset(name(w), "Measured.", formats, {"train": split}, sample="x")
    make(dataset, storage=folder.as_uri())


def name(workload: Workload) -> str:
    return f"bench.{workload.name.lower()}"


class Ours:
    def __init__(self, workload: Workload, folder: Path) -> None:
        self.of = workload
        self.view: View = load(name(workload), storage=folder.as_uri())["train"]

    def batches(self, shuffled: bool, workers: int) -> Iterator[Any]:
        dense = self.of.dense
        for batch in self.loader(shuffled, workers).epoch(0):
            yield (batch["x"], batch["y"]) if dense else (batch["x"], batch["x_borders"], batch["y"])

    @cache  # noqa: B019  one for all epochs, as in a training
    def loader(self, shuffled: bool, workers: int) -> Loader:
        collate = None if self.of.dense else joined("x")
        return Loader(self.view, BATCH, shuffle=shuffled, seed=1, threads=workers, collate=collate, output="torch")

    def samples(self) -> Iterator[Any]:
        return iter(self.view)

    def get(self, i: int) -> Any:
        return self.view[i]


def open(workload: Workload, folder: Path) -> Ours:
    return Ours(workload, folder)
