"""Stores rows of named, typed fields in plain `.arrow` files."""

from bisect import bisect_right
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Callable, ClassVar, Iterator, Mapping, Sequence

import numpy as np

from dataset_assets.errors import DecodeError, DefinitionError
from dataset_assets.formats.arrow import ArrowWriter, opened_tables
from dataset_assets.formats.columns import Column, Indices, check_rows, grouped, spans
from dataset_assets.formats.common_types import common_type
from dataset_assets.formats.fields import decoded_column, widened
from dataset_assets.formats.format import FILE_BYTES, Format, Misfit, Parts
from dataset_assets.formats.nested import ADVICE, column_of, recast
from dataset_assets.formats.rows import is_arrow
from dataset_assets.formats.type_names import plain, type_named, type_text


@dataclass(frozen=True)
class Table(Format):
    """A value is a row: a mapping of field to number, string, boolean, time, list, mapping or None.

    `fields` maps each field to an Arrow type, or to its name ("double", "int64", "string", "bool", "timestamp[us]",
    "list<item: int64>", "struct<a: int64>", "map<string, int64>"). A value that the type does not hold raises
    `SchemaError`; only floats may be rounded, to a declared type. Without `fields`, the types are those that hold all
    rows. A column of Arrow or pandas must fit the type of the first one.

    All mappings in a field have the same keys, unless the field is declared as a map. Use `Json` if keys vary.
    Categories are stored as their values, and the index of a DataFrame is not stored.
    """

    fields: Mapping[str, Any] | tuple[tuple[str, Any], ...] | None = None

    name: ClassVar[str] = "table"
    suffix: ClassVar[str] = ".arrow"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.fields is not None:
            pairs = self.fields.items() if isinstance(self.fields, Mapping) else self.fields
            fields = tuple((str(name), type_text(kind)) for name, kind in pairs)
            if not fields or len(dict(fields)) < len(fields):
                raise DefinitionError(f"Table needs at least one field, each named once; got {fields}.")
            object.__setattr__(self, "fields", fields)

    def parameters(self) -> dict[str, Any]:
        """Return the fields as JSON."""
        return {} if self.fields is None else {"fields": [list(pair) for pair in self.fields]}

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> ArrowWriter:
        """Begin a stream."""
        declared = self._schema()
        if declared is not None:
            return ArrowWriter(Parts(folder, self.suffix, file_bytes), _as_declared, _fields, declared)
        return ArrowWriter(Parts(folder, self.suffix, file_bytes), _as_inferred, _fields, widen=_cast_table)

    def part_writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> ArrowWriter:
        """Begin a part of a stream: a field that has only nulls in it takes the type that `merge` finds."""
        if self.fields is not None:
            return self.writer(folder, file_bytes)
        return ArrowWriter(Parts(folder, self.suffix, file_bytes), _as_inferred, _any_fields, widen=_cast_table)

    def open(self, opened: Sequence[BinaryIO]) -> Column:
        """Open the files; each row is read on access."""
        table, check = opened_tables(opened, text=True)
        expected = table.column_names if self.fields is None else list(dict(self.fields))
        if table.column_names != expected:
            raise DecodeError(
                f"A file has the fields {table.column_names}, expected {expected}. Verify the dataset, then prepare it "
                "again."
            )
        for name, text in dict(self.fields or ()).items():
            if not _is_of(kind := table.schema.field(name).type, text):
                raise DecodeError(
                    f"The field {name} of a file has the type {kind}, expected {text}. Verify the dataset, then "
                    "prepare it again."
                )
        return TableColumn(table, check)

    def merge(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields that hold the rows of two parts of a stream. Raises `Misfit` if none do."""
        own, other = dict(first["fields"]), dict(second["fields"])
        _check_names(list(other), list(own), None)
        kinds = {name: kind if kind == other[name] else _merged(name, kind, other[name]) for name, kind in own.items()}
        return {"fields": [[name, kinds[name]] for name in min([*own], [*other])]}

    def see_complete(self, parameters: Mapping[str, Any]) -> None:
        """Raise `SchemaError` if no part of a stream has a value in one of its fields."""
        _see_types([name for name, kind in parameters["fields"] if kind == "null"])

    def _schema(self) -> Any:
        import pyarrow

        if self.fields is None:
            return None
        return pyarrow.schema([(name, type_named(kind)) for name, kind in dict(self.fields).items()])


def _merged(name: str, first: str, second: str) -> str:
    """Return the type of a field that has these types in two parts. Raises `Misfit` if there is none."""
    with _in_field(name):
        return str(common_type(type_named(first), type_named(second)))


class TableColumn:
    """A stream of rows; its blocks are Arrow tables. `check` is called once for each batch, before it is read."""

    def __init__(self, table: Any, check: Callable[[int], object] | None = None) -> None:
        self.table, self._check = table, check
        self.batches = [batch for batch in table.to_batches() if batch.num_rows]
        self.starts = np.cumsum([0, *(batch.num_rows for batch in self.batches)])
        self._starts: list[int] = self.starts.tolist()
        self._names: list[str] = table.column_names
        self._columns: list[list[Any] | None] = [None if check else batch.columns for batch in self.batches]
        self._unchecked = set(range(len(self.batches) if check else 0))

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, i: int) -> dict[str, Any]:
        batch = bisect_right(self._starts, i) - 1
        if not 0 <= batch < len(self._columns):
            raise IndexError(f"row {i} of a stream of {len(self)}")
        columns, row = self._columns[batch] or self._checked(batch), i - self._starts[batch]
        try:
            return {name: column[row].as_py() for name, column in zip(self._names, columns)}
        except (ValueError, ArithmeticError, LookupError) as error:
            raise DecodeError(
                f"Row {i} has a value that Python cannot represent ({error}). Read it as an Arrow table."
            ) from error

    def _checked(self, batch: int) -> list[Any]:
        if self._check is not None and batch in self._unchecked:
            self._check(batch)
        columns: list[Any] = self.batches[batch].columns
        self._columns[batch] = columns
        self._unchecked.discard(batch)
        return columns

    def take(self, indices: Indices, out: Any = None) -> Any:
        """Gather batch by batch, because Arrow would first merge the whole table into one batch."""
        import pyarrow

        check_rows(indices, len(self))
        groups, order = grouped(self.starts, indices)
        for batch, _ in groups if self._unchecked else ():
            self._checked(batch)
        pieces = [_taken(self.batches[batch], rows) for batch, rows in groups]
        rows = pyarrow.Table.from_batches(pieces, self.table.schema).combine_chunks()
        if order is None:
            return rows
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return rows.take(back)

    def slice(self, lo: int, hi: int) -> Any:
        for batch, _ in spans(self._starts, lo, hi) if self._unchecked else ():
            self._checked(batch)
        return self.table.slice(lo, max(hi - lo, 0))


def _taken(batch: Any, rows: Indices) -> Any:
    import pyarrow

    return batch.slice(int(rows[0]), 1) if len(rows) == 1 else batch.take(pyarrow.array(rows))


def _is_of(kind: Any, text: str) -> bool:
    """Return whether an Arrow type is the one of this text, which another version of Arrow may write differently."""
    if str(kind) == text:
        return True
    try:
        return bool(type_named(text) == kind)
    except DefinitionError:
        return False


def _fields(schema: Any) -> dict[str, Any]:
    import pyarrow

    _see_types([field.name for field in schema if field.type == pyarrow.null()])
    return _any_fields(schema)


def _any_fields(schema: Any) -> dict[str, Any]:
    if not schema.names:
        raise Misfit(None, "There are no rows to take fields from. Declare them: Table(fields=...).").as_error(0)
    return {"fields": [[field.name, str(field.type)] for field in schema]}


def _see_types(nulls: Sequence[str]) -> None:
    if nulls:
        raise Misfit(0, f"{', '.join(nulls)} has only nulls. Declare its type: Table(fields=...).").as_error(0)


def _as_declared(values: Any, schema: Any) -> Any:
    """Return a block of rows as a table of the declared types."""
    columns, _ = _columns(values, schema.names, schema)
    return _cast_columns(columns, schema)


def _as_inferred(values: Any, schema: Any) -> Any:
    """Return a block of rows as a table whose types hold its values and those of the rows before it.

    Python values widen a type, so that it does not depend on where a block ends. Columns of Arrow and pandas have a
    type already and must fit.
    """
    import pyarrow

    columns, typed = _columns(values, schema.names if schema else None, None)
    kinds = {}
    for name, column in columns.items():
        kinds[name] = own = plain(column.type)
        if schema is not None:
            with _in_field(name):
                before = schema.field(name).type
                kinds[name] = before if name in typed and before != pyarrow.null() else widened(before, own)
    order = schema.names if schema else list(columns)
    return _cast_columns(columns, pyarrow.schema([(name, kinds[name]) for name in order]))


def _cast_table(table: Any, schema: Any) -> Any:
    """Return a stored table in wider types."""
    return _cast_columns(dict(zip(table.column_names, table.columns)), schema)


def _cast_columns(columns: Mapping[str, Any], schema: Any) -> Any:
    import pyarrow

    arrays = []
    for field in schema:
        with _in_field(field.name):
            arrays.append(recast(columns[field.name], field.type))
    return pyarrow.table(arrays, schema=schema)


@contextmanager
def _in_field(name: str) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except Misfit as misfit:
        raise Misfit(misfit.at, f"field {name}{misfit.path}: {misfit.why}") from misfit
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise Misfit(None, f"field {name}: {error}. {ADVICE}") from error


def _columns(values: Any, names: Sequence[str] | None, declared: Any) -> tuple[dict[str, Any], set[str]]:
    """Return a block's fields as Arrow columns of their own types, and the names of those that came with a type."""
    import pyarrow

    if isinstance(values, (pyarrow.RecordBatch, pyarrow.Table)):
        _check_names(values.schema.names, names, None)
        return {name: _decoded(name, one) for name, one in zip(values.schema.names, values.columns)}, {
            *values.schema.names
        }
    if hasattr(values, "iloc"):
        return _of_frame(values, names, declared)
    if is_arrow(values) and pyarrow.types.is_struct(values.type):
        return _of_structs(values, names), set()
    rows = list(values)
    for at, row in enumerate(rows):
        if type(row) is not dict and not isinstance(row, Mapping):
            raise Misfit(at, f"a row is a {type(row).__name__}, expected a mapping of field to value.")
        found = list(row)
        if names is None or found != names:
            names = found if names is None else names
            _check_names(found, names, at)
    return {name: _column(name, [row[name] for row in rows], declared) for name in names or ()}, set()


def _of_structs(values: Any, expected: Sequence[str] | None) -> dict[str, Any]:
    """Return the fields of Arrow structs as columns. As in mappings, one that has only nulls has no type yet."""
    import pyarrow

    if not len(values):
        return {}
    names = [field.name for field in values.type]
    _check_names(names, expected, 0)
    columns = {name: _decoded(name, one) for name, one in zip(names, values.flatten())}
    return {n: pyarrow.nulls(len(one)) if one.null_count == len(one) else one for n, one in columns.items()}


def _of_frame(frame: Any, expected: Sequence[str] | None, declared: Any) -> tuple[dict[str, Any], set[str]]:
    import pyarrow

    if frame.ndim != 2:
        raise Misfit(None, f"the block is a pandas {type(frame).__name__}, expected a DataFrame.")
    if why := lost_index(frame):
        raise Misfit(None, why)
    names = [str(name) for name in frame.columns]
    _check_names(names, expected, None)
    columns, typed = {}, set()
    for name, one in ((name, frame.iloc[:, k]) for k, name in enumerate(names)):
        if one.dtype == object:
            columns[name] = _column(name, _without_nan(one), declared)
        else:
            columns[name] = _decoded(name, pyarrow.Array.from_pandas(one))
            typed.add(name)
    return columns, typed


def lost_index(frame: Any) -> str | None:
    """Return why the index of a DataFrame may not be left out; None if it only counts rows."""
    index = frame.index
    if any(index.names):
        return f"the DataFrame's index {index.names} is not stored. Make it a field with reset_index()."
    if len(frame) and (index.nlevels > 1 or index.dtype.kind not in "iu"):
        return (
            f"the DataFrame's index of {index.dtype} is not stored. Make it a field with reset_index(), or drop it "
            "with reset_index(drop=True)."
        )
    return None


def _without_nan(series: Any) -> list[Any]:
    return [None if missing else value for value, missing in zip(series, series.isna())]


def _decoded(name: str, column: Any) -> Any:
    with _in_field(name):
        # A column may have been built without a check, as with text that is not UTF-8.
        column.validate(full=True)
        return decoded_column(column)


def _column(name: str, values: Sequence[Any], declared: Any) -> Any:
    with _in_field(name):
        return column_of(values, declared.field(name).type if declared else None)


def _check_names(names: Sequence[str], expected: Sequence[str] | None, at: int | None) -> None:
    # Arrow would fill a missing field with null and drop an unknown one.
    wrong = [name for name in names if not isinstance(name, str)]
    if not names or wrong or len(set(names)) < len(names):
        raise Misfit(at, f"a row has the fields {list(names)}, expected at least one, each a string that occurs once.")
    if expected is None or names == expected or set(names) == set(expected):
        return
    missing, extra = set(expected) - set(names), set(names) - set(expected)
    raise Misfit(
        at,
        f"a row has the fields {', '.join(names)}; missing: {', '.join(sorted(missing)) or 'none'}, "
        f"unknown: {', '.join(sorted(extra)) or 'none'}. Give every row the same fields.",
    )
