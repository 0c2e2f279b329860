"""Converts views to Arrow tables and batches, and makes views over tables. Copies only if the layouts differ."""

from contextlib import contextmanager
from functools import reduce
from typing import Any, Iterator, Mapping

import numpy as np

from dataset_assets.errors import DecodeError, SchemaError
from dataset_assets.formats.columns import Chained, Columns, Indices, JsonBlock, spans
from dataset_assets.formats.fields import cast_column, extension_in, widened
from dataset_assets.formats.format import Misfit
from dataset_assets.formats.json_values import text_of
from dataset_assets.formats.members import Member
from dataset_assets.formats.nested import column_of
from dataset_assets.formats.spans import AsBytes, AsText, SpansColumn
from dataset_assets.reading.convert.tables import column_names
from dataset_assets.reading.views.in_memory import held
from dataset_assets.reading.views.rows import Where
from dataset_assets.reading.views.selected import Selected
from dataset_assets.reading.views.stored import Stored
from dataset_assets.reading.views.view import View

FIRST, FIRST_BYTES = 1024, 256 << 10
"""How many values of a stored view decide the types of its batches, at most."""
# The largest batch of a reader.
ROWS = 1 << 16
BYTES = 8 << 20


def to_arrow(view: View) -> Any:
    """Return a table with a column for each stream, and for each field of a table.

    Numbers of a stored view, or of a slice of one, are not copied: the table uses the memory-mapped file. Arrays become
    lists of fixed size, nested if they have several axes. A field with the name of a stream, or of another table's
    field, gets the table's name as a prefix. Raises `SchemaError` for values without a common Arrow type, such as
    mappings whose keys vary.
    """
    import pyarrow

    tables: list[Any] = []
    for block in _pieces(view):
        tables.append(table_of(block, sum(table.num_rows for table in tables)))
    # A block of only None has no type, and the types of other blocks may be wider.
    schema = reduce(_wider, (table.schema for table in tables))
    return pyarrow.concat_tables([_cast(table, schema) for table in tables])


def arrow_reader(view: View) -> Any:
    """Return a reader of the view's batches, each read on access.

    All have the types of the first one; where that one has only None, those of the first values. A later value that
    does not fit raises `SchemaError`.
    """
    import pyarrow

    wheres = _wheres(view)
    first = table_of(_block(view, wheres[0]))
    schema = _typed(view, wheres[1:], first.schema)

    def batches() -> Iterator[Any]:
        yield from _cast(first, schema).to_batches()
        for where in wheres[1:]:
            table = table_of(_block(view, where), where.start)
            if (wider := _wider(schema, table.schema)) != schema:
                raise _differs(schema, wider, where)
            yield from _cast(table, schema).to_batches()

    return pyarrow.RecordBatchReader.from_batches(schema, batches())


def schema_of(view: View, block: Mapping[str, Any] | None = None) -> Any:
    """Return the types of the first values of a view, or of a block of them. A stream of only None has none."""
    first = min(FIRST, max(int(FIRST_BYTES / view.row_bytes()), 1), len(view)) if len(view) else 0
    return table_of(_block(view, slice(0, first)) if block is None else block).schema


def in_schema(table: Any, schema: Any) -> Any:
    """Return a table with the types of a schema for its columns. Raises `SchemaError` for a value that does not fit.

    Where the schema has only seen None, the table's own type counts.
    """
    fields = [_known_type(schema.field(own.name), own) if own.name in schema.names else own for own in table.schema]
    wanted = _schema([field.name for field in fields], [field.type for field in fields])
    if (wider := _wider(wanted, table.schema)) != wanted:
        name = next(field.name for field in wanted if wider.field(field.name).type != field.type)
        raise SchemaError(
            f"Stream {name}: a value needs the Arrow type {wider.field(name).type}, but the first samples of the view "
            f"have {wanted.field(name).type}. Give the values one type with view.map."
        )
    return _cast(table, wanted)


def _known_type(field: Any, own: Any) -> Any:
    return field.with_type(_wider_type(field, own.type)) if _has_nulls(field.type) else field


def _wheres(view: View) -> list[slice]:
    step = min(max(int(BYTES / view.row_bytes()), 1), ROWS) if len(view) else 1
    return [slice(lo, min(lo + step, len(view))) for lo in range(0, max(len(view), 1), step)]


def _typed(view: View, wheres: list[slice], schema: Any) -> Any:
    """Return a schema with the types of later values where the first ones are only None."""
    for where in wheres:
        if not any(_has_nulls(field.type) for field in schema):
            return schema
        later = table_of(_block(view, where), where.start).schema
        kinds = [_wider_type(f, later.field(f.name).type) if _has_nulls(f.type) else f.type for f in schema]
        schema = _schema(schema.names, kinds)
    return schema


def _has_nulls(kind: Any) -> bool:
    """Return whether the type of some value is not known yet."""
    from pyarrow import types

    nested = types.is_nested(kind) and any(_has_nulls(kind.field(k).type) for k in range(kind.num_fields))
    return types.is_null(kind) or nested


def _wider(first: Any, second: Any) -> Any:
    """Return the schema that holds the values of both."""
    if first == second:
        return first
    return _schema(first.names, [_wider_type(field, second.field(field.name).type) for field in first])


def _wider_type(field: Any, kind: Any) -> Any:
    with _in_stream(field.name):
        return widened(field.type, kind)


def _schema(names: list[str], kinds: list[Any]) -> Any:
    import pyarrow

    return pyarrow.schema(list(zip(names, kinds)))


def _cast(table: Any, schema: Any) -> Any:
    import pyarrow

    if table.schema == schema:
        return table
    columns = []
    for field in schema:
        with _in_stream(field.name):
            columns.append(cast_column(table.column(field.name), field.type))
    return pyarrow.table(columns, schema=schema)


@contextmanager
def _in_stream(name: str) -> Iterator[None]:
    try:
        yield
    except Misfit as misfit:
        raise SchemaError(f"Stream {name}{misfit.path}: {misfit.why}") from misfit


def _differs(schema: Any, wider: Any, where: slice) -> SchemaError:
    name = next(name for name in schema.names if schema.field(name).type != wider.field(name).type)
    return SchemaError(
        f"Stream {name}: a value of the samples {where.start} to {where.stop - 1} needs the Arrow type "
        f"{wider.field(name).type}, but the samples before it have {schema.field(name).type}. Use view.to_arrow(), or "
        "give the values one type with view.map."
    )


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


def _block(view: View, where: slice) -> Columns:
    """Return some rows of a view; text of a stored one stays as it is stored."""
    if isinstance(view, Stored):
        return Columns({name: _on_the_map(column, where.start, where.stop) for name, column in view.columns.items()})
    return view.rows(where)


def _on_the_map(column: Any, lo: int, hi: int) -> Any:
    """Return some rows of a column as a block; text and bytes become Arrow arrays on the stored bytes."""
    import pyarrow

    if not isinstance(column, SpansColumn) or not isinstance(column.reader, (AsText, AsBytes)):
        return column.slice(lo, hi)
    # A value of Json is text here.
    text = isinstance(column.reader, AsText)
    kind = pyarrow.large_string() if text else pyarrow.large_binary()
    parts = []
    for chunk, (first, last) in spans(column.starts.tolist(), lo, hi):
        borders, data = column.chunk(chunk)
        buffers = [None, pyarrow.py_buffer(borders[first:]), pyarrow.py_buffer(data)]
        parts.append(pyarrow.Array.from_buffers(kind, last - first, buffers))
        try:
            # Users of an Arrow array rely on valid UTF-8.
            parts[-1].validate(full=text)
        except pyarrow.ArrowInvalid as error:
            raise DecodeError(f"A text is not UTF-8 ({error}). Verify the dataset, then prepare it again.") from error
    return pyarrow.chunked_array(parts, kind)


def table_of(block: Mapping[str, Any], first: int = 0) -> Any:
    """Return a block of streams as a table. Raises `SchemaError` for a value that has no Arrow type.

    `first` is the number of its first sample.
    """
    import pyarrow

    arrays: dict[str, Any] = {}
    for name, (stream, field) in column_names(block).items():
        values = block[stream]
        arrays[name] = values.column(field) if field is not None else _array(stream, values, first)
    return pyarrow.table(arrays)


def _array(stream: str, values: Any, first: int) -> Any:
    """Return a block of a stream as an Arrow array."""
    import pyarrow

    if isinstance(values, pyarrow.ChunkedArray):
        return values
    if isinstance(values, np.ndarray) and not all(values.shape[1:]):
        raise SchemaError(
            f"Stream {stream} has empty arrays, of shape {values.shape[1:]}. Leave it out: view.only(...)."
        )
    try:
        if isinstance(values, JsonBlock):
            return pyarrow.array(list(map(text_of, values)), pyarrow.large_string())
        if not isinstance(values, np.ndarray):
            return _large(column_of(list(map(_listed, values))))
        # Arrow supports only the byte order of this machine.
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        if values.ndim == 1:
            return _large(pyarrow.array(values))
        array = pyarrow.array(np.ascontiguousarray(values).reshape(-1))
        for size in reversed(values.shape[1:]):
            array = pyarrow.FixedSizeListArray.from_arrays(array, size)
        return array
    except Misfit as misfit:
        place = "" if misfit.at is None else f", value {first + misfit.at}"
        raise SchemaError(
            f"Stream {stream}{misfit.path}{place}: {misfit.why} Or leave the stream out: view.only(...)."
        ) from misfit
    except (pyarrow.ArrowException, TypeError, ValueError) as error:
        raise SchemaError(
            f"The values of stream {stream} have no Arrow type ({error}). Convert them with view.map, or leave the "
            "stream out: view.only(...)."
        ) from error


def _large(array: Any) -> Any:
    """Return text and bytes in the type in which they are stored."""
    import pyarrow

    if array.type == pyarrow.string():
        return array.cast(pyarrow.large_string())
    return array.cast(pyarrow.large_binary()) if array.type == pyarrow.binary() else array


def _listed(value: Any) -> Any:
    if isinstance(value, Member):
        return {"name": value.name, "data": bytes(value.data)}
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    return value


def of_table(table: Any, version: str | None = None) -> View:
    """Return a view over an Arrow table or batch: each column is a stream. Raises `SchemaError` for two of one name."""
    if len(set(names := table.schema.names)) < len(names):
        raise SchemaError(f"The table has two columns of the same name among {', '.join(names)}. Rename one.")
    return held({name: of_array(table.column(name)) for name in table.schema.names}, version)


def of_array(values: Any) -> "ArrowValues":
    """Return an Arrow array as a column. Raises `SchemaError` for a type of pandas, such as periods."""
    extension = extension_in(values.type)
    if extension is not None and extension.extension_name.startswith("pandas."):
        raise SchemaError(
            f"Values are of the type {extension}, which Arrow holds as plain numbers. Give the DataFrame itself, or "
            "convert them to text or times."
        )
    return ArrowValues(values)


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
