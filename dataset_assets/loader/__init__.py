"""Batches of a view, epoch by epoch, with a state that resumes at exactly the next sample."""

from typing import TYPE_CHECKING, Any

from dataset_assets.core.extras import needed
from dataset_assets.core.lazy import lazily
from dataset_assets.loader.collate import joined, padded
from dataset_assets.loader.epoch_order import Buckets
from dataset_assets.loader.loader import Loader
from dataset_assets.loader.ranks import ranks
from dataset_assets.loader.steps import Budget

__all__ = ["Batches", "Buckets", "Budget", "Loader", "joined", "padded", "ranks"]

if TYPE_CHECKING:
    from dataset_assets.loader.torch_datasets import Batches as Batches

_lazy, __dir__ = lazily(globals(), {"Batches": "torch_datasets"})


def __getattr__(name: str) -> Any:
    # Only `Batches` needs torch, which is an extra and slow to import.
    if name == "Batches":
        needed("torch", "torch")
    return _lazy(name)
