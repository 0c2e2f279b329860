"""Reads CSV in blocks of columns with pyarrow, which is imported on use."""

from typing import Any, BinaryIO, Iterator, Mapping, NoReturn, Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.core.limits import limits, remedy
from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.csv_file import peeked_names
from dataset_assets.decoding.streams import check_rows, name_of
from dataset_assets.errors import DecodeError, UsageError, nearest

BLOCK = 8 << 20


def csv_blocks(
    file: BinaryIO,
    *,
    columns: Sequence[str] | None = None,
    types: Any = None,
    delimiter: str = ",",
    header: bool = True,
    rows: int | None = None,
) -> Iterator[Any]:
    """Read a UTF-8 CSV file as pyarrow RecordBatches, each of about 8 MB of text, or of `rows` rows except the last.

    `types` is a pyarrow type or the name of a numpy type for all columns, or a mapping of column to type. The type of
    any other column is **inferred from the first 8 MB**; a later value that does not fit raises `DecodeError`. Empty
    cells and words such as `NA` are null, except in columns of text. A row of more than `max_line_bytes`, or a file of
    more than `max_columns` columns, raises `DecodeError`; both are settings.

    `columns` selects columns and their order. Without a header, `columns` are the names of the fields; the default
    names are `f0`, `f1`, ....

    >>> import io
    >>> [batch.to_pydict() for batch in csv_blocks(io.BytesIO(b"a,b\\n1,2\\n"), types={"b": "float32"})]
    [{'a': [1], 'b': [2.0]}]
    """
    import pyarrow

    check_rows(rows)
    names, width = peeked_names(file, columns, delimiter, header)
    typed, block = _arrow_types(types, names), _block_bytes(width)
    try:
        batches = _batches(file, list(columns or names), typed, delimiter, None if header else names, block)
        yield from (batch for batch in batches if batch.num_rows) if rows is None else _regrouped(batches, rows)
    except pyarrow.ArrowNotImplementedError as error:
        raise UsageError(f"{error}. Use a type that pyarrow reads from CSV, such as float32, and cast.") from error
    except pyarrow.ArrowInvalid as error:
        if "straddling object" in str(error):
            raise _too_long(file, block) from error
        raise DecodeError(
            f"{name_of(file)} is not valid CSV, or a value does not fit its column: {error}. Correct the row, or pass "
            "`types` if the type inferred from the first 8 MB is wrong."
        ) from error


def _block_bytes(width: int) -> int:
    """Return the size of a block for pyarrow. It must hold a few rows, as a row may span at most two blocks."""
    return min(max(BLOCK, 4 * width), limits().max_line_bytes)


def _too_long(file: BinaryIO, block: int) -> DecodeError:
    what = f"{name_of(file)} has a row of more than {block} bytes."
    if block < limits().max_line_bytes:
        return DecodeError(f"{what} csv_blocks cannot read longer ones. Read the file with csv_rows.")
    return DecodeError(f"{what} {remedy('max_line_bytes')}")


def _batches(
    file: BinaryIO, wanted: list[str], typed: dict[str, Any], delimiter: str, names: list[str] | None, block: int
) -> Any:
    import pyarrow
    from pyarrow import csv as arrow_csv

    source = pyarrow.PythonFile(_StrictSource(decompressed(file), delimiter), mode="r")
    reader = arrow_csv.open_csv(
        source,
        arrow_csv.ReadOptions(block_size=block, column_names=names),
        arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        arrow_csv.ConvertOptions(column_types=typed, include_columns=wanted),
    )
    for field in reader.schema:
        # pyarrow infers the type binary for text that is not UTF-8.
        if pyarrow.types.is_binary(field.type) and field.name not in typed:
            raise DecodeError(
                f"{name_of(file)} has bytes in column {field.name!r} that are not UTF-8. Correct them, or use "
                "csv_rows, which has an `encoding`."
            )
    return reader


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


class _StrictSource:
    """The file that pyarrow reads. Refuses NULs, and misplaced quotes, for which pyarrow would silently drop rows.

    Quotes open and close a field in turn; a doubled quote closes the field and opens it again. So before each opening
    quote, and after each closing one, there must be a delimiter, an end of line or a quote.
    """

    closed = False

    def __init__(self, stream: BinaryIO, delimiter: str) -> None:
        self.stream = stream
        self.edges = np.zeros(256, bool)
        self.edges[list(b'"\r\n' + delimiter.encode())] = True
        self.bytes, self.last, self.open = 0, ord("\n"), False

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Leave the stream open; it is the caller's."""

    def read(self, size: int = -1) -> bytes:
        """Read a chunk and check it."""
        data = self.stream.read(size)
        if not data and self.open:
            self._refuse("ends inside a quoted field", self.bytes)
        if b"\0" in data:
            self._refuse("has a NUL character", self.bytes + data.index(b"\0"))
        if b'"' in data or self.last == ord('"'):
            mark = 3 if not self.bytes and data.startswith(b"\xef\xbb\xbf") else 0
            self._check_quotes(np.frombuffer(data, np.uint8)[mark:], self.bytes + mark)
        self.bytes += len(data)
        self.last = data[-1] if data else self.last
        return data

    def _check_quotes(self, data: NDArray[np.uint8], start: int) -> None:
        window = np.concatenate([np.array([self.last], np.uint8), data])
        quotes = np.flatnonzero(window == ord('"'))
        # A quote at the end of the previous chunk was counted there; the byte after it is checked here.
        old = int(self.last == ord('"'))
        opens = (np.arange(len(quotes)) - old) % 2 == int(self.open)
        before, after = quotes[old:][opens[old:]] - 1, quotes[~opens] + 1
        edges = np.concatenate([before, after[after < len(window)]])
        wrong = edges[~self.edges[window[edges]]]
        if len(wrong):
            self._refuse("has a quote in an unquoted field, or text after a quoted one", start + int(wrong.min()))
        self.open ^= bool((len(quotes) - old) % 2)

    def _refuse(self, what: str, place: int) -> NoReturn:
        raise DecodeError(
            f"{name_of(self.stream)} {what}, near byte {place} of its content. Correct the row or the file."
        )
