"""Converts views to Hugging Face datasets, and makes views over them."""

from typing import Any

import numpy as np

from dataset_assets.core.extras import needed
from dataset_assets.formats.columns import Indices
from dataset_assets.reading.convert.arrow import to_arrow
from dataset_assets.reading.views.node import Origin
from dataset_assets.reading.views.operations import verb
from dataset_assets.reading.views.stored import Stored
from dataset_assets.reading.views.view import View


@verb
def to_hf(view: View) -> Any:
    """Return a Hugging Face Dataset; numbers of classes become its ClassLabel."""
    datasets = needed("datasets", "hf")
    table = to_arrow(view)
    features = datasets.Features.from_arrow_schema(table.schema)
    for stream, names in view.classes.items():
        if stream in table.column_names:
            # Not with `cast_column`, which copies all columns.
            at = table.column_names.index(stream)
            table = table.set_column(at, stream, table.column(stream).cast("int64"))
            features[stream] = datasets.ClassLabel(names=list(names))
    held = datasets.table.InMemoryTable(table)
    return datasets.Dataset(held, info=datasets.DatasetInfo(features=features), split=view.split)


def of_hf(dataset: Any, version: str | None = None) -> View:
    """Return a view over a Dataset of Hugging Face: each column is a stream."""
    columns = {name: HFValues(dataset, name) for name in dataset.column_names}
    classes = {name: tuple(kind.names) for name, kind in dataset.features.items() if hasattr(kind, "int2str")}
    split = str(dataset.split or "all").partition("[")[0]
    origin = Origin(f"hf.{dataset.info.dataset_name or 'dataset'}", split, "", None, {}, classes)
    return Stored(origin, columns, held=version)


class HFValues:
    """A column of a Hugging Face Dataset, decoded on access."""

    def __init__(self, dataset: Any, name: str) -> None:
        # `dataset` yields numbers as numpy's; `_plain` yields all values as they are.
        self.name, self.dataset = name, dataset.select_columns([name]).with_format("numpy")
        self._plain = dataset.select_columns([name]).with_format(None)
        kind = getattr(dataset.features[name], "dtype", "")
        self._numbers = str(kind).startswith(("int", "uint", "float", "bool"))
        self._floats = str(kind).startswith("float")

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, i: int) -> Any:
        if not 0 <= i < len(self):
            raise IndexError(f"value {i} of a column of {len(self)}")
        value = self._plain[i][self.name]
        # As in a block, a missing float is NaN.
        return float("nan") if value is None and self._floats else value

    def take(self, indices: Indices, out: Any = None) -> Any:
        return self._block(indices.tolist())

    def slice(self, lo: int, hi: int) -> Any:
        return self._block(slice(lo, hi))

    def _block(self, where: Any) -> Any:
        if self._numbers:
            block = self.dataset[where][self.name]
            # Integers with missing ones come as floats; they are returned as a list instead.
            if isinstance(block, np.ndarray) and (block.dtype.kind == "f") == self._floats:
                return block
        return list(self._plain[where][self.name])
