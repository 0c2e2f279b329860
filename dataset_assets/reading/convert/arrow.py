"""Converts views to Arrow tables and batches, and makes views over tables. Copies only if the layouts differ."""

from typing import Any, Iterator, Mapping

import numpy as np

from dataset_assets.errors import SchemaError
from dataset_assets.formats.columns import Chained, Columns, Indices, spans
from dataset_assets.formats.members import Member
from dataset_assets.formats.spans import AsBytes, AsText, SpansColumn
from dataset_assets.reading.convert.tables import column_names
from dataset_assets.reading.views.in_memory import held
from dataset_assets.reading.views.operations import verb
from dataset_assets.reading.views.rows import Where
from dataset_assets.reading.views.selected import Selected
from dataset_assets.reading.views.stored import Stored
from dataset_assets.reading.views.view import View

# The largest batch of a reader.
ROWS = 1 << 16
BYTES = 8 << 20


@verb
def to_arrow(view: View) -> Any:
    """Return a table with a column for each stream, and for each field of a table.

    Numbers of a stored view, or of a slice of one, are not copied: the table uses the memory-mapped file. Arrays become
    lists of fixed size, nested if they have several axes. A field with the name of a stream, or of another table's
    field, gets the table's name as a prefix. Raises `SchemaError` for a value that has no Arrow type.
    """
    import pyarrow

    blocks = list(_pieces(view))
    tables = [table_of(block) for block in blocks]
    if len({str(table.schema) for table in tables}) == 1:
        return pyarrow.concat_tables(tables)
    # A block of only None has no type, and the types of other blocks may be wider.
    return pyarrow.concat_tables(tables, promote_options="permissive")


@verb
def arrow_reader(view: View) -> Any:
    """Return a reader of the view's batches. Each is read on access; all have the types of the first one."""
    import pyarrow

    step = min(max(int(BYTES / view.row_bytes()), 1), ROWS) if len(view) else 1
    first = table_of(view.rows(slice(0, min(step, len(view)))))

    def batches() -> Iterator[Any]:
        yield from first.to_batches()
        for lo in range(step, len(view), step):
            table = table_of(view.rows(slice(lo, min(lo + step, len(view)))))
            yield from table.cast(first.schema).to_batches()

    return pyarrow.RecordBatchReader.from_batches(first.schema, batches())


def _pieces(view: View) -> Iterator[Columns]:
    """Yield the view in blocks that need no copy: cut where a stream's files end."""
    where: Where = slice(0, len(view))
    stored, order = view, range(len(view))
    if isinstance(view, Selected) and isinstance(view.order, range) and view.order.step == 1 and len(view.order):
        stored, order = view.parent, view.order
    if not isinstance(stored, Stored):
        yield view.rows(where)
        return
    cuts = {order.start, order.stop}
    for column in stored.columns.values():
        if isinstance(column, Chained):
            cuts |= {int(start) for start in column.starts if order.start < start < order.stop}
    ends = sorted(cuts)
    for lo, hi in zip(ends, ends[1:]) if len(ends) > 1 else [(order.start, order.start)]:
        yield Columns({name: _on_the_map(column, lo, hi) for name, column in stored.columns.items()})


def _on_the_map(column: Any, lo: int, hi: int) -> Any:
    """Return some rows of a column as a block; text and bytes become Arrow arrays on the stored bytes."""
    import pyarrow

    if not isinstance(column, SpansColumn) or not isinstance(column.reader, (AsText, AsBytes)):
        return column.slice(lo, hi)
    text = isinstance(column.reader, AsText)
    kind = pyarrow.large_string() if text else pyarrow.large_binary()
    parts = []
    for chunk, (first, last) in spans(column.starts.tolist(), lo, hi):
        borders, data = column.chunk(chunk)
        buffers = [None, pyarrow.py_buffer(borders[first:]), pyarrow.py_buffer(data)]
        parts.append(pyarrow.Array.from_buffers(kind, last - first, buffers))
        # Users of an Arrow array rely on valid UTF-8.
        parts[-1].validate(full=text)
    return pyarrow.chunked_array(parts, kind)


def table_of(block: Mapping[str, Any]) -> Any:
    """Return a block of streams as a table. Raises `SchemaError` for a value that has no Arrow type."""
    import pyarrow

    arrays: dict[str, Any] = {}
    for name, (stream, field) in column_names(block).items():
        values = block[stream]
        arrays[name] = values.column(field) if field is not None else _array(stream, values)
    return pyarrow.table(arrays)


def _array(stream: str, values: Any) -> Any:
    """Return a block of a stream as an Arrow array."""
    import pyarrow

    if isinstance(values, pyarrow.ChunkedArray):
        return values
    if isinstance(values, np.ndarray) and not all(values.shape[1:]):
        raise SchemaError(
            f"Stream {stream} has empty arrays, of shape {values.shape[1:]}. Leave it out: view.only(...)."
        )
    try:
        if not isinstance(values, np.ndarray):
            return pyarrow.array(list(map(_listed, values)))
        # Arrow supports only the byte order of this machine.
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        if values.ndim == 1:
            return pyarrow.array(values)
        array = pyarrow.array(np.ascontiguousarray(values).reshape(-1))
        for size in reversed(values.shape[1:]):
            array = pyarrow.FixedSizeListArray.from_arrays(array, size)
        return array
    except (pyarrow.ArrowException, TypeError, ValueError) as error:
        raise SchemaError(
            f"The values of stream {stream} have no Arrow type ({error}). Convert them with view.map, or leave the "
            "stream out: view.only(...)."
        ) from error


def _listed(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.ndim > 1:
        return list(map(_listed, value))
    if isinstance(value, Member):
        return {"name": value.name, "data": bytes(value.data)}
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    return value


def of_table(table: Any) -> View:
    """Return a view over a table or a batch of Arrow: each column is a stream."""
    return held({name: ArrowValues(table.column(name)) for name in table.schema.names})


class ArrowValues:
    """An Arrow column. Blocks of numbers are arrays on its memory, with NaN for a missing float; others are lists."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, i: int) -> Any:
        if not 0 <= i < len(self):
            raise IndexError(f"value {i} of a column of {len(self)}")
        value = self.values[i].as_py()
        # As in a block, a missing float is NaN.
        return float("nan") if value is None and self._floats else value

    def take(self, indices: Indices, out: Any = None) -> Any:
        import pyarrow

        block = self._block(self.values.take(pyarrow.array(indices)))
        if out is None:
            return block
        out[...] = block
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
        # Depends on the nulls of the whole column, so that all blocks have the same kind.
        if not number or self.values.null_count and not self._floats:
            return values.to_pylist()
        array = values.to_numpy() if hasattr(values, "chunks") else values.to_numpy(zero_copy_only=False)
        array = array.view()
        array.flags.writeable = False
        return array
