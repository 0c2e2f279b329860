"""Cached: computes samples once and keeps them in memory."""

from functools import cached_property
from typing import Any, Iterator, Mapping, Sequence

import numpy as np

from dataset_assets.formats.columns import Columns
from dataset_assets.reading.views.blocks import as_columns, numbers_in, some_of
from dataset_assets.reading.views.forms import blocks_of
from dataset_assets.reading.views.in_memory import ListColumn, column_in_memory
from dataset_assets.reading.views.operations import operation
from dataset_assets.reading.views.rows import Where
from dataset_assets.reading.views.stored import Stored
from dataset_assets.reading.views.view import View


@operation("cache")
class Cached(View):
    """The parent's samples in memory. The first read loads all of them."""

    _whole = True

    def __init__(self, parent: View) -> None:
        self.parents = (parent,)
        self.parent = parent

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def streams(self) -> tuple[str, ...]:
        return self.parent.streams

    @property
    def declared(self) -> Mapping[Any, Any]:
        return self.parent.declared

    @property
    def computed(self) -> bool:
        # Computed samples are kept one by one; blocks of them would not be faster.
        return self.parent.computed

    @cached_property
    def _blocks(self) -> Stored:
        """The values of a view that is read in blocks."""
        if isinstance(self.parent, Cached):
            return self.parent._blocks  # as in a document of an earlier release
        blocks = self.parent.rows(slice(0, len(self)))
        kept = {name: ListColumn(list(v)) if isinstance(v, list) else v for name, v in blocks.items()}
        columns = {name: v if isinstance(v, ListColumn) else column_in_memory(_copied(v)) for name, v in kept.items()}
        return Stored(self.origin, columns)

    @cached_property
    def _samples(self) -> list[Any]:
        """The samples of a view that computes each of them."""
        if isinstance(self.parent, Cached):
            return self.parent._samples
        return [_frozen(sample) for sample in self.parent]

    def sample(self, i: int) -> Any:
        return _shared(self._samples[i]) if self.computed else self._blocks.sample(i)

    def rows(self, where: Where) -> Columns:
        if self.computed:
            samples = self.samples(where)
            return as_columns(samples, () if samples else self.streams, blocks_of(self, numbers_in(where)))
        return self._blocks.rows(where)

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        if self.computed:
            samples = [some_of(sample, streams) for sample in self.each(where)]
            return as_columns(samples, streams, blocks_of(self, numbers_in(where)))
        return self._blocks.rows_of(streams, where) if len(self) else self.parent.rows_of(streams, where)

    def each(self, where: Where) -> Iterator[Any]:
        if not self.computed:
            return super().each(where)
        samples = self._samples
        return (_shared(samples[i]) for i in numbers_in(where))

    def _stream(self, name: str) -> str:
        return self.parent._stream(name)

    def __getstate__(self) -> dict[str, Any]:
        # Another process reads the samples again: it may need only a few, and a forked one has them already.
        return {name: value for name, value in self.__dict__.items() if name not in ("_blocks", "_samples")}


def _copied(block: Any) -> Any:
    return block.copy() if isinstance(block, np.ndarray) else block


def _frozen(value: Any) -> Any:
    """Return a sample with read-only arrays, so that no reader can change what the next one gets."""
    if isinstance(value, np.ndarray):
        array = value.view()
        array.flags.writeable = False
        return array
    if type(value) is tuple:
        return tuple(map(_frozen, value))
    return {name: _frozen(item) for name, item in value.items()} if type(value) is dict else value


def _shared(sample: Any) -> Any:
    return dict(sample) if type(sample) is dict else sample
