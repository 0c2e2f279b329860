"""Reads batches of a view: stored arrays into memory from the buffer pool, computed samples one by one."""

from typing import Any, Container, Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.core.counters import Counters
from dataset_assets.core.permutation import Rows
from dataset_assets.formats.columns import Chained
from dataset_assets.loader.arguments import known_stream
from dataset_assets.loader.buffer_pool import BufferPool
from dataset_assets.loader.output import changed
from dataset_assets.loader.page_cache import PageCache
from dataset_assets.reading.views import Narrowed, Selected, Stored, View
from dataset_assets.reading.views.blocks import owned
from dataset_assets.reading.views.forms import Forms
from dataset_assets.reading.views.rows import Order, Where, in_order

ROWS = 1 << 12


class Reader:
    """Reads blocks of a view's values. The caller owns them; with `copy=False` they are read-only, on the stored bytes.

    Values of varying length in the streams that the caller copies anyway (`copied`) may be on the stored bytes too.
    """

    def __init__(
        self,
        view: View,
        pool: BufferPool,
        copy: bool,
        copied: Container[str] = (),
        forms: Forms | None = None,
        spent: Counters | None = None,
    ) -> None:
        self.spent = spent or Counters()
        self.view, self.pool, self.copy, self.copied, self.forms = view, pool, copy, copied, forms or Forms(view)
        self.stored, self.orders, self.streams = below(view)
        columns = {name: self.stored.columns[name] for name in self.streams} if self.stored is not None else {}
        self.waits = [column for column in columns.values() if hasattr(column, "expect")]
        """The remote columns, whose files may have to be downloaded first."""
        self._mapped = [mapped(column) for column in columns.values() if column not in self.waits]
        self._page_cache: PageCache | None = None
        # The dtype of a remote column is not known yet: to read it would download a file that may not be needed next.
        self._empty = {name: None if column in self.waits else column.slice(0, 0) for name, column in columns.items()}

    def begin(self) -> bool:
        """Check which stored bytes are not in memory; return whether calls of `ahead` are useful."""
        self._page_cache = PageCache(self._mapped)
        return self._page_cache.active

    def ahead(self, rows: Where) -> None:
        """Start to read the stored bytes of some rows from the disk."""
        if self._page_cache and self._page_cache.active:
            for order in self.orders:
                rows = in_order(order, rows)
            self._page_cache.expect(rows)

    def close(self) -> None:
        """Stop reading ahead."""
        if self._page_cache:
            self._page_cache.close()

    def expect(self, rows: Where) -> None:
        """Tell remote columns that some rows are read next, in about this order."""
        for order in self.orders:
            rows = in_order(order, rows)
        for column in self.waits:
            column.expect(rows)

    def block(self, rows: Where) -> dict[str, Any]:
        """Return the values at some rows, by stream."""
        if self.stored is None:
            blocks = dict(self.view.rows(rows))
            return {name: owned(block) for name, block in blocks.items()} if self.copy else blocks
        for order in self.orders:
            rows = in_order(order, rows)
        if not self.copy and isinstance(rows, slice):
            return dict(self.stored.rows_of(self.streams, rows))
        columns = self.stored.columns
        return {name: self._gathered(name, columns[name], rows) for name in self.streams}

    def computed(self, rows: Where, at: "CurrentRow") -> Any:
        """Make the samples at some rows one by one and return them as a batch; `at` holds the row being made."""
        wanted = numbers(rows)
        if not wanted and len(self.view):  # an empty batch of a rank: its streams and dtypes are those of a sample
            return changed(self.computed(slice(0, 1), at), lambda values: values[:0])
        samples, each = [], iter(self.view.each(rows))
        for at.row in wanted:
            samples.append(next(each))
        at.row = None
        return self.forms.batch(samples, wanted, self.copied)

    def _gathered(self, name: str, column: Any, where: Where) -> Any:
        """Return a column's values at some rows, in memory from the pool if they are arrays of one shape."""
        like = self._empty[name]
        if not isinstance(like, np.ndarray) or like.dtype.hasobject:
            values = column.slice(where.start, where.stop) if isinstance(where, slice) else column.take(where)
            if like is None and isinstance(values, np.ndarray):
                # The first block of a remote column shows its dtype and shape.
                self._empty[name] = np.empty((0, *values.shape[1:]), values.dtype)
            return values if name in self.copied else owned(values)
        count = where.stop - where.start if isinstance(where, slice) else len(where)
        if isinstance(where, slice):
            block = column.slice(where.start, where.stop)
            if not isinstance(block, np.ndarray):  # a list, because some pictures are damaged
                return owned(block)
            out = self.pool.array((count, *like.shape[1:]), like.dtype)
            np.copyto(out, block)
            return out
        # Not always `out`: a column with damaged pictures returns a list.
        return column.take(where, self.pool.array((count, *like.shape[1:]), like.dtype))


class CurrentRow:
    """The row of the view that is being made, or None."""

    row: int | None = None


def mapped(column: Any) -> list[NDArray[Any]]:
    """Return the array of each file of a column, or an empty list if one is not an array."""
    parts = [getattr(part, "rows", None) for part in (column.parts if isinstance(column, Chained) else [column])]
    arrays = [rows for rows in parts if isinstance(rows, np.ndarray)]
    return arrays if len(arrays) == len(parts) else []


def numbers(rows: Where) -> Sequence[int]:
    """Return rows as Python integers."""
    return range(rows.start, rows.stop) if isinstance(rows, slice) else rows.tolist()


def below(view: View) -> tuple[Stored | None, list[Order], tuple[str, ...]]:
    """Return the stored split below a view that only reorders samples, the orders down to it, and the streams.

    The split is None if the view does more than that.
    """
    # view.streams of a mapped view would make its first sample, so it is not used here.
    top, orders = view, list[Order]()
    while isinstance(view, (Selected, Narrowed)):
        if isinstance(view, Selected):
            orders.append(view.order)
        view = view.parent
    return (view, orders, top.streams) if isinstance(view, Stored) else (None, [], ())


def lengths_of(view: View, stream: str) -> Rows:
    """Return the length of each sample in a stream, at least 1. Stored values are not read for this."""
    stored, orders, _ = below(view)
    known_stream(view, stream)
    column: Any = stored.columns[stream] if stored is not None else None
    if hasattr(column, "lengths"):
        where: Where = slice(0, len(view))
        for order in orders:
            where = in_order(order, where)
        lengths = column.lengths()[where]
    else:
        blocks = (slice(lo, min(lo + ROWS, len(view))) for lo in range(0, len(view), ROWS))
        lengths = np.array([length_of(value) for rows in blocks for value in view.rows_of([stream], rows)[stream]])
    at_least_one: Rows = np.maximum(lengths.astype(np.intp), 1)
    return at_least_one


def length_of(value: Any) -> int:
    """Return the size of an array, the UTF-8 bytes of a text, the bytes of a byte string, the items of a list, else 1.

    >>> length_of(np.zeros((2, 3))), length_of("é"), length_of(b"abc"), length_of(7)
    (6, 2, 3, 1)
    """
    if isinstance(value, np.ndarray):
        return int(value.size)
    if isinstance(value, str):
        return len(value.encode())
    return len(value) if hasattr(value, "__len__") else 1


def frozen(values: Any) -> Any:
    """Return a read-only view of an array, and any other value as it is."""
    if not isinstance(values, np.ndarray) or not values.flags.writeable:
        return values
    view: NDArray[Any] = values.view()
    view.flags.writeable = False
    return view
