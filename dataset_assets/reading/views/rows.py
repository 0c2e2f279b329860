"""Orders: maps places to rows, and composes orders. A range stays a range where possible."""

from functools import cached_property
from typing import Any, Protocol, cast

import numpy as np

from dataset_assets.formats.columns import Indices

Where = slice | Indices
"""Some rows of a view: `slice(lo, hi)` with 0 <= lo <= hi <= len, or an array of numbers from 0 to len - 1."""

# A computed order of up to this many rows (8 MiB) is kept in memory.
KEPT = 1 << 20
# Of a longer one, who reads on from place to place gets this many at once: a few take as long as many.
WINDOW = 1 << 15


class Computed(Protocol):
    """An order that is computed on access, such as a `Permutation`."""

    def __len__(self) -> int: ...

    def rows(self, where: Where) -> Indices:
        """Return the rows at some places."""
        ...


Order = range | Indices | Computed


class Chain:
    """A composition of orders, some of them computed: the rows of each order are the places in the one before it."""

    _window: tuple[int, Indices] = (0, np.empty(0, np.intp))
    """Where the rows that were read last begin, and these rows."""

    def __init__(self, *orders: Order) -> None:
        self.orders = orders

    def __len__(self) -> int:
        return len(self.orders[-1])

    def __getitem__(self, i: int) -> int:
        return int(self._kept[i] if len(self) <= KEPT else self._computed(np.array([i]))[0])

    def rows(self, where: Where) -> Indices:
        """Return the rows at some places."""
        if len(self) <= KEPT:
            return self._kept[where]
        return self._in_window(where) if isinstance(where, slice) else self._computed(where)

    def _in_window(self, where: slice) -> Indices:
        lo, rows = self._window
        if not lo <= where.start <= where.stop <= lo + len(rows):
            reads_on = lo <= where.start <= lo + len(rows)
            end = max(where.stop, min(where.start + WINDOW, len(self))) if reads_on else where.stop
            lo, rows = where.start, self._computed(slice(where.start, end))
            self._window = lo, rows
        return rows[where.start - lo : where.stop - lo]

    @cached_property
    def _kept(self) -> Indices:
        return self._computed(slice(0, len(self)))

    def _computed(self, where: Where) -> Indices:
        for order in reversed(self.orders):
            where = in_order(order, where)
        return np.arange(where.start, where.stop) if isinstance(where, slice) else where

    def __getstate__(self) -> dict[str, Any]:
        # Another process computes the order again, which is faster than to send it.
        return {"orders": self.orders}


def in_order(order: Order, where: Where) -> Where:
    """Return the parent's rows at some places of an order."""
    if isinstance(order, np.ndarray):
        return order[where]
    if not isinstance(order, range):
        return order.rows(where)
    if isinstance(where, slice):
        part = order[where]
        return slice(part.start, max(part.start, part.stop)) if part.step == 1 else as_array(part)
    return (order.start + _step(order) * where).astype(np.intp)


def composed(first: Order, then: Order) -> Order:
    """Return the composition of two orders: the rows of `first` at the places `then`.

    >>> composed(range(10, 20), range(8, 2, -2))
    range(18, 12, -2)
    """
    lower, upper = _steps(first), _steps(then)
    if not isinstance(lower[-1], (range, np.ndarray)) or not isinstance(upper[0], (range, np.ndarray)):
        return Chain(*lower, *upper)
    middle = _merged(lower[-1], upper[0])
    return Chain(*lower[:-1], middle, *upper[1:]) if len(lower) + len(upper) > 2 else middle


def lazy(order: Order) -> range | Indices | Chain:
    """Return an order that keeps its rows after the first access, if it is computed."""
    return order if isinstance(order, (range, np.ndarray, Chain)) else Chain(order)


def as_array(order: range) -> Indices:
    """Return a range as an array."""
    step = _step(order)
    # The end of a range may exceed 64 bits, though its members do not.
    return np.arange(order[0], order[-1] + step, step, dtype=np.intp) if order else np.empty(0, np.intp)


def _step(order: range) -> int:
    # With one member the step does not matter, and may exceed 64 bits.
    return order.step if len(order) > 1 else 1


def order_of(indices: Any, size: int) -> range | Indices:
    """Return indices as an order of rows below `size`; a range stays a range if its rows exist."""
    if isinstance(indices, range):
        if all(0 <= end < size for end in (*indices[:1], *indices[-1:])):
            return indices
        low, high = sorted((indices[0], indices[-1]))
        # Checked before it becomes an array, which may not fit in memory.
        if not -size <= low <= high < size:
            raise IndexError(f"samples {low} to {high} of a view of {size}")
    return checked(indices, size)


def checked(indices: Any, size: int) -> Indices:
    """Return indices as an array of rows of a view of this size; it copies them, so later changes have no effect.

    Raises IndexError for rows that do not exist, TypeError for anything but integers or booleans.
    """
    array = np.asarray(indices)
    if not array.size:
        array = array.astype(np.intp)
    if array.dtype.kind == "O" and array.ndim == 1 and all(type(one) is int for one in array.tolist()):
        raise IndexError(f"samples {min(array)} to {max(array)} of a view of {size}")
    if array.dtype.kind not in "iub" or array.ndim != 1:
        raise TypeError(f"a view is indexed by integers or booleans, not by {array.dtype} of shape {array.shape}")
    if array.dtype.kind == "b":
        if len(array) != size:
            raise IndexError(f"{len(array)} booleans for a view of {size}")
        return np.flatnonzero(array)
    if array.size and not -size <= int(array.min()) <= int(array.max()) < size:
        raise IndexError(f"samples {array.min()} to {array.max()} of a view of {size}")
    rows = array.astype(np.intp)
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
