"""Reads sheets of Excel files (`.xlsx`) with openpyxl, which is imported on use."""

import io
from contextlib import contextmanager
from itertools import count
from typing import Any, BinaryIO, Iterator, Sequence
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

from dataset_assets.core.extras import needed
from dataset_assets.core.limits import SMALL, limits, remedy
from dataset_assets.decoding.streams import RETRIEVE_AGAIN, check_file, name_of
from dataset_assets.decoding.zip_file import zip_members
from dataset_assets.errors import DecodeError, UsageError, nearest


def excel(
    file: BinaryIO,
    *,
    sheet: str | None = None,
    header: bool = True,
    columns: Sequence[str] | None = None,
    skip: int = 0,
) -> Iterator[dict[str, Any]]:
    """Read a sheet of an `.xlsx` file, row by row: numbers, texts, booleans, dates, and None for an empty cell.

    Without `sheet`, the file must have one. The first row after `skip` rows has the names of the columns; with
    `header=False`, `columns` names them. Rows without values are left out. A formula has the value that was stored with
    it; an empty text of a formula, and an error such as `#N/A`, are None. Raises `DecodeError` for a file that is
    damaged, for a formula without a stored value, and for values beside the named columns.
    `pip install 'dataset_assets[excel]'` installs openpyxl.
    """
    check_file(file)
    openpyxl = needed("openpyxl", "excel")
    if not header and columns is None:
        raise UsageError("header=False was given without columns. Name them: columns=['id', 'text'].")
    with _refused(file):
        _check_sizes(file)
        book = openpyxl.load_workbook(_rewound(file), read_only=True, data_only=True)
        rows = _cells(book, chosen := _sheet(file, book, sheet), skip)
        names = _names(file, next(rows, ()) if header else columns)
        written = _Written(file, chosen, skip + header)
        for number, row in enumerate(rows):
            values = [None if cell.data_type == "e" else cell.value for cell in row]
            for at, value in enumerate(values):
                # "str" is the empty text of a formula, as in `=IF(A2="", "", A2)`.
                if value is None and row[at].data_type not in ("e", "str"):
                    written.check(number, at)
            if any(value is not None for value in values[len(names) :]):
                raise DecodeError(
                    f"{name_of(file)} has a value beside its columns in row {number + skip + header + 1}."
                )
            if any(value is not None for value in values):
                yield dict(zip(names, values[: len(names)] + [None] * (len(names) - len(values))))


def _check_sizes(file: BinaryIO) -> None:
    """Raise `DecodeError` if a part that is held in memory, such as that of all texts, is too large."""
    most = max(limits().max_value_bytes, SMALL)
    for member in zip_members(file):
        if not member.name.startswith("xl/worksheets/") and member.seek(0, io.SEEK_END) > most:
            raise DecodeError(
                f"{member.name} of {name_of(file)} has more than {most} bytes. {remedy('max_value_bytes')}"
            )


def _rewound(file: BinaryIO) -> BinaryIO:
    file.seek(0)
    return file


def _sheet(file: BinaryIO, book: Any, sheet: str | None) -> str:
    names = book.sheetnames
    if sheet is None and len(names) == 1:
        return str(names[0])
    if sheet not in names:
        what = f"no sheet {sheet!r}" if sheet is not None else f"the sheets {', '.join(names)}"
        raise UsageError(f"{name_of(file)} has {what}. Name one: sheet={names[0]!r}.{nearest(str(sheet), names)}")
    return str(sheet)


def _cells(book: Any, sheet: str, skip: int) -> Iterator[Any]:
    page = book[sheet]
    # The size that a file states may be too small.
    page.reset_dimensions()
    rows = iter(page.iter_rows())
    for _ in range(skip):
        next(rows, None)
    yield from rows


def _names(file: BinaryIO, found: Any) -> list[str]:
    names = [
        str(getattr(cell, "value", cell)) if getattr(cell, "value", cell) is not None else "" for cell in found or ()
    ]
    while names and not names[-1]:
        names.pop()
    if not names or "" in names:
        raise DecodeError(
            f"The first row of {name_of(file)} does not name each column. Skip the rows before it: skip=1. Or "
            "name them: header=False, columns=['id', 'text']."
        )
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DecodeError(f"{name_of(file)} has several columns named {twice!r}. Rename all but one.")
    return names


class _Written:
    """The cells as they were written, with their formulas. They are read beside the values, when one is missing."""

    def __init__(self, file: BinaryIO, sheet: str, skip: int) -> None:
        self.file, self.sheet, self.skip = file, sheet, skip
        self.rows: Iterator[Any] | None = None
        self.numbers, self.row, self.number = count(), (), -1

    def check(self, number: int, at: int) -> None:
        """Raise `DecodeError` if a cell without a value has a formula."""
        if self.rows is None:
            book = needed("openpyxl", "excel").load_workbook(_rewound(self.file), read_only=True)
            self.rows = _cells(book, self.sheet, self.skip)
        while self.number < number:
            self.row, self.number = next(self.rows, ()), next(self.numbers)
        if at < len(self.row) and self.row[at].data_type == "f":
            raise DecodeError(
                f"{name_of(self.file)} has a formula without a stored value in cell {self.row[at].coordinate} of "
                f"{self.sheet}. Open the file in a spreadsheet program, and save it."
            )


@contextmanager
def _refused(file: BinaryIO) -> Iterator[None]:
    """Raise `DecodeError` for what openpyxl cannot read."""
    try:
        yield
    except (BadZipFile, ParseError, KeyError, ValueError, TypeError, IndexError, AttributeError, EOFError) as error:
        if isinstance(error, (DecodeError, UsageError)):
            raise
        raise DecodeError(f"{name_of(file)} cannot be read as Excel: {str(error)[:300]}. {RETRIEVE_AGAIN}") from error
