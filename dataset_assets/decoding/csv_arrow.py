"""Reads CSV in blocks of columns with pyarrow, which is imported on use."""

import itertools
import re
from typing import Any, BinaryIO, Callable, Collection, Iterator, Mapping, Sequence, cast

import numpy as np

from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.csv_dialect import CHECKED, Dialect, check_columns, dialect
from dataset_assets.decoding.csv_file import names_of
from dataset_assets.decoding.csv_records import records
from dataset_assets.decoding.csv_text import Text, explain, plain_texts, rewritten_texts
from dataset_assets.decoding.csv_types import Inferred, first_overflow
from dataset_assets.decoding.streams import check_rows, name_of
from dataset_assets.errors import DecodeError, UsageError, nearest

_MISFIT = re.compile(r"In CSV column #(\d+): (.*)", re.DOTALL)
_CONVERSION = re.compile(r"(CSV conversion error to .*): invalid value '(.*)'", re.DOTALL)


def csv_blocks(
    file: BinaryIO,
    *,
    columns: Sequence[str] | None = None,
    types: Any = None,
    delimiter: str | None = ",",
    encoding: str = "utf-8-sig",
    header: bool = True,
    rows: int | None = None,
    quoting: str | None = CHECKED,
    skip: int = 0,
    comment: str | None = None,
    decimal: str = ".",
    nulls: Collection[str] | None = None,
) -> Iterator[Any]:
    """Read a CSV file as pyarrow RecordBatches, each of about 8 MB of text, or of `rows` rows except the last.

    `types` is a pyarrow type or the name of a numpy type for all columns, or a mapping of column to type. The type of
    any other column is inferred **from all rows**: a file of more than 8 MB is read twice. Numbers that are rather
    identifiers, with leading zeros, a plus, or more digits than a number keeps, stay text. Empty cells and words such
    as `NA` are null, except in columns of text; `nulls` lists the texts that are null in all columns instead.

    `columns` selects columns and their order. Without a header, `columns` are the names of the fields; the default
    names are `f0`, `f1`, .... The other options, and the errors, are those of `csv_rows`. A file in another encoding
    than UTF-8, with comments, decimal commas, or a delimiter of more than one character, is read at the speed of
    `csv_rows`; so are the rows after a quote in an unquoted field.

    >>> import io
    >>> [batch.to_pydict() for batch in csv_blocks(io.BytesIO(b"a,b\\n1,2\\n"), types={"b": "float32"})]
    [{'a': [1], 'b': [2.0]}]
    """
    written = dialect(delimiter, quoting, encoding, skip, comment, decimal, nulls)
    yield from _read(_batches, file, columns, types, header, rows, written)


class TypesChanged(Exception):
    """A row of a file needs another type for a column than the rows before it, which were yielded."""


def csv_blocks_once(file: BinaryIO, **options: Any) -> Iterator[Any]:
    """Read a CSV file as `csv_blocks` does with these options, but only once, also if it is large.

    Raises `TypesChanged` if it has to be read again for its types.
    """
    given = {**(csv_blocks.__kwdefaults__ or {}), **options}
    columns, types, header, rows = (given.pop(name) for name in ("columns", "types", "header", "rows"))
    yield from _read(_batches_once, file, columns, types, header, rows, dialect(**given))


def _read(
    batches_of: "Callable[[_Source, list[str], dict[str, Any]], Iterator[Any]]",
    file: BinaryIO,
    columns: Sequence[str] | None,
    types: Any,
    header: bool,
    rows: int | None,
    written: Dialect,
) -> Iterator[Any]:
    check_columns(columns, header)
    check_rows(rows)
    source = _Source(file, written, columns, header)
    batches = batches_of(source, list(columns or source.names), _arrow_types(types, source.names))
    return batches if rows is None else _regrouped(batches, rows)


def _batches_once(source: "_Source", wanted: list[str], typed: dict[str, Any]) -> Iterator[Any]:
    import pyarrow

    inferred = Inferred(source.read, [name for name in wanted if name not in typed])
    for text in source.texts():
        if not inferred.kinds:
            inferred.widen(text)
        types = {**typed, **inferred.types}
        try:
            table = source.read(text, types, wanted)
            source.check_overflow(text, table)
        except pyarrow.ArrowInvalid as error:
            raise TypesChanged from error
        inferred.keep_identifiers(text, table)
        if inferred.types != {name: types[name] for name in inferred.columns}:
            raise TypesChanged
        yield from _as_batches(table)


def _batches(source: "_Source", wanted: list[str], typed: dict[str, Any]) -> Iterator[Any]:
    texts = source.texts()
    start = list(itertools.islice(texts, 2))
    inferred = Inferred(source.read, [name for name in wanted if name not in typed])
    if inferred.columns and start:
        whole = len(start) == 1
        inferred.fit((lambda: start) if whole else source.texts)
        if whole and not typed and inferred.unchanged:
            yield from _as_batches(inferred.table)
            return
        texts, start = (texts, start) if whole else (source.texts(), [])
    types = {**typed, **inferred.types}
    for text in itertools.chain(start, texts):
        yield from source.converted(text, types, wanted)


def _as_batches(table: Any) -> list[Any]:
    """Return a table as one batch; none if it has no rows."""
    return [batch for batch in table.combine_chunks().to_batches() if batch.num_rows]


class _Source:
    """A CSV file that can be read again from where it stands."""

    def __init__(self, file: BinaryIO, written: Dialect, columns: Sequence[str] | None, header: bool) -> None:
        stream = decompressed(file)
        self.file, self.written, self.header, self.name = file, written, header, name_of(file)
        self.start = file.tell()
        self.names, first, line = names_of(self.name, records(stream, written), columns, header)
        self.before = line if header else written.skip

    def opened(self) -> BinaryIO:
        """Return the content from its start."""
        self.file.seek(self.start)
        return decompressed(self.file)

    def texts(self) -> Iterator[Text]:
        """Yield the rows after the header as texts for pyarrow."""
        if self.written.plain:
            return plain_texts(self.opened, self.written, len(self.names), self.before)
        rows = records(self.opened(), self.written)
        if self.header:
            next(rows)
        return rewritten_texts(rows, self.name, len(self.names))

    def read(self, text: Text, types: dict[str, Any], columns: list[str]) -> Any:
        """Return columns of a text as a table."""
        import pyarrow
        from pyarrow import csv as arrow_csv

        nulls = self.written.nulls
        missing = {} if nulls is None else {"null_values": sorted(nulls), "strings_can_be_null": bool(nulls)}
        try:
            return arrow_csv.read_csv(
                pyarrow.BufferReader(text.data),
                arrow_csv.ReadOptions(block_size=len(text.data) + 1, column_names=self.names),
                arrow_csv.ParseOptions(
                    delimiter=text.delimiter, quote_char=text.quote or False, newlines_in_values=text.quote is not None
                ),
                arrow_csv.ConvertOptions(column_types=types, include_columns=columns, check_utf8=False, **missing),
            )
        except pyarrow.ArrowInvalid as error:
            if not _MISFIT.search(str(error)):
                explain(text, len(self.names))
                raise DecodeError(f"{self.name} is not valid CSV: {error}. Correct the row.") from error
            raise

    def converted(self, text: Text, types: dict[str, Any], columns: list[str]) -> list[Any]:
        """Return columns of a text as one batch; none if it has no rows. Raises an error for unfit values."""
        import pyarrow

        try:
            table = self.read(text, types, columns)
            self.check_overflow(text, table)
            return _as_batches(table)
        except pyarrow.ArrowNotImplementedError as error:
            raise UsageError(f"{error}. Use a type that pyarrow reads from CSV, such as float32, and cast.") from error
        except pyarrow.ArrowInvalid as error:
            raise DecodeError(f"{self.name} {self._misfit(text, str(error))}") from error

    def check_overflow(self, text: Text, table: Any) -> None:
        """Raise an error for a number that is too large for its type; pyarrow reads it as infinite, or as it is."""
        import pyarrow
        import pyarrow.compute as compute
        from pyarrow import types

        for name, column in zip(table.column_names, table.columns):
            why, kind = None, column.type
            if types.is_decimal(kind):
                why = _invalid(column)
            elif types.is_floating(kind) and compute.any(compute.is_inf(column)).as_py():
                cells = self.read(text, {name: pyarrow.string()}, [name]).column(name)
                if (cell := first_overflow(column, cells)) is not None:
                    why = f"CSV conversion error to {kind}: invalid value '{cell}'"
            if why:
                raise pyarrow.ArrowInvalid(f"In CSV column #{self.names.index(name)}: {why}")

    def _misfit(self, text: Text, error: str) -> str:
        """Return which value does not fit its type, and where it is."""
        found = cast("re.Match[str]", _MISFIT.search(error))
        place, what = int(found[1]), found[2]
        if (conversion := _CONVERSION.search(what)) is None:
            return (
                f"has a value in column {self.names[place]!r} that does not fit its type: {what.rstrip('.')}. Correct "
                "the value, or pass another type in `types`."
            )
        what, value = conversion[1], conversion[2]
        lines = [line for line, record in text.rows() if record[place] == value]
        where = f" in the row that ends on line {lines[0]}" if lines else ""
        return (
            f"has {value[:80]!r} in column {self.names[place]!r}{where}: {what}. Correct the value, or pass another "
            "type in `types`."
        )


def _invalid(column: Any) -> str | None:
    """Return why a column is not valid in Arrow; None if it is."""
    import pyarrow

    try:
        column.validate(full=True)
    except pyarrow.ArrowInvalid as error:
        return str(error)
    return None


def _regrouped(batches: Any, rows: int) -> Iterator[Any]:
    """Yield batches of `rows` rows; only the last may have fewer."""
    import pyarrow

    held: list[Any] = []
    for batch in batches:
        table = pyarrow.Table.from_batches([*held, batch])
        whole = table.num_rows - table.num_rows % rows
        for lo in range(0, whole, rows):
            yield from table.slice(lo, rows).combine_chunks().to_batches()
        held = table.slice(whole).to_batches()
    if held:
        yield from pyarrow.Table.from_batches(held).combine_chunks().to_batches()


def _arrow_types(types: Any, names: list[str]) -> dict[str, Any]:
    if types is None:
        return {}
    if not isinstance(types, Mapping):
        return dict.fromkeys(names, _arrow_type(types))
    known = set(names)
    for name in types:
        if name not in known:
            raise UsageError(f"`types` has a column {name!r} that the file does not have.{nearest(name, names)}")
    return {name: _arrow_type(kind) for name, kind in types.items()}


def _arrow_type(kind: Any) -> Any:
    import pyarrow

    if isinstance(kind, pyarrow.DataType):
        return kind
    try:
        # numpy first: "float" has 64 bits there, as in Python, but 32 in pyarrow.
        return pyarrow.string() if kind in (str, "str") else pyarrow.from_numpy_dtype(np.dtype(kind))
    except (TypeError, pyarrow.ArrowNotImplementedError):
        pass
    try:
        return pyarrow.type_for_alias(str(kind))
    except ValueError:
        raise UsageError(
            f"{kind!r} is not the type of a column. Pass a pyarrow type or the name of a numpy type."
        ) from None
