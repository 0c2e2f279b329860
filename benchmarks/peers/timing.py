"""Rates, each measured beside the limit's: one repeat of it, one of the system, and again."""

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

Epoch = Callable[[], Iterable[Any]]


def rate(epoch: Epoch, seconds: float, of_samples: bool, settled: bool = False) -> float:
    """Return samples a second over about this time; a short epoch begins again in it.

    The start of an epoch counts too, or if `settled` only what comes after the first batch.
    """
    began, found = time.perf_counter(), iter(epoch())
    done, since = 0, began
    while True:
        count = len(list(islice(found, 512))) if of_samples else _rows(next(found, None))
        now = time.perf_counter()
        if not count:
            found = iter(epoch())
            continue
        if settled and since == began:
            since = now
            continue
        done += count
        if now - began > seconds:
            return done / (now - since)


def paired(
    limit: Epoch, system: Epoch, repeats: int, seconds: float, of_samples: bool, settled: bool
) -> dict[str, Any]:
    """Return the median rates, and median, least and most of the ratios of system to limit."""
    limits, systems = [], []
    for _ in range(repeats):
        with without_collector():
            limits.append(rate(limit, seconds, of_samples))
        with without_collector():
            systems.append(rate(system, seconds, of_samples, settled))
    ratios = [mine / other for mine, other in zip(systems, limits)]
    return {
        "rate": statistics.median(systems),
        "limit": statistics.median(limits),
        "ratio": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
    }


@contextmanager
def without_collector() -> Iterator[None]:
    """Turn the garbage collector off, as `timeit` does: its longest runs fell on every second measurement."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _rows(batch: Any) -> int:
    return 0 if batch is None else len(batch[-1])
