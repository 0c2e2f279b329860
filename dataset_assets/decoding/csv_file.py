"""Reads CSV row by row, in any encoding, with strict quotes."""

import itertools
import re
from collections import Counter
from operator import itemgetter
from typing import Any, BinaryIO, Callable, Collection, Iterator, Sequence

from dataset_assets.core.limits import FEW, limits, remedy
from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.csv_dialect import CHECKED, check_columns, dialect
from dataset_assets.decoding.csv_records import Record, records, refuse_width
from dataset_assets.decoding.streams import name_of
from dataset_assets.errors import DecodeError, UsageError, nearest

_FOREIGN = re.compile(r"\s*<(!doctype|html|\?xml)|PK\x03\x04|PAR1|%PDF|version https://git-lfs", re.IGNORECASE)
# Numbers that are rarely names of columns, other than years and counts.
_DATA = re.compile(r"\s*([-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?|-\d+)\s*")


def csv_rows(
    file: BinaryIO,
    *,
    columns: Sequence[str] | None = None,
    delimiter: str | None = ",",
    encoding: str = "utf-8-sig",
    header: bool = True,
    quoting: str | None = CHECKED,
    skip: int = 0,
    comment: str | None = None,
    decimal: str = ".",
    nulls: Collection[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Read a CSV file row by row, each as a mapping of column to text.

    `columns` selects columns and their order; without a header, `columns` are the names of the fields. `delimiter` is
    one character or more, or None for white space. `skip` lines before the header are left out, and lines that begin
    with `comment`. With `decimal=","`, numbers such as `1,5` are given as `1.5`. Texts in `nulls` are given as None.

    Misplaced quotes raise `DecodeError`, and so does a quoted field of several lines that each look like a row.
    `quoting=None` reads quotes as plain text; `quoting='"'` believes such fields, and may be another character. Blank
    lines are skipped. A first row of numbers, a row of more than `max_line_bytes`, or a file of more than `max_columns`
    columns, raises `DecodeError`; both are settings. Errors name the line in the file, from 1 on.

    >>> import io
    >>> list(csv_rows(io.BytesIO(b"name,age\\nAda,36\\n"), columns=["age"]))
    [{'age': '36'}]
    """
    written = dialect(delimiter, quoting, encoding, skip, comment, decimal, nulls)
    check_columns(columns, header)
    if columns is None and not header:
        raise UsageError("header=False needs the names of the fields, such as header=False, columns=['id', 'text'].")
    rows = records(decompressed(file), written)
    names, first, _ = names_of(name_of(file), rows, columns, header)
    wanted, places = list(columns or names), {name: place for place, name in enumerate(names)}
    choose = _chooser([places[column] for column in wanted], len(names))
    for line, record in itertools.chain(first, rows):
        if len(record) != len(names):
            refuse_width(name_of(file), len(record), line, len(names))
        values: Sequence[Any] = choose(record) if choose else record
        if written.nulls:
            values = [None if text in written.nulls else text for text in values]
        yield dict(zip(wanted, values))


def names_of(
    name: str, rows: Iterator[Record], columns: Sequence[str] | None, header: bool
) -> tuple[list[str], list[Record], int]:
    """Return the names of the fields; the first row, if it is not the header; and the line on which it ends."""
    first = next(rows, None)
    if first is None:
        raise DecodeError(f"{name} is empty: it has no row, not even a header. Check what its URL returns.")
    line, names = first
    if (header or len(names) == 1) and _FOREIGN.match(names[0]):
        raise DecodeError(f"{name} begins with {names[0][:40]!r}, so it is not CSV. Check what its URL returns.")
    if len(names) > FEW and len(names) > limits().max_columns:
        raise DecodeError(f"{name} has {len(names)} columns on line {line}. {remedy('max_columns')}")
    if not header:
        return list(columns or (f"f{i}" for i in range(len(names)))), [first], line
    _check_names(name, names, columns, line)
    return names, [], line


def _check_names(name: str, names: list[str], columns: Sequence[str] | None, line: int) -> None:
    """Raise `DecodeError` if names are equal, a column is not there, or the header is rather a row of data."""
    known = set(names)
    if len(known) < len(names):
        counts = Counter(names)
        twice = next(name for name in names if counts[name] > 1)
        raise DecodeError(f"{name} has {counts[twice]} columns named {twice[:80]!r}. Rename them. {_no_header(line)}")
    for column in columns or ():
        if column not in known:
            hint = f" {_no_header(line)}" if any(map(_DATA.fullmatch, names)) else ""
            raise DecodeError(f"{name} has no column {column!r}.{nearest(column, names)}{hint}")
    if columns is None and (value := next(filter(_DATA.fullmatch, names), None)):
        raise DecodeError(
            f"{name} has the number {value!r} as the name of a column. {_no_header(line)} If it is a name, select "
            f"columns: columns=[{value!r}]."
        )


def _no_header(line: int) -> str:
    return f"If line {line} is data, name the fields: header=False, columns=['id', 'text']."


def _chooser(places: list[int], count: int) -> Callable[[list[str]], Sequence[str]] | None:
    """Return a function that selects these places of a row, or None if they are the whole row."""
    if places == list(range(count)):
        return None
    if len(places) == 1:
        return lambda record: (record[places[0]],)
    return itemgetter(*places)
