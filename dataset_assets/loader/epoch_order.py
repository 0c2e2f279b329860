"""The order of one epoch: as the view is, permuted, or permuted so that samples of like length come together."""

from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any, Protocol

import numpy as np

from dataset_assets.core.permutation import Permutation, Rows
from dataset_assets.loader.arguments import whole
from dataset_assets.reading.views.rows import Where

KEPT_WINDOWS = 4


class Order(Protocol):
    """Which row of the view stands at which place."""

    def rows(self, where: Where) -> Where: ...


@dataclass(frozen=True)
class Buckets:
    """Brings samples of like length together: each `window` of the order is sorted by the lengths in a stream.

    With `shuffle`, runs of `run` sorted samples are then permuted within the window, by default one for each step. A
    state goes on only with the same run: name it, where the number of ranks or the batch size may change.
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
    """An order whose windows are sorted by length, and then permuted by runs."""

    def __init__(self, base: Order, lengths: Rows, buckets: Buckets, seed: int | None, epoch: int) -> None:
        self.base, self.lengths, self.buckets, self.seed, self.epoch = base, lengths, buckets, seed, epoch
        self._kept: dict[int, Rows] = {}
        self._lock = Lock()

    def rows(self, where: Where) -> Rows:
        places = np.arange(where.start, where.stop) if isinstance(where, slice) else where
        windows = places // self.buckets.window
        found = np.empty(len(places), np.intp)
        for number in np.unique(windows).tolist():
            here = windows == number
            found[here] = self._window(number)[places[here] - number * self.buckets.window]
        return found

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
        # The samples beyond the last whole run, the longest of the window, come last.
        whole = len(rows) // run * run
        order = Permutation(whole // run, self.seed, self.epoch, f"buckets {number}").rows(slice(0, whole // run))
        return np.concatenate([rows[:whole].reshape(-1, run)[order].reshape(-1), rows[whole:]])


def as_rows(where: Where) -> Rows:
    """Return rows as an array."""
    return np.arange(where.start, where.stop) if isinstance(where, slice) else where
