"""Reads the rows of a CSV file as lists of text, with the numbers of their lines."""

import csv
import functools
import io
import itertools
import re
from typing import Any, BinaryIO, Iterator, NoReturn, cast

from dataset_assets.core.limits import Limits, limits, remedy
from dataset_assets.decoding.csv_dialect import CHECKED, MARK, Dialect, Doubtful
from dataset_assets.decoding.streams import name_of
from dataset_assets.errors import DecodeError

Record = tuple[int, list[str]]
BYTE_ORDER_MARK = "\ufeff"

_LINE_END = re.compile(r"\r\n|\r|\n")
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
_FREE_TEXT = "Pass quoting=None if quotes are plain text in this file"


def records(stream: BinaryIO, dialect: Dialect, line: int = 0, byte: int = 0) -> Iterator[Record]:
    """Yield each row: the number of its last line, and its fields. `line` lines and `byte` bytes come before."""
    counted = _Counted(stream, dialect, byte)
    lines = _Lines(counted, dialect, line)
    options: dict[str, Any] = {"quotechar": dialect.quote} if dialect.quote else {"quoting": csv.QUOTE_NONE}
    reader = csv.reader(iter(lines), delimiter=dialect.separator, strict=True, **options)
    last, cells = 0, dialect.cells if dialect.changes_cells else None
    checked, delimiter = dialect.quoting == CHECKED, dialect.separator
    try:
        for record in reader:
            counted.row, lines.open, now = 0, False, reader.line_num
            if record:
                if checked and now - last > 1 and looks_like_rows(record, delimiter):
                    _refuse_lines(record, dialect, lines, last, now)
                yield now + lines.dropped, cells(record) if cells else record
            last = now
    except (csv.Error, UnicodeError, Doubtful, _Nul, _TooLong, _Marked) as error:
        raise DecodeError(f"{name_of(stream)} {_explained(error, last, reader.line_num, lines)}") from error


def looks_like_rows(record: list[str], delimiter: str) -> bool:
    """Return whether each line of a row would be a row itself if quotes were plain text.

    With tabs, which are rare in text, as many fields in each line are enough; else one must be a number in all lines.
    """
    text = delimiter.join(record)
    # Most fields of several lines fail this fast test.
    if (end := text.find("\n")) >= 0 and text.count(delimiter, 0, end) != len(record) - 1:
        return False
    rows = [line.split(delimiter) for line in _LINE_END.split(text)]
    if len(rows) < 2 or len(record) < 2 or any(len(row) != len(record) for row in rows):
        return False
    return delimiter == "\t" or any(all(map(_NUMBER.fullmatch, column)) for column in zip(*rows))


def refuse_width(name: str, found: int, line: int, expected: int) -> NoReturn:
    """Raise the error for a row with another number of fields than the first one."""
    raise DecodeError(
        f"{name} has {found} fields in the row that ends on line {line}; expected {expected}. Correct the row, or "
        "check the delimiter and the quotes."
    )


def _refuse_lines(record: list[str], dialect: Dialect, lines: "_Lines", last: int, now: int) -> NoReturn:
    raise DecodeError(
        f"{name_of(lines.counted.stream)} has a quoted field on lines {last + 1 + lines.dropped} to "
        f"{now + lines.dropped} that looks like rows: each line has {len(record)} fields. {_FREE_TEXT}, or "
        f"quoting={dialect.quote!r} if the field is right."
    )


class _Lines:
    """The lines of a file that belong to rows."""

    def __init__(self, counted: "_Counted", dialect: Dialect, before: int) -> None:
        self.counted, self.dialect = counted, dialect
        self.dropped = before
        """How many lines were left out so far."""
        self.open = False
        """Whether a row has begun and not ended."""

    def __iter__(self) -> Iterator[str]:
        text = self._text()
        for _ in range(self.dialect.skip):
            if not next(text, ""):
                return
            self.counted.row = 0
            self.dropped += 1
        lines = text if self.dialect.comment is None else self._without_comments(text, self.dialect.comment)
        for line in lines if self.dialect.separator == self.dialect.delimiter else map(self._marked, lines):
            if "\0" in line:
                raise _Nul
            yield line

    def _text(self) -> Iterator[str]:
        """Return the lines of the text, without the byte order mark that some encodings keep."""
        first = not self.counted.bytes
        text = io.TextIOWrapper(cast(BinaryIO, self.counted), self.dialect.encoding, newline="")
        begin = itertools.islice(text, 1) if first else ()
        return itertools.chain((line.removeprefix(BYTE_ORDER_MARK) for line in begin), text)

    def _without_comments(self, text: Iterator[str], comment: str) -> Iterator[str]:
        for line in text:
            if not self.open and line.startswith(comment):
                self.dropped += 1
                self.counted.row = 0
            else:
                self.open = True
                yield line

    def _marked(self, line: str) -> str:
        """Return a line with `MARK` for each delimiter."""
        if MARK in line:
            raise _Marked
        if self.dialect.delimiter is not None:
            return line.replace(self.dialect.delimiter, MARK)
        content = line.rstrip("\r\n")
        return _blanks(self.dialect.quote).sub(_mark_unless_quoted, content.strip(" \t")) + line[len(content) :]


@functools.cache
def _blanks(quote: str | None) -> re.Pattern[str]:
    """Return a pattern of a quoted field or of white space."""
    if quote is None:
        return re.compile("[ \t]+")
    mark = re.escape(quote)
    return re.compile(f"{mark}(?:[^{mark}]|{mark}{mark})*{mark}|[ \t]+")


def _mark_unless_quoted(found: re.Match[str]) -> str:
    return MARK if found[0][0] in " \t" else found[0]


def _explained(error: Exception, last: int, now: int, lines: _Lines) -> str:
    """Return what is wrong with a file, of which `now` lines were read, `last` of them before this row."""
    here, encoding, counted = now + lines.dropped, _plain(lines.dialect.encoding), lines.counted
    if isinstance(error, _TooLong):
        return f"has a row of more than {error} on line {here + 1}. {remedy(error.setting)}"
    if isinstance(error, _Nul):
        return (
            f"has a NUL character on line {here + 1}, so it is not {encoding} text. "
            "Check the file, or pass its encoding, such as encoding='utf-16'."
        )
    if isinstance(error, Doubtful):
        return (
            f"has {str(error)[:80]!r} in the row that ends on line {here}, which may be a fraction or thousands. With "
            "decimal='.' the numbers are texts as they are written, which you can convert."
        )
    if isinstance(error, _Marked):
        return f"has the control character {MARK!r} on line {here + 1}. Remove it, or use a delimiter of one character."
    if isinstance(error, UnicodeDecodeError):
        before = error.object[: error.start] + b"."
        byte = counted.bytes - len(error.object) + error.start
        wide = not byte and error.object.startswith((b"\xff\xfe", b"\xfe\xff"))
        return (
            f"is not {encoding} text: {error.object[error.start : error.end]!r} at byte {byte} of its content, on line "
            f"{here + len(before.splitlines())}. Correct it, or pass its encoding, such as "
            f"encoding={'utf-16' if wide else 'latin-1'!r}."
        )
    if isinstance(error, UnicodeError):
        return f"is not {encoding} text: {error}. Pass its encoding, such as encoding='utf-8'."
    if "field limit" in str(error):
        return f"is not CSV on line {here}: {error}. Raise csv.field_size_limit."
    start = f", in the row that begins on line {last + 1 + lines.dropped}" if now > last + 1 else ""
    return f"is not CSV on line {here}{start}: {error}. Correct the quotes in that row. {_FREE_TEXT}."


def _plain(encoding: str) -> str:
    return "UTF-8" if encoding == "utf-8-sig" else encoding


class _Nul(Exception):
    """A line contains a NUL character."""


class _Marked(Exception):
    """A line contains the character that stands for a delimiter."""


class _TooLong(Exception):
    """A row exceeds a setting."""

    def __init__(self, passed: str, setting: str) -> None:
        super().__init__(passed)
        self.setting = setting


class _Counted(io.BufferedIOBase):
    """Counts the bytes that a text reader reads. Closing it leaves the stream open, because the caller owns it.

    The reader of rows resets `row` to 0 after each row, so `row` counts the bytes of a row that is not complete.
    """

    def __init__(self, stream: BinaryIO, dialect: Dialect, byte: int) -> None:
        self.stream, self.delimiter = stream, (dialect.delimiter or " ").encode()
        self.bytes, self.row, self.columns = byte, 0, 0
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
