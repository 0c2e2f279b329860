"""Selected: reorders or selects samples by arithmetic on row numbers."""

from typing import Any, Iterator, Mapping, Self, Sequence

import numpy as np

from dataset_assets.formats.columns import Columns, Indices
from dataset_assets.reading.views.forms import KEPT
from dataset_assets.reading.views.node import Traceable
from dataset_assets.reading.views.operations import operation
from dataset_assets.reading.views.rows import Chain, Order, Where, as_array, composed, in_order, lazy
from dataset_assets.reading.views.view import Subset, View


@operation("select")
class Selected(Subset):
    """The parent's samples in any order, with samples left out or repeated.

    A stack of such views reads directly from the first view below that is not one: `parent`, in the order `order`.
    `own` is the order of this view alone.
    """

    parent: View
    order: range | Indices | Chain

    def __init__(self, parent: View, order: Order) -> None:
        self.own = order
        self._stand((parent,))

    @property
    def declared(self) -> Mapping[Any, Any]:
        return self.parent.declared

    def _stand(self, parents: Sequence[View]) -> None:
        self.parents = tuple(parents)
        base = self._base()
        if isinstance(base, Selected):
            self.parent, self.order = base.parent, lazy(composed(base.order, self.own))
        else:
            self.parent, self.order = base, lazy(self.own)

    def _base(self) -> View:
        """Return the view whose rows the order selects."""
        return self.parents[0]

    def on(self, parents: Sequence[View]) -> Self:
        """Return the same order on different views of the same lengths."""
        again = self._copied()
        again.__dict__.pop(KEPT, None)
        again._stand(parents)
        return again

    @property
    def indices(self) -> Indices:
        """The numbers of these samples in the view below, as a new array."""
        found = in_order(self.own, slice(0, len(self.own)))
        return as_array(range(found.start, found.stop)) if isinstance(found, slice) else np.array(found)

    def __len__(self) -> int:
        return len(self.order)

    @property
    def streams(self) -> tuple[str, ...]:
        return self.parent.streams

    def arguments(self) -> dict[str, Any]:
        return {"order": self.own}

    @classmethod
    def build(cls, arguments: Mapping[str, Any], parents: Sequence[View]) -> View:
        # A document may come from anywhere, so its rows are checked like an argument of `select`.
        return parents[0].select(arguments["order"]) if cls is Selected else super().build(arguments, parents)

    def sample(self, i: int) -> Any:
        return self.parent.sample(int(self.order[i]))

    def sample_of(self, streams: Sequence[str], i: int) -> Any:
        return self.parent.sample_of(streams, int(self.order[i]))

    def traced(self, i: int) -> list[tuple[Traceable, int]]:
        return self.parent.traced(int(self.order[i]))

    def _array_forms(self, streams: Sequence[str]) -> Mapping[str, Any]:
        return self.parent._array_forms(streams)

    def rows(self, where: Where) -> Columns:
        return self.parent.rows(in_order(self.order, where))

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        return self.parent.rows_of(streams, in_order(self.order, where))

    def each(self, where: Where) -> Iterator[Any]:
        return self.parent.each(in_order(self.order, where))

    def _selected(self, order: Order) -> View:
        # Slices of slices are merged into one.
        return Selected(self.parents[0], composed(self.own, order)) if type(self) is Selected else Selected(self, order)

    def _stream(self, name: str) -> str:
        return self.parent._stream(name)
