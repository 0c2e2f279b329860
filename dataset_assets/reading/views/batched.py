"""Batched: each sample is a block of the parent's samples."""

import operator
from functools import cached_property
from typing import Any, Iterator, Self, Sequence

from dataset_assets.errors import UsageError
from dataset_assets.formats.columns import Columns
from dataset_assets.reading.views.blocks import numbers_in, owned, some_of, with_streams
from dataset_assets.reading.views.forms import Forms
from dataset_assets.reading.views.node import Traceable
from dataset_assets.reading.views.operations import operation
from dataset_assets.reading.views.rows import Where
from dataset_assets.reading.views.view import View


@operation("batch")
class Batched(View):
    """Blocks of the parent's samples; element i is a mapping of stream to the values of batch i."""

    # Batches are parts of larger blocks than samples are: from a thousand files a small one takes no less time.
    _block_bytes = 1 << 20

    def __init__(self, parent: View, n: int, drop_last: bool = False) -> None:
        if operator.index(n) < 1:
            raise UsageError(f"The size of a batch is {n}, which is too small. Give 1 or more.")
        self.parents = (parent,)
        self.parent, self.n, self.drop_last = parent, operator.index(n), drop_last

    def on(self, parent: View) -> Self:
        """Return batches of another epoch of the parent. They have the dtypes of these."""
        again = self._copied()
        again.parents, again.parent = (parent,), parent
        again.__dict__["_forms"] = self._forms
        return again

    def __len__(self) -> int:
        return len(self.parent) // self.n if self.drop_last else -(-len(self.parent) // self.n)

    @property
    def streams(self) -> tuple[str, ...]:
        return self.parent.streams

    @cached_property
    def computed(self) -> bool:
        return self.parent.computed

    @cached_property
    def _forms(self) -> Forms:
        return Forms(self.parent)

    def sample(self, i: int) -> dict[str, Any]:
        span = self._span(i)
        return self._made(self.parent.samples(span), i) if self.computed else _owned(self.parent.rows(span))

    def sample_of(self, streams: Sequence[str], i: int) -> dict[str, Any]:
        span = self._span(i)
        if self.computed:
            return self._made([some_of(sample, streams) for sample in self.parent.each(span)], i)
        return _owned(self.parent.rows_of(streams, span))

    def _made(self, samples: list[Any], i: int) -> dict[str, Any]:
        span = self._span(i)
        numbers = range(span.start, span.stop)
        found: dict[str, Any] = self._forms.batch([with_streams(sample) for sample in samples], numbers)
        return found

    def each(self, where: Where) -> Iterator[Any]:
        one_by_one = (self.sample(i) for i in numbers_in(where))
        if not isinstance(where, slice) or where.stop - where.start < 2 or not self._has_arrays:
            return one_by_one
        return self._together(where, one_by_one)

    @cached_property
    def _has_arrays(self) -> bool:
        return not self.computed and None not in self.parent._array_forms(self.parent.streams).values()

    def _together(self, where: slice, one_by_one: Iterator[Any]) -> Iterator[Any]:
        """Yield batches that are parts of one block: to read each by itself takes many times as long."""
        start, stop = where.start * self.n, self._span(where.stop - 1).stop
        try:
            block = _owned(self.parent.rows(slice(start, stop)))
        except Exception:  # it comes again when it is its batch's turn
            yield from one_by_one
            return
        for at in range(0, stop - start, self.n):
            yield {name: values[at : at + self.n] for name, values in block.items()}

    def rows(self, where: Where) -> Columns:
        return self.rows_of(self.streams, where)

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        batches = [self.sample_of(streams, i) for i in numbers_in(where)]
        return Columns({name: [batch[name] for batch in batches] for name in streams})

    def row_bytes(self, streams: Sequence[str] | None = None) -> float:
        return self.n * self.parent.row_bytes(streams)

    def arguments(self) -> dict[str, Any]:
        return {"n": self.n, "drop_last": self.drop_last}

    def traced(self, i: int) -> list[tuple[Traceable, int]]:
        span = self._span(i)
        return [stored for row in range(span.start, span.stop) for stored in self.parent.traced(row)]

    def _span(self, i: int) -> slice:
        return slice(i * self.n, min((i + 1) * self.n, len(self.parent)))

    def _stream(self, name: str) -> str:
        return self.parent._stream(name)


def _owned(rows: Columns) -> dict[str, Any]:
    return {name: owned(block) for name, block in rows.items()}
