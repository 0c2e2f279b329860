"""Orders over several sources: each row is of the sources one after the other, and is computed where it is asked for.

docs/orders.md specifies them, with vectors to check them by.
"""

import math
from functools import cached_property
from typing import Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.core.permutation import MOST_ROWS, Rows, hashed, keys_of
from dataset_assets.errors import UsageError, nearest

Times = NDArray[np.float64]
BLOCK = 1 << 12


class Repetition:
    """The rows 0 to n - 1, so many times over.

    >>> Repetition(3, 2).rows(slice(0, 6)).tolist()
    [0, 1, 2, 0, 1, 2]
    """

    def __init__(self, n: int, times: int) -> None:
        self.n, self.times = n, times

    def __len__(self) -> int:
        return self.n * self.times

    def rows(self, where: "slice | Rows") -> Rows:
        """Return which rows stand at some places."""
        return _places(where) % max(self.n, 1)


class Interleaving:
    """A row of each source in turn, each row once; a source that has no more is passed over.

    >>> Interleaving([1, 3]).rows(slice(0, 4)).tolist()
    [0, 1, 2, 3]
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = tuple(sizes)

    def __len__(self) -> int:
        return sum(self.sizes)

    def rows(self, where: "slice | Rows") -> Rows:
        """Return which rows stand at some places."""
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
        """Return, for each stretch in which the same sources take turns: its first round and place, and the sources."""
        sizes = np.array(self.sizes)
        rounds = [0, *np.unique(sizes[sizes > 0]).tolist()]
        sources = [np.flatnonzero(sizes > first) for first in rounds[:-1]]
        lengths = [(to - first) * len(playing) for first, to, playing in zip(rounds, rounds[1:], sources)]
        return rounds, np.cumsum([0, *lengths[:-1]]), sources

    @cached_property
    def _offsets(self) -> Rows:
        return np.cumsum([0, *self.sizes])[:-1]


class Mixture:
    """Rows of several sources, each with its share of every stretch, at random within it.

    The time of row j of source s is (j + u) / w, with its share w and a number u between 0 and 1 that is a keyed hash
    of j; rows are in the order of their times. So among the first n rows are n * w of each source, give or take one
    for each, and where a row is can be told without those before it. Raises `UsageError`.

    >>> [Mixture([8, 8], (0.25, 0.75), seed=0, stop="first").source(i) for i in range(8)]
    [0, 1, 1, 1, 1, 1, 1, 0]
    """

    def __init__(
        self, sizes: Sequence[int], weights: Sequence[float], seed: int, stop: str | int, epoch: int = 0
    ) -> None:
        if len(weights) != len(sizes) or not all(0 < weight < math.inf for weight in weights):
            raise UsageError(f"{len(sizes)} views have the weights {tuple(weights)}. Give a positive one for each.")
        if 0 in sizes:
            raise UsageError(f"View {list(sizes).index(0)} of those to mix has no samples. Leave it out.")
        if isinstance(stop, str) and stop not in ("first", "all"):
            raise UsageError(f"stop={stop!r} is no rule.{nearest(stop, ('first', 'all'))} Or give a number of samples.")
        self.sizes, self.stop = tuple(sizes), stop
        self.shares = [weight / math.fsum(weights) for weight in weights]
        self._keys = [keys_of(seed, epoch, f"mix {source}")[:2] for source in range(len(sizes))]
        self._offsets = np.cumsum([0, *sizes])
        self._size = self._length()
        if not 0 <= self._size <= MOST_ROWS:
            said = self._size if isinstance(stop, int) else "more"
            raise UsageError(f"A mixture has 0 to {MOST_ROWS} samples, not {said}. Give a number as stop.")

    def __len__(self) -> int:
        return self._size

    def rows(self, where: "slice | Rows") -> Rows:
        """Return which rows stand at some places."""
        if isinstance(where, slice):
            return self._window(where.start, where.stop)[0]
        rows = np.empty(len(where), np.intp)
        blocks = where // BLOCK
        for block in np.unique(blocks):
            mine, lo = blocks == block, int(block) * BLOCK
            rows[mine] = self._window(lo, min(lo + BLOCK, self._size))[0][where[mine] - lo]
        return rows

    def source(self, place: int) -> int:
        """Return which source the row at a place is of."""
        return int(self._window(place, place + 1)[1][0])

    def _window(self, lo: int, hi: int) -> tuple[Rows, Rows]:
        """Return the rows at the places from `lo` to `hi`, and their sources."""
        # At any time as many rows are past as the time says, give or take one for each source.
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
        # Stable, so that of equal times the first source's is first.
        order = np.argsort(np.concatenate(times), kind="stable")[lo - before : hi - before]
        which = source_of[order]
        return self._offsets[which] + number[order] % np.array(self.sizes)[which], which

    def _times(self, source: int, numbers: Rows) -> Times:
        chance = hashed(hashed(numbers.astype(np.uint32), self._keys[source][0]), self._keys[source][1])
        return (numbers + (chance + 0.5) / 2.0**32) / self.shares[source]

    def _length(self) -> int:
        if not isinstance(self.stop, str):
            return int(self.stop)
        # Only about, but far beyond what could be numbered.
        ends = [size / share if share else math.inf for size, share in zip(self.sizes, self.shares)]
        if (min if self.stop == "first" else max)(ends) > 2 * MOST_ROWS:
            return MOST_ROWS + 1
        if self.stop == "first":
            # The place of one that surely ends later may have more than 64 bits.
            latest = min(end * (size + 1) / size for end, size in zip(ends, self.sizes)) + 2 * len(ends) + 2
            early = [source for source, end in enumerate(ends) if end <= latest]
            return min(self._place(source, self.sizes[source]) for source in early)
        return max(self._place(source, size - 1) + 1 for source, size in enumerate(self.sizes))

    def _place(self, source: int, number: int) -> int:
        """Return how many rows stand before row `number` of a source."""
        time = self._times(source, np.array([number]))[0]
        place = 0
        for other, share in enumerate(self.shares):
            first = max(0, math.floor(time * share) - 2)
            times = self._times(other, np.arange(first, first + 5))
            place += first + int((times <= time if other < source else times < time).sum())
        return place


def _places(where: "slice | Rows") -> Rows:
    return np.arange(where.start, where.stop) if isinstance(where, slice) else where
