"""The order of one epoch: that of the view, shuffled, shuffled by files, or sorted into buckets of similar length."""

from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any, Protocol

import numpy as np

from dataset_assets.core.permutation import BlockPermutation, Permutation, Rows
from dataset_assets.errors import UsageError
from dataset_assets.loader.arguments import whole
from dataset_assets.loader.reader import below
from dataset_assets.reading.views import Mapped, View
from dataset_assets.reading.views.rows import Where, in_order

KEPT_WINDOWS = 4
# How many files shuffle='blocks' reads and shuffles together.
TOGETHER = 4


class Order(Protocol):
    """Maps places of an epoch to rows of the view."""

    def rows(self, where: Where) -> Where: ...


@dataclass(frozen=True)
class Buckets:
    """Puts samples of similar length together: sorts each `window` of the order by the lengths in a stream.

    With `shuffle`, runs of `run` sorted samples are then permuted within the window; the default run is one step. A
    state can only be resumed with the same run: set it if the number of ranks or the batch size may change.
    """

    stream: str
    window: int = 1 << 14
    run: int | None = None

    def __post_init__(self) -> None:
        whole("The window of buckets", self.window, 1)
        if self.run is not None:
            whole("The run of buckets", self.run, 1)

    def described(self) -> dict[str, Any]:
        """Return the fields as JSON."""
        return asdict(self)


class AsItIs:
    """The order of the view itself."""

    def rows(self, where: Where) -> Where:
        return where


class Bucketed:
    """Sorts the windows of an order by length, then permutes the runs in each window."""

    def __init__(self, base: Order, lengths: Rows, buckets: Buckets, seed: int | None, epoch: int) -> None:
        self.base, self.lengths, self.buckets, self.seed, self.epoch = base, lengths, buckets, seed, epoch
        self._kept: dict[int, Rows] = {}
        self._lock = Lock()

    def rows(self, where: Where) -> Rows:
        places = np.arange(where.start, where.stop) if isinstance(where, slice) else where
        windows = places // self.buckets.window
        rows = np.empty(len(places), np.intp)
        for number in np.unique(windows).tolist():
            here = windows == number
            rows[here] = self._window(number)[places[here] - number * self.buckets.window]
        return rows

    def _window(self, number: int) -> Rows:
        with self._lock:
            if number not in self._kept:
                while len(self._kept) >= KEPT_WINDOWS:
                    del self._kept[next(iter(self._kept))]
                self._kept[number] = self._sorted(number)
            return self._kept[number]

    def _sorted(self, number: int) -> Rows:
        lo = number * self.buckets.window
        hi = min(lo + self.buckets.window, len(self.lengths))
        rows = as_rows(self.base.rows(slice(lo, hi)))
        rows = rows[np.argsort(self.lengths[rows], kind="stable")]
        run = self.buckets.run or 1
        if self.seed is None or run >= len(rows):
            return rows
        # The samples after the last whole run are the longest of the window; they come last.
        whole = len(rows) // run * run
        order = Permutation(whole // run, self.seed, self.epoch, f"buckets {number}").rows(slice(0, whole // run))
        return np.concatenate([rows[:whole].reshape(-1, run)[order].reshape(-1), rows[whole:]])


def in_blocks(view: View, seed: int, epoch: int) -> BlockPermutation:
    """Return the order of an epoch with shuffle='blocks': shuffles the stored files, and the rows of a few together.

    Raises `UsageError` if the samples are not in the order in which they are stored.
    """
    return BlockPermutation(block_sizes(view), TOGETHER, seed, epoch)


def block_sizes(view: View) -> list[int]:
    """Return how many rows of a view each file of the stored split below it holds."""
    while isinstance(view, Mapped):
        view = view.parents[0]
    stored, orders, streams = below(view)
    where: Where = slice(0, len(view))
    for order in orders:
        where = in_order(order, where)
    if stored is None or not isinstance(where, slice) and (np.diff(where) < 0).any():
        raise UsageError(
            "shuffle='blocks' needs the samples in the order in which they are stored, and this view has another. Pass "
            "a view that keeps the stored order, such as a whole split, and let the loader shuffle."
        )
    # The stream in the most files, which is the largest one.
    starts = max((getattr(stored.columns[name], "starts", [0, len(stored)]) for name in streams), key=len)
    cuts = np.clip(starts, where.start, where.stop) if isinstance(where, slice) else np.searchsorted(where, starts)
    return [int(size) for size in np.diff(cuts)]


def as_rows(where: Where) -> Rows:
    """Return rows as an array."""
    return np.arange(where.start, where.stop) if isinstance(where, slice) else where
