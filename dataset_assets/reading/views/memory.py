"""Values in memory, as stored columns are."""

from typing import Any, Sequence

import numpy as np

from dataset_assets.formats.columns import Columns
from dataset_assets.reading.views.blocks import stacked
from dataset_assets.reading.views.stored import Stored
from dataset_assets.reading.views.view import Origin, View


def view_of(source: Any = None, /, *, names: Sequence[str] | None = None, **columns: Any) -> View:
    """Return a view over values in memory: arrays, arrow tables, or lists of equal length. Arrays become read-only.

    Or over a source: a DataFrame, a table of Arrow, a dataset of torch or Hugging Face, a sequence of samples; it is
    read when the view is. `names` are the streams of samples that are tuples.

    >>> view_of(label=[5, 0, 4])[-1]
    {'label': 4}
    >>> view_of([(5, "five"), (0, "nil")], names=("label", "word"))[-1]
    {'label': 0, 'word': 'nil'}
    """
    if source is not None:
        from dataset_assets.reading.views.in_memory import view_from

        return view_from(source, names)
    if names is not None:
        columns["names"] = names
    held = {name: column_in_memory(values) for name, values in Columns(columns).items()}
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


def column_in_memory(values: Any) -> Any:
    """Return values as a column that cannot be written in."""
    from dataset_assets.formats.array import ArrayColumn
    from dataset_assets.formats.table import TableColumn

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
