"""Converts views to Hugging Face datasets, and makes views over them."""

from typing import Any

import numpy as np

from dataset_assets.core.extras import needed
from dataset_assets.formats.columns import Indices
from dataset_assets.formats.decoded import DecodedColumn
from dataset_assets.reading.convert.arrow import to_arrow
from dataset_assets.reading.views.node import Origin
from dataset_assets.reading.views.selected import Selected
from dataset_assets.reading.views.stored import Stored
from dataset_assets.reading.views.streams import Narrowed
from dataset_assets.reading.views.undecoded import encoded
from dataset_assets.reading.views.view import View


def to_hf(view: View) -> Any:
    """Return a Hugging Face Dataset; numbers of classes become its ClassLabel.

    Pictures and sounds of a stored view become its Image and Audio, over the bytes as they are stored.
    """
    datasets = needed("datasets", "hf")
    bytes_of, media = _as_stored(view)
    table = to_arrow(bytes_of)
    features = datasets.Features.from_arrow_schema(table.schema)
    for stream, names in view.classes.items():
        if stream in table.column_names:
            table = _with(table, stream, table.column(stream).cast("int64"))
            features[stream] = datasets.ClassLabel(names=list(names))
    for stream, kind in media.items():
        table = _with(table, stream, _files(table.column(stream)))
        features[stream] = {"image": datasets.Image, "audio": datasets.Audio}[kind]()
    held = datasets.table.InMemoryTable(table)
    return datasets.Dataset(held, info=datasets.DatasetInfo(features=features), split=view.split)


def _with(table: Any, stream: str, column: Any) -> Any:
    # Not with `cast_column`, which copies all columns.
    return table.set_column(table.column_names.index(stream), stream, column)


def _files(column: Any) -> Any:
    """Return bytes as the files that Hugging Face's Image and Audio store: the bytes, and no path."""
    import pyarrow

    parts = []
    for part in column.chunks:
        nothing = pyarrow.nulls(len(part), pyarrow.string())
        parts.append(pyarrow.StructArray.from_arrays([part.cast(pyarrow.binary()), nothing], ["bytes", "path"]))
    return pyarrow.chunked_array(parts, pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]))


def _as_stored(view: View) -> tuple[View, dict[str, str]]:
    """Return a view with the stored bytes of its pictures and sounds, and which of the two each stream is."""
    if isinstance(view, Selected):
        below, media = _as_stored(view.parent)
        return (Selected(below, view.order) if media else view), media
    if isinstance(view, Narrowed):
        below, media = _as_stored(view.parent)
        left = {name: kind for name, kind in media.items() if name in view.streams}
        return (below.only(*view.streams) if left else view), left
    columns = view.columns if isinstance(view, Stored) else {}
    decoded = {name: column for name, column in columns.items() if isinstance(column, DecodedColumn)}
    media = {name: column.kind.name for name, column in decoded.items() if column.kind.name in ("image", "audio")}
    return (encoded(view, *media) if media else view), media


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
