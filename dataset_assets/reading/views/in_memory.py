"""Views over what other libraries hold: a data frame, a table of Arrow, a dataset of torch or Hugging Face, a sequence.

What the source makes when it is asked for, the view does too: nothing is read before.
"""

import sys
from typing import Any, Iterator, Mapping, Sequence

import numpy as np

from dataset_assets.errors import SchemaError, UsageError
from dataset_assets.formats.columns import Columns, Indices
from dataset_assets.reading.views.blocks import as_columns, numbers_in
from dataset_assets.reading.views.document import described, operation
from dataset_assets.reading.views.rows import Where
from dataset_assets.reading.views.stored import Stored
from dataset_assets.reading.views.view import Origin, View


def view_from(source: Any, names: Sequence[str] | None = None) -> View:
    """Return a view over a source.

    Of a data frame, a table of Arrow or a dataset of Hugging Face, each column is a stream. A mapping is one of stream
    to values. Anything else is a sequence of samples, such as a map-style dataset of torch: `names` are the streams
    of samples that are tuples. Raises `UsageError` for what has no length or no numbers to ask by.
    """
    from dataset_assets.reading.views.memory import view_of

    if isinstance(source, View):
        return source
    if (pandas := sys.modules.get("pandas")) and isinstance(source, pandas.DataFrame):
        return _of_frame(source)
    if (arrow := sys.modules.get("pyarrow")) and isinstance(source, (arrow.Table, arrow.RecordBatch)):
        return _held({name: ArrowValues(source.column(name)) for name in source.schema.names})
    if (datasets := sys.modules.get("datasets")) and isinstance(source, datasets.Dataset):
        return _of_hf(source)
    if isinstance(source, Mapping):
        return view_of(**source)
    if hasattr(source, "__arrow_c_stream__") and not isinstance(source, Sequence):
        import pyarrow

        return view_from(pyarrow.table(source))
    if not hasattr(source, "__getitem__") or not hasattr(source, "__len__"):
        raise UsageError(
            f"A {type(source).__name__} has no length, or no samples by their numbers, so there is no view of it. Read "
            "it into a list first."
        )
    return Sourced(source, names)


@operation("sourced")
class Sourced(View):
    """The samples of any sequence, each asked for when it is read."""

    def __init__(self, source: Any, names: Sequence[str] | None = None) -> None:
        self.source, self.names = source, None if names is None else tuple(names)
        self._first: tuple[str, ...] | None = self.names

    def arguments(self) -> dict[str, Any]:
        # Enough to tell stacks apart by, not to make the view again.
        return {"source": described(self.source), "samples": len(self), "names": self.names}

    @classmethod
    def build(cls, arguments: Mapping[str, Any], parents: Sequence[View]) -> "Sourced":
        raise UsageError("The stack stands on a sequence in memory, which is in no document. Make it again from that.")

    def __len__(self) -> int:
        return len(self.source)

    @property
    def origin(self) -> Origin:
        return Origin(f"memory.{type(self.source).__name__.lower()}", "all", "")

    @property
    def roles(self) -> Mapping[str, str]:
        return {}

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        return {}

    @property
    def streams(self) -> tuple[str, ...]:
        """The names of the streams: those of the first sample. Without one, nobody knows."""
        if self._first is None:
            first = self.sample(0) if len(self) else {}
            self._first = tuple(first) if isinstance(first, Mapping) else ()
        return self._first

    @property
    def computed(self) -> bool:
        return True

    def sample(self, i: int) -> Any:
        return self._named(self.source[i])

    def each(self, where: Where) -> Iterator[Any]:
        rows = numbers_in(where)
        if hasattr(self.source, "__getitems__"):
            return map(self._named, self.source.__getitems__(list(rows)))
        return (self.sample(i) for i in rows)

    def rows(self, where: Where) -> Columns:
        found = self.samples(where)
        return as_columns(found, () if found else self.streams)

    def _named(self, sample: Any) -> Any:
        if self.names is None:
            return _plain(sample)
        values = tuple(sample) if isinstance(sample, (tuple, list)) else (sample,)
        if len(values) != len(self.names):
            raise SchemaError(f"A sample has {len(values)} values for the {len(self.names)} names {self.names}.")
        return {name: _plain(value) for name, value in zip(self.names, values)}

    def _line(self) -> str:
        return f"Sourced({len(self)}, {type(self.source).__name__})"


class ArrowValues:
    """A column of Arrow: numbers are arrays on its memory, NaN for a float that is missing; anything else is a list."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, i: int) -> Any:
        if not 0 <= i < len(self):
            raise IndexError(f"value {i} of a column of {len(self)}")
        value = self.values[i].as_py()
        # A float that is missing is NaN in a block, too.
        return float("nan") if value is None and self._floats else value

    def take(self, indices: Indices, out: Any = None) -> Any:
        import pyarrow

        found = self._block(self.values.take(pyarrow.array(indices)))
        if out is None:
            return found
        out[...] = found
        return out

    def slice(self, lo: int, hi: int) -> Any:
        return self._block(self.values.slice(lo, max(hi - lo, 0)))

    @property
    def _floats(self) -> bool:
        from pyarrow import types

        return bool(types.is_floating(self.values.type))

    def _block(self, values: Any) -> Any:
        from pyarrow import types

        number = types.is_integer(values.type) or types.is_floating(values.type)
        # By the nulls of all, so that each block is of one kind.
        if not number or self.values.null_count and not self._floats:
            return values.to_pylist()
        found = values.to_numpy() if hasattr(values, "chunks") else values.to_numpy(zero_copy_only=False)
        found = found.view()
        found.flags.writeable = False
        return found


class HFValues:
    """A column of a Dataset of Hugging Face, decoded when it is read."""

    def __init__(self, dataset: Any, name: str) -> None:
        # Decoded values as numpy's where they are numbers; as they are otherwise.
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
        # A float that is missing is NaN in a block, too.
        return float("nan") if value is None and self._floats else value

    def take(self, indices: Indices, out: Any = None) -> Any:
        return self._block(indices.tolist())

    def slice(self, lo: int, hi: int) -> Any:
        return self._block(slice(lo, hi))

    def _block(self, where: Any) -> Any:
        if self._numbers:
            found = self.dataset[where][self.name]
            # Integers among which some are missing come as floats; then as they are.
            if isinstance(found, np.ndarray) and (found.dtype.kind == "f") == self._floats:
                return found
        return list(self._plain[where][self.name])


def _of_frame(frame: Any) -> View:
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        raise SchemaError(f"The frame has two columns of one name among {', '.join(names)}. Rename one.")
    columns = {}
    for k, name in enumerate(names):
        series = frame.iloc[:, k]
        # Of numpy's own types pandas keeps an array; text and categories are Arrow's in any case.
        plain = isinstance(series.dtype, np.dtype) and series.dtype.kind in "biufmM"
        columns[name] = series.to_numpy() if plain else _of_objects(series)
    return _held(columns)


def _of_objects(series: Any) -> Any:
    import pyarrow

    try:
        return ArrowValues(pyarrow.chunked_array([pyarrow.array(series)]))
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, pyarrow.ArrowNotImplementedError):
        # What Arrow has no type for, such as arrays of several axes, stays as it is.
        return list(series)


def _of_hf(dataset: Any) -> View:
    columns = {name: HFValues(dataset, name) for name in dataset.column_names}
    classes = {name: tuple(kind.names) for name, kind in dataset.features.items() if hasattr(kind, "int2str")}
    split = str(dataset.split or "all").partition("[")[0]
    return Stored(Origin(f"hf.{dataset.info.dataset_name or 'dataset'}", split, "", None, {}, classes), columns)


def _held(columns: Mapping[str, Any]) -> View:
    from dataset_assets.reading.views.memory import column_in_memory

    ready = (ArrowValues, HFValues)
    held = {name: values if isinstance(values, ready) else column_in_memory(values) for name, values in columns.items()}
    return Stored(Origin("memory", "all", ""), held)


def _plain(value: Any) -> Any:
    """Return a value with arrays for torch's tensors, on their memory; a tensor of one number is that number."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        found = value.detach().cpu().numpy()
        return found.item() if found.ndim == 0 else _read_only(found)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _read_only(found: Any) -> Any:
    found.flags.writeable = False
    return found
