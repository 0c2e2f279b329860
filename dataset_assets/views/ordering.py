"""Which rows stand at some places of an order, and orders of orders: a range stays a range where it can."""

from typing import cast

import numpy as np

from dataset_assets.samples import Indices

Where = slice | Indices
"""Some rows of a view: `slice(lo, hi)` with 0 <= lo <= hi <= len, or an array of numbers from 0 up to len."""
Order = range | Indices


def in_order(order: Order, where: Where) -> Where:
    """Return which of the parent's rows stand at some places of an order."""
    if isinstance(order, np.ndarray):
        return order[where]
    if isinstance(where, slice):
        part = order[where]
        return slice(part.start, max(part.start, part.stop)) if part.step == 1 else as_array(part)
    return (order.start + order.step * where).astype(np.intp)


def composed(first: Order, then: Order) -> Order:
    """Return the order that asks `first` for what stands at the places `then`.

    >>> composed(range(10, 20), range(8, 2, -2))
    range(18, 12, -2)
    """
    if not isinstance(then, range):
        return cast(Indices, in_order(first, then))
    if isinstance(first, np.ndarray):
        return first[as_array(then)]
    start, step = first.start + first.step * then.start, first.step * then.step
    return range(start, start + step * len(then), step)


def as_array(order: range) -> Indices:
    """Return a range as an array."""
    return np.arange(order.start, order.stop, order.step).astype(np.intp, copy=False)
