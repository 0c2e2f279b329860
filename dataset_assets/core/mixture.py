"""Orders over several sources: repeat, interleave, mix. Rows are numbered through all sources, one after the other.

Each row of an order is computed on request. docs/orders.md specifies the orders and has test vectors.
"""

import math
from functools import cached_property
from typing import Any, Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.core.permutation import MOST_ROWS, Rows, hashed, keys_of
from dataset_assets.errors import UsageError, nearest

Times = NDArray[np.float64]
BLOCK = 1 << 12
LARGE = 1 << 18
"""How many rows are computed together if all are: of 50 sources, in a third of the time of `BLOCK`."""


class Repetition:
    """The rows 0 to n - 1, repeated `times` times.

    >>> Repetition(3, 2).rows(slice(0, 6)).tolist()
    [0, 1, 2, 0, 1, 2]
    """

    def __init__(self, n: int, times: int) -> None:
        self.n, self.times = n, times

    def __len__(self) -> int:
        return self.n * self.times

    def rows(self, where: "slice | Rows") -> Rows:
        """Return the rows at these places."""
        return _places(where) % max(self.n, 1)


class Interleaving:
    """One row of each source in turn, each row once; a source without more rows is skipped.

    >>> Interleaving([1, 3]).rows(slice(0, 4)).tolist()
    [0, 1, 2, 3]
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = tuple(sizes)

    def __len__(self) -> int:
        return sum(self.sizes)

    def rows(self, where: "slice | Rows") -> Rows:
        """Return the rows at these places."""
        places = _places(where)
        rounds, starts, sources = self._phases
        rows = np.empty(len(places), np.intp)
        phase = np.searchsorted(starts, places, "right") - 1
        for k in np.unique(phase):
            mine = phase == k
            turn, which = np.divmod(places[mine] - starts[k], len(sources[k]))
            rows[mine] = self._offsets[sources[k][which]] + rounds[k] + turn
        return rows

    @cached_property
    def _phases(self) -> tuple[list[int], Rows, list[Rows]]:
        """Return the first round, first place and sources of each phase. The same sources take turns within a phase."""
        sizes = np.array(self.sizes)
        rounds = [0, *np.unique(sizes[sizes > 0]).tolist()]
        sources = [np.flatnonzero(sizes > first) for first in rounds[:-1]]
        lengths = [(to - first) * len(active) for first, to, active in zip(rounds, rounds[1:], sources)]
        return rounds, np.cumsum([0, *lengths[:-1]]), sources

    @cached_property
    def _offsets(self) -> Rows:
        return np.cumsum([0, *self.sizes])[:-1]


class Mixture:
    """Rows of several sources in random order, where every stretch holds each source in proportion to its weight.

    The time of row j of a source with share w is (j + u) / w, where u, between 0 and 1, is a keyed hash of j. Rows are
    sorted by time. So the first n rows hold n * w rows of a source, give or take one for each source, and the place of
    a row is computed without the rows before it. Raises `UsageError`.

    >>> [Mixture([8, 8], (0.25, 0.75), seed=0, stop="first").source(i) for i in range(8)]
    [0, 1, 1, 1, 1, 1, 1, 0]
    """

    def __init__(
        self, sizes: Sequence[int], weights: Sequence[float], seed: int, stop: str | int, epoch: int = 0
    ) -> None:
        if len(weights) != len(sizes) or not all(0 < weight < math.inf for weight in weights):
            raise UsageError(f"{len(sizes)} views got the weights {tuple(weights)}. Give each view a positive weight.")
        if 0 in sizes:
            raise UsageError(f"View {list(sizes).index(0)} of the mixture has no samples. Leave it out.")
        if isinstance(stop, str) and stop not in ("first", "all"):
            raise UsageError(
                f"stop={stop!r} is not valid.{nearest(stop, ('first', 'all'))} Or give a number of samples."
            )
        self.sizes, self.stop = tuple(sizes), stop
        self.shares = [weight / math.fsum(weights) for weight in weights]
        self._keys = [keys_of(seed, epoch, f"mix {source}")[:2] for source in range(len(sizes))]
        self._offsets = np.cumsum([0, *sizes])
        self._size = self._length()
        self._blocks_read = 0
        if not 0 <= self._size <= MOST_ROWS:
            size = self._size if isinstance(stop, int) else "more"
            raise UsageError(f"A mixture has 0 to {MOST_ROWS} samples, not {size}. Give a number as stop.")

    def __len__(self) -> int:
        return self._size

    def rows(self, where: "slice | Rows") -> Rows:
        """Return the rows at these places."""
        if isinstance(where, slice):
            return self._window(where.start, where.stop)[0]
        if "_all" in self.__dict__:
            return self._all[where].astype(np.intp)
        rows, order = np.empty(len(where), np.intp), np.argsort(where, kind="stable")
        blocks = np.split(order, np.flatnonzero(np.diff(where[order] // BLOCK)) + 1)
        self._blocks_read += len(blocks)
        if self._blocks_read * BLOCK > self._size:
            # Now it takes no longer to compute all rows, once, which are four bytes each.
            return self._all[where].astype(np.intp)
        for places in blocks if len(where) else ():
            lo = int(where[places[0]]) // BLOCK * BLOCK
            rows[places] = self._window(lo, min(lo + BLOCK, self._size))[0][where[places] - lo]
        return rows

    @cached_property
    def _all(self) -> "NDArray[Any]":
        rows = np.empty(self._size, np.min_scalar_type(int(self._offsets[-1])))
        for lo in range(0, self._size, LARGE):
            rows[lo : lo + LARGE] = self._window(lo, min(lo + LARGE, self._size))[0]
        return rows

    def __getstate__(self) -> dict[str, Any]:
        # Another process computes the rows again, if it reads as many.
        return {**{name: value for name, value in self.__dict__.items() if name != "_all"}, "_blocks_read": 0}

    def source(self, place: int) -> int:
        """Return the number of the source that the row at a place belongs to."""
        return int(self._window(place, place + 1)[1][0])

    def _window(self, lo: int, hi: int) -> tuple[Rows, Rows]:
        """Return the rows at the places from `lo` to `hi`, and their sources."""
        # At time t, t rows are past, give or take one for each source.
        since, until = lo - len(self.sizes) - 1, hi + len(self.sizes) + 1
        times, numbers, sources, before = [], [], [], 0
        for source, share in enumerate(self.shares):
            first = max(0, math.floor(since * share) - 1)
            number = np.arange(first, max(first, math.floor(until * share) + 2))
            time = self._times(source, number)
            past = int((time < since).sum())
            before += first + past
            times.append(time[past:])
            numbers.append(number[past:])
            sources.append(np.full(len(number) - past, source))
        number, source_of = np.concatenate(numbers), np.concatenate(sources)
        # Stable: of rows with equal times, the row of the first source comes first.
        order = np.argsort(np.concatenate(times), kind="stable")[lo - before : hi - before]
        which = source_of[order]
        return self._offsets[which] + number[order] % np.array(self.sizes)[which], which

    def _times(self, source: int, numbers: Rows) -> Times:
        chance = hashed(hashed(numbers.astype(np.uint32), self._keys[source][0]), self._keys[source][1])
        return (numbers + (chance + 0.5) / 2.0**32) / self.shares[source]

    def _length(self) -> int:
        if not isinstance(self.stop, str):
            return int(self.stop)
        # An estimate is enough to see that there are too many rows.
        ends = [size / share if share else math.inf for size, share in zip(self.sizes, self.shares)]
        if (min if self.stop == "first" else max)(ends) > 2 * MOST_ROWS:
            return MOST_ROWS + 1
        if self.stop == "first":
            # Leave out sources that surely end later: their last place may need more than 64 bits.
            latest = min(end * (size + 1) / size for end, size in zip(ends, self.sizes)) + 2 * len(ends) + 2
            early = [source for source, end in enumerate(ends) if end <= latest]
            return min(self._place(source, self.sizes[source]) for source in early)
        return max(self._place(source, size - 1) + 1 for source, size in enumerate(self.sizes))

    def _place(self, source: int, number: int) -> int:
        """Return the number of rows before row `number` of a source."""
        time = self._times(source, np.array([number]))[0]
        place = 0
        for other, share in enumerate(self.shares):
            first = max(0, math.floor(time * share) - 2)
            times = self._times(other, np.arange(first, first + 5))
            place += first + int((times <= time if other < source else times < time).sum())
        return place


def _places(where: "slice | Rows") -> Rows:
    return np.arange(where.start, where.stop) if isinstance(where, slice) else where
