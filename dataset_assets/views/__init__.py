"""Views: stackable, lazy sequences of samples."""

from typing import Any

import numpy as np

from dataset_assets.views.view import (
    Batched,
    Concatenated,
    Mapped,
    Narrowed,
    Opener,
    Origin,
    Selected,
    Stored,
    View,
    Zipped,
)

__all__ = [
    "Batched",
    "Concatenated",
    "Mapped",
    "Narrowed",
    "Opener",
    "Origin",
    "Selected",
    "Stored",
    "View",
    "Zipped",
    "view_of",
]


def view_of(**columns: Any) -> View:
    """Return a view over values in memory: arrays, arrow tables, or lists of equal length. Arrays become read-only.

    >>> view_of(label=[5, 0, 4])[-1]
    {'label': 4}
    """
    from dataset_assets.samples import Columns

    held = {name: _column(values) for name, values in Columns(columns).items()}
    return Stored(Origin("memory", "all", ""), held)


class ListColumn:
    """Any Python values, as a column."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, i: int) -> Any:
        return self.values[i]

    def take(self, indices: Any, out: Any = None) -> list[Any]:
        return [self.values[i] for i in indices.tolist()]

    def slice(self, lo: int, hi: int) -> list[Any]:
        return self.values[lo:hi]


def _column(values: Any) -> Any:
    from dataset_assets.formats.array import ArrayColumn
    from dataset_assets.formats.table import TableColumn
    from dataset_assets.views.blocks import stacked

    if hasattr(values, "to_batches"):
        return TableColumn(values)
    if isinstance(values, (list, tuple)):
        # Arrays in a list stay apart: who wants them as one gives one.
        numbers = values and not isinstance(values[0], np.ndarray)
        values = stacked(list(values)) if numbers else list(values)
    else:
        values = np.asarray(values)
    if isinstance(values, list) or values.dtype.hasobject:
        return ListColumn([_read_only(value) for value in values])
    return ArrayColumn(_read_only(values))


def _read_only(value: Any) -> Any:
    """Return an array as one that cannot be written in, so that no sample or batch reaches the caller's."""
    if not isinstance(value, np.ndarray):
        return value
    view = value.view()
    view.flags.writeable = False
    return view
