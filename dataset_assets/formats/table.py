"""Rows of named, typed fields, as plain `.arrow` files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Mapping, Sequence

import numpy as np

from dataset_assets.errors import DefinitionError, SchemaError
from dataset_assets.formats.arrow import ArrowWriter, opened_tables
from dataset_assets.formats.seam import FILE_BYTES, Parts
from dataset_assets.samples import Column, Indices


@dataclass(frozen=True)
class Table:
    """A value is a row: a mapping of field to number, string, boolean, time or None.

    `fields` maps each field to an arrow type by name ("double", "int64", "string", "bool", "timestamp[us]"). Where it
    is not declared, the types are those of the first block, and later ones must agree.
    """

    fields: Mapping[str, str] | tuple[tuple[str, str], ...] | None = None

    name: ClassVar[str] = "table"
    suffix: ClassVar[str] = ".arrow"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.fields is not None:
            pairs = self.fields.items() if isinstance(self.fields, Mapping) else self.fields
            object.__setattr__(self, "fields", tuple((str(name), str(kind)) for name, kind in pairs))

    def parameters(self) -> dict[str, Any]:
        """Return the fields as JSON."""
        return {} if self.fields is None else {"fields": [list(pair) for pair in self.fields]}

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> ArrowWriter:
        """Begin a stream."""
        return ArrowWriter(Parts(folder, self.suffix, file_bytes), _rows, _fields, self._schema())

    def open(self, opened: Sequence[BinaryIO]) -> Column:
        """Open the files; a row is made when it is asked for."""
        return TableColumn(opened_tables(opened))

    def _schema(self) -> Any:
        import pyarrow

        if self.fields is None:
            return None
        try:
            return pyarrow.schema([(name, pyarrow.type_for_alias(kind)) for name, kind in dict(self.fields).items()])
        except ValueError as error:
            raise DefinitionError(f"{error}. Write types as arrow does: 'double', 'int64', 'string', 'bool'.") from error


class TableColumn:
    """A stream of rows; blocks of them are arrow tables."""

    def __init__(self, table: Any) -> None:
        self.table = table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {name: self.table.column(name)[i].as_py() for name in self.table.column_names}

    def take(self, indices: Indices, out: Any = None) -> Any:
        return self.table.take(np.asarray(indices, np.int64))

    def slice(self, lo: int, hi: int) -> Any:
        return self.table.slice(lo, max(hi - lo, 0))


def _fields(schema: Any) -> dict[str, Any]:
    return Table({field.name: str(field.type) for field in schema}).parameters()


def _rows(values: Any, schema: Any) -> Any:
    """Return a block of rows as a table of this schema; the fields must be the same, the types must fit."""
    import pyarrow

    if hasattr(values, "iloc"):
        table = pyarrow.Table.from_pandas(values, preserve_index=False)
    elif isinstance(values, pyarrow.RecordBatch):
        table = pyarrow.Table.from_batches([values])
    elif isinstance(values, pyarrow.Table):
        table = values
    else:
        return _from_mappings(list(values), schema)
    table = table.replace_schema_metadata(None)
    if schema is None:
        return table
    _same_fields(table.column_names, schema)
    return table.select(schema.names).cast(schema)


def _from_mappings(rows: list[Any], schema: Any) -> Any:
    import pyarrow

    if not rows:
        return (schema or pyarrow.schema([])).empty_table()
    names = schema.names if schema else list(rows[0])
    for row in rows:
        if not isinstance(row, Mapping):
            raise SchemaError(f"a row is a {type(row).__name__}, expected a mapping of field to value.")
        # pyarrow would fill a missing field with null and drop an unknown one.
        if row.keys() != dict.fromkeys(names).keys():
            _same_fields(list(row), pyarrow.schema([(name, pyarrow.null()) for name in names]))
    if schema is None:
        table = pyarrow.Table.from_pylist(rows)
        if nulls := [field.name for field in table.schema if field.type == pyarrow.null()]:
            raise SchemaError(f"{', '.join(nulls)} has only nulls at first, so its type is unknown. Declare Table(fields=...).")
        return table
    return pyarrow.Table.from_pylist(rows, schema)


def _same_fields(found: list[str], schema: Any) -> None:
    missing, extra = set(schema.names) - set(found), set(found) - set(schema.names)
    if missing or extra or len(found) != len(set(found)):
        raise SchemaError(
            f"a row has the fields {', '.join(found)}; missing: {', '.join(sorted(missing)) or 'none'}, "
            f"unknown: {', '.join(sorted(extra)) or 'none'}."
        )
