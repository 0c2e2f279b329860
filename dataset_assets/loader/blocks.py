"""Shuffling files, and the rows of a few of them together: for a split that fits neither the memory nor the cache."""

import numpy as np

from dataset_assets.core.permutation import BlockPermutation
from dataset_assets.errors import UsageError
from dataset_assets.loader.reader import below
from dataset_assets.reading.views import Mapped, View
from dataset_assets.reading.views.rows import Where, in_order

TOGETHER = 4


def in_blocks(view: View, seed: int, epoch: int) -> BlockPermutation:
    """Return the order of an epoch whose blocks are the stored files.

    Raises `UsageError` for samples in another order than they are stored in.
    """
    return BlockPermutation(block_sizes(view), TOGETHER, seed, epoch)


def block_sizes(view: View) -> list[int]:
    """Return how many rows of a view lie in each file of the stored split below it, which has to be in their order."""
    while isinstance(view, Mapped):
        view = view.parents[0]
    stored, orders, streams = below(view)
    where: Where = slice(0, len(view))
    for order in orders:
        where = in_order(order, where)
    if stored is None or not isinstance(where, slice) and (np.diff(where) < 0).any():
        raise UsageError(
            "shuffle='blocks' is for samples in the order in which they are stored. Give the loader a view that keeps "
            "it, such as a whole split, and let it shuffle."
        )
    # Of the stream in the most files: it is the largest one.
    starts = max((getattr(stored.columns[name], "starts", [0, len(stored)]) for name in streams), key=len)
    cuts = np.clip(starts, where.start, where.stop) if isinstance(where, slice) else np.searchsorted(where, starts)
    return [int(size) for size in np.diff(cuts)]
