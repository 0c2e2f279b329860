"""One system a file: `prepare(workload, folder)` writes its own form, `open(workload, folder)` returns a `System`.

`NEEDS` names the packages that must be there. A batch is (x, y), of sequences (tokens, lengths, y): tensors.
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
from workloads import Workload

NAMES = (
    "limit",
    "ours",
    "torch_gather",
    "torch_items",
    "torch_nodes",
    "huggingface",
    "huggingface_arrow",
    "arrow_ipc",
    "hdf5",
    "lance",
    "zarr",
    "grain",
    "datastack",
)


class System(Protocol):
    """What is measured of a system; what it has no way to do raises NotImplementedError."""

    def batches(self, shuffled: bool, workers: int) -> Iterable[Any]:
        """Return an epoch in batches."""

    def samples(self) -> Iterable[Any]:
        """Return an epoch, sample by sample."""

    def get(self, i: int) -> Any:
        """Return one sample."""


def batch_of(workload: Workload, xs: list[np.ndarray], ys: Any) -> tuple[Any, ...]:
    """Return single samples as a batch."""
    import torch

    y = torch.as_tensor(np.asarray(ys, np.int64))
    if workload.dense:
        return torch.from_numpy(np.stack(xs)), y
    return torch.from_numpy(np.concatenate(xs)), torch.as_tensor([len(x) for x in xs]), y


def batch_of_arrow(workload: Workload, table: Any) -> tuple[Any, ...]:
    """Return an arrow table as a batch, with no Python for each row."""
    import torch

    x, y = table["x"].combine_chunks(), torch.from_numpy(table["y"].to_numpy())
    values = torch.from_numpy(x.flatten().to_numpy(zero_copy_only=False))
    if workload.dense:
        return values.view(-1, *workload.shape), y
    return values, torch.from_numpy(np.diff(x.offsets.to_numpy())), y


class Fetched:
    """A map-style dataset whose items are whole batches."""

    def __init__(self, samples: int, take: Callable[[np.ndarray], Any]) -> None:
        self.samples, self.take = samples, take

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, indices: np.ndarray) -> Any:
        return self.take(indices)


def loader_of(workload: Workload, take: Callable[[np.ndarray], Any], shuffled: bool, workers: int, **more: Any) -> Any:
    """Return torch's DataLoader over a function that returns a whole batch."""
    from torch.utils.data import DataLoader

    ahead = {"prefetch_factor": 4} if workers else {}
    fetched: Any = Fetched(workload.samples, take)
    return DataLoader(fetched, batch_size=None, sampler=workload.orders(shuffled), num_workers=workers, **ahead, **more)
