"""Where the time of a loader goes, as plain numbers for a logger."""

from time import perf_counter
from typing import Any, Iterator, TypeVar

from dataset_assets.core.counters import FETCHED, Counters

T = TypeVar("T")

MADE = ("samples", "bytes", "decoding_seconds", "collating_seconds")
SHARED = ("fetching_seconds", "cache_hits", "cache_misses")


class Stats:
    """What the steps of a loader took in this process. Threads that make batches add to `made`."""

    def __init__(self) -> None:
        self.made = Counters()
        self.steps, self.waited = 0, 0.0
        self._told = self._now()

    def next_of(self, batches: Iterator[T]) -> T | None:
        """Return the next batch, or None after the last one; count the time that it takes."""
        began = perf_counter()
        batch = next(batches, None)
        self.waited += perf_counter() - began
        self.steps += batch is not None
        return batch

    def since(self) -> dict[str, float]:
        """Return what came since the last call."""
        before, self._told = self._told, self._now()
        return {name: value - before[name] for name, value in self._told.items()}

    def _now(self) -> dict[str, float]:
        made, fetched = self.made.sums(), FETCHED.sums()
        return {
            "steps": float(self.steps),
            "waited_seconds": self.waited,
            **{name: made.get(name, 0.0) for name in MADE},
            **{name: fetched.get(name, 0.0) for name in SHARED},
        }


def bytes_of(values: Any) -> int:
    """Return the bytes of the arrays, texts and byte strings in a batch; other values count as none."""
    if isinstance(values, dict):
        return sum(map(bytes_of, values.values()))
    if isinstance(values, (list, tuple)):
        return sum(map(bytes_of, values))
    if isinstance(values, str):
        return len(values) if values.isascii() else len(values.encode("utf-8", "surrogatepass"))
    return len(values) if isinstance(values, bytes) else int(getattr(values, "nbytes", 0))
