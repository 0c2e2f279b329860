"""Reads CSV row by row, in any encoding, with strict quotes."""

import csv
import functools
import io
import itertools
from collections import Counter
from operator import itemgetter
from typing import BinaryIO, Callable, Iterator, Sequence, cast

from dataset_assets.core.limits import FEW, Limits, limits, remedy
from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.streams import name_of
from dataset_assets.errors import DecodeError, UsageError, nearest

Record = tuple[int, list[str]]


def csv_rows(
    file: BinaryIO,
    *,
    columns: Sequence[str] | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8-sig",
    header: bool = True,
) -> Iterator[dict[str, str]]:
    """Read a CSV file row by row, each as a mapping of column to text.

    `columns` selects columns and their order; without a header, `columns` are the names of the fields. Misplaced quotes
    raise `DecodeError`. Blank lines are skipped. A row of more than `max_line_bytes`, or a file of more than
    `max_columns` columns, raises `DecodeError`; both are settings.

    >>> list(csv_rows(io.BytesIO(b"name,age\\nAda,36\\n"), columns=["age"]))
    [{'age': '36'}]
    """
    if columns is None and not header:
        raise UsageError("header=False needs the names of the fields. Pass them as `columns`.")
    records = _records(decompressed(file), delimiter, encoding)
    names, first = _names(file, records, columns, header)
    wanted, places = list(columns or names), {name: place for place, name in enumerate(names)}
    choose = _chooser([places[column] for column in wanted], len(names))
    for line, record in itertools.chain(first, records):
        if len(record) != len(names):
            raise DecodeError(
                f"{name_of(file)} has {len(record)} fields in the row that ends on line {line}; expected {len(names)}. "
                "Correct the row, or check the delimiter and the quotes."
            )
        yield dict(zip(wanted, choose(record) if choose else record))


def _names(
    file: BinaryIO, records: Iterator[Record], columns: Sequence[str] | None, header: bool
) -> tuple[list[str], list[Record]]:
    """Return the names of the fields, and the first row if it is not the header."""
    if columns is not None and not 0 < len(columns) == len(set(columns)):
        raise UsageError(f"`columns` is {list(columns)!r}. Name one column or more, each once.")
    first = next(records, None)
    if first is None:
        raise DecodeError(f"{name_of(file)} is empty: it has no row, not even a header. Check what its URL returns.")
    line, names = first
    if len(names) > FEW and len(names) > limits().max_columns:
        raise DecodeError(f"{name_of(file)} has {len(names)} columns on line {line}. {remedy('max_columns')}")
    if not header:
        return list(columns or (f"f{i}" for i in range(len(names)))), [first]
    known = set(names)
    if len(known) < len(names):
        counts = Counter(names)
        twice = next(name for name in names if counts[name] > 1)
        raise DecodeError(f"{name_of(file)} has {counts[twice]} columns named {twice[:80]!r}. Rename them.")
    for column in columns or ():
        if column not in known:
            raise DecodeError(f"{name_of(file)} has no column {column!r}.{nearest(column, names)}")
    return names, []


def _chooser(places: list[int], count: int) -> Callable[[list[str]], Sequence[str]] | None:
    """Return a function that selects these places of a row, or None if they are the whole row."""
    if places == list(range(count)):
        return None
    if len(places) == 1:
        return lambda record: (record[places[0]],)
    return itemgetter(*places)


def _records(stream: BinaryIO, delimiter: str, encoding: str) -> Iterator[Record]:
    """Yield each row: the number of its last line, and its fields."""
    counted = _Counted(stream, delimiter)
    reader = csv.reader(_lines(counted, encoding), delimiter=delimiter, strict=True)
    try:
        for record in reader:
            counted.row = 0
            if record:
                yield reader.line_num, record
    except (csv.Error, UnicodeDecodeError, _Nul, _TooLong) as error:
        raise DecodeError(f"{name_of(stream)} {_explained(error, reader.line_num, counted, encoding)}") from error


def _lines(counted: "_Counted", encoding: str) -> Iterator[str]:
    for line in io.TextIOWrapper(cast(BinaryIO, counted), encoding, newline=""):
        if "\0" in line:
            raise _Nul
        yield line


def _explained(error: Exception, lines: int, counted: "_Counted", encoding: str) -> str:
    """Return what is wrong with a file, after `lines` lines of it."""
    if isinstance(error, _TooLong):
        return f"has a row of more than {error} on line {lines + 1}. {remedy(error.setting)}"
    if isinstance(error, _Nul):
        return (
            f"has a NUL character on line {lines + 1}, so it is not {_plain(encoding)} text. "
            "Check the file, or pass csv_rows its encoding, such as utf-16."
        )
    if isinstance(error, UnicodeDecodeError):
        before = error.object[: error.start] + b"."
        return (
            f"is not {_plain(encoding)} text: {error.object[error.start : error.end]!r} at byte "
            f"{counted.bytes - len(error.object) + error.start} of its content, on line "
            f"{lines + len(before.splitlines())}. Correct it, or pass csv_rows its encoding, such as latin-1."
        )
    fix = "Raise csv.field_size_limit" if "field limit" in str(error) else "Correct the quotes in that row"
    return f"is not CSV on line {lines}: {error}. {fix}."


def _plain(encoding: str) -> str:
    return "UTF-8" if encoding == "utf-8-sig" else encoding


class _Nul(Exception):
    """A line contains a NUL character."""


class _TooLong(Exception):
    """A row exceeds a setting."""

    def __init__(self, passed: str, setting: str) -> None:
        super().__init__(passed)
        self.setting = setting


class _Counted(io.BufferedIOBase):
    """Counts the bytes that a text reader reads. Closing it leaves the stream open, because the caller owns it.

    The reader of rows resets `row` to 0 after each row, so `row` counts the bytes of a row that is not complete.
    """

    def __init__(self, stream: BinaryIO, delimiter: str) -> None:
        self.stream, self.delimiter = stream, delimiter.encode()
        self.bytes = self.row = self.columns = 0
        self.block = b""

    def readable(self) -> bool:
        return True

    def read1(self, size: int = -1, /) -> bytes:
        # Most rows are shorter than a block.
        if self.row:
            self._check_row()
        self.block = self.stream.read(size)
        self.bytes += len(self.block)
        self.row += len(self.block)
        return self.block

    def _check_row(self) -> None:
        line, columns = self.limits.max_line_bytes, self.limits.max_columns
        # A row has fewer columns than bytes, so they are counted only in a long row; and not if a single field may be
        # long enough to hold as many delimiters.
        count = self.row > columns >= csv.field_size_limit()
        self.columns = self.columns + self.block.count(self.delimiter) if count else 0
        if self.row > line:
            raise _TooLong(f"{line} bytes", "max_line_bytes")
        if self.columns > columns:
            raise _TooLong(f"{columns} columns", "max_columns")

    @functools.cached_property
    def limits(self) -> Limits:
        return limits()


def peeked_names(file: BinaryIO, columns: Sequence[str] | None, delimiter: str, header: bool) -> tuple[list[str], int]:
    """Return the names of the fields and the approximate bytes of their row; keeps the position of the file."""
    start = file.tell()
    names, _ = _names(file, _records(decompressed(file), delimiter, "utf-8-sig"), columns, header)
    file.seek(start)
    return names, sum(map(len, names)) + len(names)
