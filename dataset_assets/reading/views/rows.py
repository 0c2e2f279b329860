"""Which rows stand at some places of an order, and orders of orders: a range stays a range where it can."""

from functools import cached_property
from typing import Any, Protocol, cast

import numpy as np

from dataset_assets.formats.columns import Indices

Where = slice | Indices
"""Some rows of a view: `slice(lo, hi)` with 0 <= lo <= hi <= len, or an array of numbers from 0 up to len."""

# An order of no more rows is kept once it was computed: it takes 8 MiB, and a row of it no time.
KEPT = 1 << 20


class Computed(Protocol):
    """An order that is computed where it is read, such as a `Permutation`."""

    def __len__(self) -> int: ...

    def rows(self, where: Where) -> Indices:
        """Return which rows stand at some places."""
        ...


Order = range | Indices | Computed


class Chain:
    """Orders of orders, of which some are computed: the last one says what is asked of the one before it."""

    def __init__(self, *orders: Order) -> None:
        self.orders = orders

    def __len__(self) -> int:
        return len(self.orders[-1])

    def __getitem__(self, i: int) -> int:
        return int(self._kept[i] if len(self) <= KEPT else self._computed(np.array([i]))[0])

    def rows(self, where: Where) -> Indices:
        """Return which rows stand at some places."""
        return self._kept[where] if len(self) <= KEPT else self._computed(where)

    @cached_property
    def _kept(self) -> Indices:
        return self._computed(slice(0, len(self)))

    def _computed(self, where: Where) -> Indices:
        for order in reversed(self.orders):
            where = in_order(order, where)
        return np.arange(where.start, where.stop) if isinstance(where, slice) else where

    def __getstate__(self) -> dict[str, Any]:
        # What was computed is not sent to another process, which can do so too.
        return {"orders": self.orders}


def in_order(order: Order, where: Where) -> Where:
    """Return which of the parent's rows stand at some places of an order."""
    if isinstance(order, np.ndarray):
        return order[where]
    if not isinstance(order, range):
        return order.rows(where)
    if isinstance(where, slice):
        part = order[where]
        return slice(part.start, max(part.start, part.stop)) if part.step == 1 else as_array(part)
    return (order.start + _step(order) * where).astype(np.intp)


def composed(first: Order, then: Order) -> Order:
    """Return the order that asks `first` for what stands at the places `then`.

    >>> composed(range(10, 20), range(8, 2, -2))
    range(18, 12, -2)
    """
    lower, upper = _steps(first), _steps(then)
    if not isinstance(lower[-1], (range, np.ndarray)) or not isinstance(upper[0], (range, np.ndarray)):
        return Chain(*lower, *upper)
    middle = _merged(lower[-1], upper[0])
    return Chain(*lower[:-1], middle, *upper[1:]) if len(lower) + len(upper) > 2 else middle


def lazy(order: Order) -> range | Indices | Chain:
    """Return an order that, if it is computed, is kept once it was read."""
    return order if isinstance(order, (range, np.ndarray, Chain)) else Chain(order)


def as_array(order: range) -> Indices:
    """Return a range as an array."""
    step = _step(order)
    # The end of a range may lie beyond 64 bits, its members do not.
    return np.arange(order[0], order[-1] + step, step, dtype=np.intp) if order else np.empty(0, np.intp)


def _step(order: range) -> int:
    # With one member the step does not matter, and may have more than 64 bits.
    return order.step if len(order) > 1 else 1


def order_of(indices: Any, size: int) -> range | Indices:
    """Return indices as an order of rows below `size`; a range stays one if its rows are there."""
    if isinstance(indices, range):
        if all(0 <= end < size for end in (*indices[:1], *indices[-1:])):
            return indices
        low, high = sorted((indices[0], indices[-1]))
        # Before it is made an array: it may have more rows than there is memory.
        if not -size <= low <= high < size:
            raise IndexError(f"samples {low} to {high} of a view of {size}")
    return checked(indices, size)


def checked(indices: Any, size: int) -> Indices:
    """Return indices as rows of a view of this size: a copy, so that the view does not change with them.

    Raises IndexError for rows that are not there, TypeError for what is neither integers nor booleans.
    """
    found = np.asarray(indices)
    if not found.size:
        found = found.astype(np.intp)
    if found.dtype.kind == "O" and found.ndim == 1 and all(type(one) is int for one in found.tolist()):
        raise IndexError(f"samples {min(found)} to {max(found)} of a view of {size}")
    if found.dtype.kind not in "iub" or found.ndim != 1:
        raise TypeError(f"a view is indexed by integers or booleans, not by {found.dtype} of shape {found.shape}")
    if found.dtype.kind == "b":
        if len(found) != size:
            raise IndexError(f"{len(found)} booleans for a view of {size}")
        return np.flatnonzero(found)
    if found.size and not -size <= int(found.min()) <= int(found.max()) < size:
        raise IndexError(f"samples {found.min()} to {found.max()} of a view of {size}")
    rows = found.astype(np.intp)
    rows[rows < 0] += size
    return rows


def _steps(order: Order) -> tuple[Order, ...]:
    return order.orders if isinstance(order, Chain) else (order,)


def _merged(first: range | Indices, then: range | Indices) -> range | Indices:
    if not isinstance(then, range):
        return cast(Indices, in_order(first, then))
    if isinstance(first, np.ndarray):
        return first[as_array(then)]
    start, step = first.start + first.step * then.start, first.step * then.step
    return range(start, start + step * len(then), step)
