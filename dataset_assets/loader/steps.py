"""Steps: how the order of an epoch is cut into batches, equally many for each rank.

A position is a number of samples of the epoch's order, counted over all ranks. What follows a position depends on it
alone, and not on how it was reached: so going on costs nothing, and may be done by another number of ranks.
"""

from dataclasses import dataclass
from itertools import islice
from typing import Callable, Iterator, Literal, NamedTuple

import numpy as np

from dataset_assets.core.permutation import Rows
from dataset_assets.loader.arguments import whole

Last = Literal["keep", "drop", "pad"]
WINDOW = 1 << 14


class Step(NamedTuple):
    """The places `lo` to `hi` of the order that are a rank's batch, and the position after the step of all ranks."""

    lo: int
    hi: int
    after: int


@dataclass(frozen=True)
class Budget:
    """As many samples a batch as their lengths in a stream fit into `size`, in the order they come.

    A length is that of the numbers of an array, the UTF-8 bytes of a text, the bytes of a byte string, and 1 at least.
    """

    size: int
    stream: str

    def __post_init__(self) -> None:
        whole("The size of a budget", self.size, 1)


def steps_of(size: int, n: int, start: int, rank: int, world: int, last: Last) -> Iterator[Step]:
    """Yield a rank's steps of `size` samples a rank, from a position on.

    What is left for the last step is shared evenly, left out, or filled up from the order's beginning: then places go
    on after n.
    """
    step = size * world
    whole = start + (n - start) // step * step
    for lo in range(start, whole, step):
        yield Step(lo + rank * size, lo + rank * size + size, lo + step)
    if whole >= n or last == "drop":
        return
    if last == "pad":
        yield Step(whole + rank * size, whole + rank * size + size, n)
    else:
        left = n - whole
        yield Step(whole + left * rank // world, whole + left * (rank + 1) // world, n)


def budget_steps(
    size: int, lengths: Callable[[Rows], Rows], n: int, start: int, rank: int, world: int, last: Last
) -> Iterator[Step]:
    """Yield a rank's steps of batches that fit a budget; `lengths` says those at some places of the order.

    The batches are cut one after the other and dealt to the ranks in turn, so they are the same for any number of
    ranks. Of an incomplete last step some ranks' batches are empty; or all are left out, or filled up.
    """
    # Filling up takes fewer than `world` batches more, of at most `size` samples each.
    borders = _borders(size, lengths, start, n + size * world if last == "pad" else n)
    while start < n:
        cuts = [start, *islice(borders, world)]
        if len(cuts) <= world and last == "drop":
            return
        start = cuts[-1]
        cuts += [start] * (world + 1 - len(cuts))
        yield Step(cuts[rank], cuts[rank + 1], min(start, n))


def _borders(size: int, lengths: Callable[[Rows], Rows], start: int, end: int) -> Iterator[int]:
    """Yield where each batch ends, from a border on."""
    # Each sample counts 1 at least, so a batch always ends within a window.
    window = max(WINDOW, size + 1)
    while start < end:
        places = np.arange(start, min(start + window, end))
        sums = np.cumsum(lengths(places))
        lo = 0
        while lo < len(places):
            hi = int(np.searchsorted(sums, size + (sums[lo - 1] if lo else 0), "right"))
            if hi == len(places) and start + hi < end:
                break
            yield start + hi
            lo = hi
        start += lo


def every_nth(steps: Iterator[Step], n: int) -> Iterator[Step]:
    """Yield every n-th step; the position after it is that of the next of these."""
    while group := list(islice(steps, n)):
        yield group[0]._replace(after=group[-1].after)
