"""Reading batches of a view: stored arrays into pooled memory, and computed samples one by one."""

from typing import Any, Container, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.core.permutation import Rows
from dataset_assets.formats.columns import Chained
from dataset_assets.loader.arguments import known_stream
from dataset_assets.loader.buffer_pool import Pool
from dataset_assets.loader.output import changed
from dataset_assets.loader.page_cache import Paging
from dataset_assets.reading.views import Narrowed, Selected, Stored, View
from dataset_assets.reading.views.blocks import as_columns, owned, stacked
from dataset_assets.reading.views.rows import Order, Where, in_order

ROWS = 1 << 12


class Reader:
    """Reads blocks of a view's values, of the caller's own; `copy=False` gives read-only ones on the stored bytes.

    Values of any length of the streams that are `copied` anyway, by whoever takes them, may lie there too.
    """

    def __init__(self, view: View, pool: Pool, copy: bool, copied: Container[str] = ()) -> None:
        self.view, self.pool, self.copy, self.copied = view, pool, copy, copied
        self.stored, self.orders, self.streams = below(view)
        columns = {name: self.stored.columns[name] for name in self.streams} if self.stored is not None else {}
        self.waits = [column for column in columns.values() if hasattr(column, "expect")]
        """Columns whose files may have to be fetched first."""
        self._mapped = [mapped(column) for column in columns.values() if column not in self.waits]
        self._paging: Paging | None = None
        # To look at what a remote column is like, a file of it would be fetched, and perhaps not the one that is next.
        self._empty = {name: None if column in self.waits else column.slice(0, 0) for name, column in columns.items()}

    def begin(self) -> bool:
        """Look what of the stored bytes is not in memory; say whether rows are worth being `ahead` of."""
        self._paging = Paging(self._mapped)
        return self._paging.active

    def ahead(self, rows: Where) -> None:
        """Have the stored bytes of some rows read by the disk."""
        if self._paging and self._paging.active:
            for order in self.orders:
                rows = in_order(order, rows)
            self._paging.expect(rows)

    def close(self) -> None:
        """Read nothing ahead any more."""
        if self._paging:
            self._paging.close()

    def expect(self, rows: Where) -> None:
        """Say that some rows are read next, in about this order."""
        for order in self.orders:
            rows = in_order(order, rows)
        for column in self.waits:
            column.expect(rows)

    def block(self, rows: Where) -> dict[str, Any]:
        """Return the values at some rows, by stream."""
        if self.stored is None:
            found = dict(self.view.rows(rows))
            return {name: owned(block) for name, block in found.items()} if self.copy else found
        for order in self.orders:
            rows = in_order(order, rows)
        if not self.copy and isinstance(rows, slice):
            return dict(self.stored.rows_of(self.streams, rows))
        columns = self.stored.columns
        return {name: self._gathered(name, columns[name], rows) for name in self.streams}

    def computed(self, rows: Where, at: "At") -> Any:
        """Return the samples at some rows as a batch, saying `at` which row it is; each is made when it is its turn."""
        wanted = numbers(rows)
        if not wanted and len(self.view):  # of a rank that nothing is left for: what is in a batch, a sample shows
            return changed(self.computed(slice(0, 1), at), lambda values: values[:0])
        samples, each = [], iter(self.view.each(rows))
        for at.row in wanted:
            samples.append(next(each))
        at.row = None
        return batch_of(samples, self.view)

    def _gathered(self, name: str, column: Any, where: Where) -> Any:
        """Return a column's values at some rows: in pooled memory, if they are arrays of one shape."""
        like = self._empty[name]
        if not isinstance(like, np.ndarray) or like.dtype.hasobject:
            found = column.slice(where.start, where.stop) if isinstance(where, slice) else column.take(where)
            if like is None and isinstance(found, np.ndarray):
                # Of a remote column the first block tells.
                self._empty[name] = np.empty((0, *found.shape[1:]), found.dtype)
            return found if name in self.copied else owned(found)
        count = where.stop - where.start if isinstance(where, slice) else len(where)
        if isinstance(where, slice):
            block = column.slice(where.start, where.stop)
            if not isinstance(block, np.ndarray):  # pictures some of which are damaged, and left out
                return owned(block)
            out = self.pool.array((count, *like.shape[1:]), like.dtype)
            np.copyto(out, block)
            return out
        # What the column returns: of damaged pictures it is a list, and not `out`.
        return column.take(where, self.pool.array((count, *like.shape[1:]), like.dtype))


class At:
    """Which row of the view is being made; None while it is none."""

    row: int | None = None


def mapped(column: Any) -> list[NDArray[Any]]:
    """Return the arrays of a column's files; none if these are not arrays."""
    found = [getattr(part, "rows", None) for part in (column.parts if isinstance(column, Chained) else [column])]
    arrays = [rows for rows in found if isinstance(rows, np.ndarray)]
    return arrays if len(arrays) == len(found) else []


def batch_of(samples: list[Any], view: View) -> Any:
    """Return samples as a batch: by stream if they are mappings, by place if they are tuples, else as one block."""
    if not samples or isinstance(samples[0], Mapping):
        found = as_columns(samples, () if samples else view.streams)
        return {name: owned(block) for name, block in found.items()}
    if isinstance(samples[0], tuple):
        return tuple(stacked(list(values)) for values in zip(*samples, strict=True))
    return stacked(samples)


def numbers(rows: Where) -> Sequence[int]:
    """Return rows as Python's integers."""
    return range(rows.start, rows.stop) if isinstance(rows, slice) else rows.tolist()


def below(view: View) -> tuple[Stored | None, list[Order], tuple[str, ...]]:
    """Return the stored split below a stack that only rearranges, the orders down to it, and the streams.

    None for another stack.
    """
    # The streams of a mapped view are those of its first sample, which is not made for this.
    top, orders = view, list[Order]()
    while isinstance(view, (Selected, Narrowed)):
        if isinstance(view, Selected):
            orders.append(view.order)
        view = view.parent
    return (view, orders, top.streams) if isinstance(view, Stored) else (None, [], ())


def lengths_of(view: View, stream: str) -> Rows:
    """Return the length of each sample in a stream: of stored ones without reading them; 1 at least."""
    stored, orders, _ = below(view)
    known_stream(view, stream)
    column: Any = stored.columns[stream] if stored is not None else None
    if hasattr(column, "lengths"):
        where: Where = slice(0, len(view))
        for order in orders:
            where = in_order(order, where)
        found = column.lengths()[where]
    else:
        blocks = (slice(lo, min(lo + ROWS, len(view))) for lo in range(0, len(view), ROWS))
        found = np.array([length_of(value) for rows in blocks for value in view.rows_of([stream], rows)[stream]])
    lengths: Rows = np.maximum(found.astype(np.intp), 1)
    return lengths


def length_of(value: Any) -> int:
    """Return the numbers of an array, the UTF-8 bytes of a text, the bytes of a byte string, the items of a list.

    >>> length_of(np.zeros((2, 3))), length_of("é"), length_of(b"abc"), length_of(7)
    (6, 2, 3, 1)
    """
    if isinstance(value, np.ndarray):
        return int(value.size)
    if isinstance(value, str):
        return len(value.encode())
    return len(value) if hasattr(value, "__len__") else 1


def frozen(values: Any) -> Any:
    """Return an array as one that cannot be written in; anything else as it is."""
    if not isinstance(values, np.ndarray) or not values.flags.writeable:
        return values
    view: NDArray[Any] = values.view()
    view.flags.writeable = False
    return view
