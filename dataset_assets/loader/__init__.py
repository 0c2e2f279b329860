"""Batches of a view, epoch by epoch, with a state that resumes at exactly the next sample."""

from typing import TYPE_CHECKING, Any

from dataset_assets.core.extras import needed
from dataset_assets.loader.collate import joined, padded
from dataset_assets.loader.epoch_order import Buckets
from dataset_assets.loader.loader import Loader
from dataset_assets.loader.ranks import ranks
from dataset_assets.loader.steps import Budget

if TYPE_CHECKING:
    from dataset_assets.loader.torch_datasets import Batches

__all__ = ["Batches", "Buckets", "Budget", "Loader", "joined", "padded", "ranks"]


def __getattr__(name: str) -> Any:
    # Batches needs torch, which is an extra and slow to import.
    if name != "Batches":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    needed("torch", "torch")
    from dataset_assets.loader.torch_datasets import Batches

    return Batches


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
