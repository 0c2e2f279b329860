"""CSV, row by row: strict, in any encoding, whatever was quoted."""

import csv
import io
import itertools
from operator import itemgetter
from typing import BinaryIO, Callable, Iterator, Sequence, cast

from dataset_assets.decoding.compressed import decompressed, name_of
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

    With `columns` only these are given, in this order; without a header they are the names of the fields. Quotes are
    read strictly. Blank lines are no rows.

    >>> list(csv_rows(io.BytesIO(b"name,age\\nAda,36\\n"), columns=["age"]))
    [{'age': '36'}]
    """
    if columns is None and not header:
        raise UsageError("A CSV file without a header has fields without names. Pass them as `columns`.")
    records = _records(decompressed(file), delimiter, encoding)
    names, first = _names(file, records, columns, header)
    wanted = list(columns or names)
    choose = _chooser([names.index(column) for column in wanted], len(names))
    for line, record in itertools.chain(first, records):
        if len(record) != len(names):
            raise DecodeError(
                f"{name_of(file)} has {len(record)} fields in the row that ends on line {line}; expected {len(names)}. "
                "Mend the row, or check the delimiter and the quotes."
            )
        yield dict(zip(wanted, choose(record)))


def _names(
    file: BinaryIO, records: Iterator[Record], columns: Sequence[str] | None, header: bool
) -> tuple[list[str], list[Record]]:
    """Return the names of the fields, and the first row where it was read for them."""
    if columns is not None and not 0 < len(columns) == len(set(columns)):
        raise UsageError(f"`columns` is {list(columns)!r}. Name one column or more, each once.")
    first = next(records, None)
    if first is None:
        raise DecodeError(f"{name_of(file)} is empty: it has no row, not even a header. Check what its URL answers.")
    if not header:
        return list(columns or (f"f{i}" for i in range(len(first[1])))), [first]
    names = first[1]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DecodeError(f"{name_of(file)} has {names.count(twice)} columns named {twice!r}. Rename them.")
    for column in columns or ():
        if column not in names:
            raise DecodeError(f"{name_of(file)} has no column {column!r}.{nearest(column, names)}")
    return names, []


def _chooser(places: list[int], count: int) -> Callable[[list[str]], Sequence[str]]:
    if places == list(range(count)):
        return lambda record: record
    if len(places) == 1:
        return lambda record: (record[places[0]],)
    return itemgetter(*places)


def _records(stream: BinaryIO, delimiter: str, encoding: str) -> Iterator[Record]:
    """Yield the number of its last line, and the fields, of each row."""
    reader = csv.reader(_lines(stream, encoding), delimiter=delimiter, strict=True)
    try:
        for record in reader:
            if record:
                yield reader.line_num, record
    except csv.Error as error:
        remedy = "Raise csv.field_size_limit" if "field limit" in str(error) else "Mend the quotes of the row there"
        raise DecodeError(f"{name_of(stream)} is not CSV on line {reader.line_num}: {error}. {remedy}.") from error


def _lines(stream: BinaryIO, encoding: str) -> Iterator[str]:
    counted = _Counted(stream)
    number = 0
    try:
        for number, line in enumerate(io.TextIOWrapper(cast(BinaryIO, counted), encoding, newline=""), 1):
            if "\0" in line:
                raise DecodeError(
                    f"{name_of(stream)} has a NUL character on line {number}, so it is not {_plain(encoding)} text. "
                    "Check the file, or pass csv_rows its encoding, such as utf-16."
                )
            yield line
    except UnicodeDecodeError as error:
        before = error.object[: error.start] + b"."
        raise DecodeError(
            f"{name_of(stream)} is not {_plain(encoding)} text: {error.object[error.start : error.end]!r} at byte "
            f"{counted.bytes - len(error.object) + error.start} of its content, on line "
            f"{number + len(before.splitlines())}. Mend it, or pass csv_rows its encoding, such as latin-1."
        ) from error


def _plain(encoding: str) -> str:
    return "UTF-8" if encoding == "utf-8-sig" else encoding


class _Counted(io.BufferedIOBase):
    """Counts what a text reader takes; closing it leaves the stream open, which is the caller's."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.bytes = 0

    def readable(self) -> bool:
        return True

    def read1(self, size: int = -1, /) -> bytes:
        data = self.stream.read(size)
        self.bytes += len(data)
        return data


def peeked_names(file: BinaryIO, columns: Sequence[str] | None, delimiter: str, header: bool) -> list[str]:
    """Return the names of the fields, and leave the file where it was."""
    start = file.tell()
    names, _ = _names(file, _records(decompressed(file), delimiter, "utf-8-sig"), columns, header)
    file.seek(start)
    return names
