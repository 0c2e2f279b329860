"""Loading: a view, epoch by epoch, in batches, with a state that says exactly where it is."""

from dataset_assets.loader.collate import joined, padded
from dataset_assets.loader.epoch_order import Buckets
from dataset_assets.loader.loader import Loader
from dataset_assets.loader.ranks import ranks
from dataset_assets.loader.steps import Budget

__all__ = ["Buckets", "Budget", "Loader", "joined", "padded", "ranks"]
