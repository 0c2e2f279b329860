"""Views: stackable, lazy sequences of samples."""

from typing import Any

import numpy as np

from dataset_assets.views.view import (
    Batched, Concatenated, Mapped, Narrowed, Opener, Origin, Selected, Stored, View, Zipped,
)

__all__ = [
    "Batched", "Concatenated", "Mapped", "Narrowed", "Opener", "Origin", "Selected", "Stored", "View", "Zipped", "view_of",
]


def view_of(**columns: Any) -> View:
    """Return a view over values in memory: arrays, or lists of equal length.

    >>> view_of(label=[5, 0, 4])[-1]
    {'label': 4}
    """
    from dataset_assets.formats.array import ArrayColumn
    from dataset_assets.samples import Columns

    held: dict[str, Any] = {}
    for name, values in Columns(columns).items():
        rows = np.asarray(values) if not isinstance(values, list) or _numbers(values) else None
        held[name] = ArrayColumn(rows) if rows is not None else ListColumn(values)
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


def _numbers(values: list[Any]) -> bool:
    return all(isinstance(value, (int, float, np.generic)) for value in values)
