"""Steps: cuts the order of an epoch into batches, the same number for each rank.

A position counts the samples of the epoch's order over all ranks. The batches after a position depend on nothing
else, so resuming costs nothing, and a different number of ranks can resume.
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
    """A rank's batch: places `lo` to `hi` of the order, and the position after this step of all ranks."""

    lo: int
    hi: int
    after: int


@dataclass(frozen=True)
class Budget:
    """A batch size by length: as many samples, in order, as their lengths in a stream add up to at most `size`.

    The length is the size of an array, the UTF-8 bytes of a text, the bytes of a byte string, and at least 1.
    """

    size: int
    stream: str

    def __post_init__(self) -> None:
        whole("The size of a budget", self.size, 1)


def steps_of(size: int, n: int, start: int, rank: int, world: int, last: Last) -> Iterator[Step]:
    """Yield a rank's steps of `size` samples for each rank, starting at a position.

    The samples of an incomplete last step are shared evenly ("keep"), left out ("drop"), or padded from the beginning
    of the order ("pad"): then the places continue after n.
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
    """Yield a rank's steps of batches that fit a budget; `lengths` returns the lengths at some places of the order.

    The batches are cut one after the other and dealt to the ranks in turn, so they are the same for any number of
    ranks. In an incomplete last step some ranks get an empty batch; or it is left out, or padded.
    """
    # Padding takes fewer than `world` further batches, of at most `size` samples each.
    borders = _borders(size, lengths, start, n + size * world if last == "pad" else n)
    while start < n:
        cuts = [start, *islice(borders, world)]
        if len(cuts) <= world and last == "drop":
            return
        start = cuts[-1]
        cuts += [start] * (world + 1 - len(cuts))
        yield Step(cuts[rank], cuts[rank + 1], min(start, n))


def _borders(size: int, lengths: Callable[[Rows], Rows], start: int, end: int) -> Iterator[int]:
    """Yield where each batch ends, starting at a border."""
    # Each sample counts at least 1, so a batch always ends within a window.
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
    """Yield every n-th step; the position after it is where the next of these begins."""
    while group := list(islice(steps, n)):
        yield group[0]._replace(after=group[-1].after)
