"""Cuts a CSV file into texts of whole rows, for pyarrow."""

import csv
import io
from dataclasses import dataclass, replace
from typing import BinaryIO, Callable, Iterator, cast

import numpy as np
from numpy.typing import NDArray

from dataset_assets.core.limits import limits
from dataset_assets.decoding.csv_dialect import CHECKED, Dialect
from dataset_assets.decoding.csv_records import Record, looks_like_rows, records, refuse_width
from dataset_assets.decoding.streams import exactly, name_of

BLOCK = 8 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Text:
    """Whole rows of a CSV file as text."""

    name: str
    data: bytes
    delimiter: str
    quote: str | None
    rows: Callable[[], Iterator[Record]]
    """Parses the text again, for an error: the rows with the numbers of their last lines."""


def plain_texts(opened: Callable[[], BinaryIO], written: Dialect, width: int, before: int) -> Iterator[Text]:
    """Yield a file's own text after the first `before` lines, in pieces that pyarrow can read as they are.

    `opened` opens the file from its start; it is opened again to count lines for an error.

    From where pyarrow would not read the text as it is meant, the rows are rewritten; `DecodeError` is raised for what
    `csv_rows` refuses: NULs, bytes that are not UTF-8, misplaced quotes.
    """
    stream, size = opened(), min(BLOCK, limits().max_line_bytes)
    data, byte, line = exactly(stream, size), 0, 0
    if data.startswith(_BYTE_ORDER_MARK):
        data, byte = data[3:], 3
    while data:
        more = exactly(stream, size)
        if line < before:
            end, lines = _end_of_lines(data, before - line, not more)
            line += lines
        else:
            quotes = _places(data, written.quote)
            end = len(data) if not more else _end_of_rows(data, quotes)
            if end:
                text = _text(opened, name_of(stream), data[:end], written, byte)
                if not _fits(text, quotes[: np.searchsorted(quotes, end)], written, width):
                    if not len(quotes):  # then only bytes are wrong, and their error needs no rewriting
                        explain(text, width)
                    yield from _rest(opened, written, width, byte)
                    return
                yield text
        if not end and len(data) > limits().max_line_bytes:
            yield from _rest(opened, written, width, byte)
            return
        byte += end
        data = data[end:] + more


def rewritten_texts(rows: Iterator[Record], name: str, width: int) -> Iterator[Text]:
    """Yield rows as text in the dialect that pyarrow reads."""
    size, lines = min(BLOCK, limits().max_line_bytes), list[int]()
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow
    for line, record in rows:
        if len(record) != width:
            refuse_width(name, len(record), line, width)
        write(record)
        lines.append(line)
        if out.tell() >= size:
            yield _rewritten(name, out.getvalue(), lines)
            lines = []
            out.seek(0)
            out.truncate()
    if lines:
        yield _rewritten(name, out.getvalue(), lines)


def _lines_before(stream: BinaryIO, byte: int) -> int:
    """Return the number of lines that end before a byte."""
    count, last = 0, b""
    while byte > 0 and (data := stream.read(min(byte, 1 << 20))):
        count += data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")
        count -= last == b"\r" and data.startswith(b"\n")
        byte, last = byte - len(data), data[-1:]
    return count


def _rewritten(name: str, text: str, lines: list[int]) -> Text:
    def rows() -> Iterator[Record]:
        return zip(lines, csv.reader(io.StringIO(text, newline="")))

    return Text(name, text.encode(), ",", '"', rows)


def _text(opened: Callable[[], BinaryIO], name: str, data: bytes, written: Dialect, byte: int) -> Text:
    def rows() -> Iterator[Record]:
        file = io.BytesIO(data)
        file.name = name
        return records(file, replace(written, skip=0), _lines_before(opened(), byte), byte)

    return Text(name, data, cast(str, written.delimiter), written.quote, rows)


def _end_of_lines(data: bytes, count: int, last: bool) -> tuple[int, int]:
    """Return where so many lines end, or as many as are complete, and their number."""
    end = 0
    for number in range(count):
        places = [place for place in (data.find(b"\n", end), data.find(b"\r", end)) if place >= 0]
        if not places:
            return (len(data), count) if last else (end, number)
        place = min(places)
        if not last and place == len(data) - 1 and data.endswith(b"\r"):
            return end, number
        end = place + (2 if data.startswith(b"\r\n", place) else 1)
    return end, count


def _places(data: bytes, quote: str | None) -> NDArray[np.intp]:
    if quote is None or quote.encode() not in data:
        return np.empty(0, np.intp)
    return np.flatnonzero(np.frombuffer(data, np.uint8) == ord(quote))


def _end_of_rows(data: bytes, quotes: NDArray[np.intp]) -> int:
    """Return where the last complete row ends; 0 if none does. Quotes open and close a field in turn."""
    end = len(data) if len(quotes) % 2 == 0 else int(quotes[-1])
    while end > 0:
        # The last byte may be the first half of a line end.
        place = max(data.rfind(b"\n", 0, end), data.rfind(b"\r", 0, min(end, len(data) - 1)))
        inside = int(np.searchsorted(quotes, place))
        if inside % 2 == 0:
            return place + 1
        end = int(quotes[inside - 1])
    return 0


def _fits(text: Text, quotes: NDArray[np.intp], written: Dialect, width: int) -> bool:
    """Return whether pyarrow reads a text as it is meant."""
    if b"\0" in text.data or not _is_utf_8(text.data):
        return False
    if not len(quotes):
        return True
    return _quotes_fit(text, quotes) and not (written.quoting == CHECKED and _swallows(text, quotes, width))


def _rest(opened: Callable[[], BinaryIO], written: Dialect, width: int, byte: int) -> Iterator[Text]:
    """Yield the rows from a byte on, rewritten for pyarrow."""
    line = _lines_before(opened(), byte)
    stream = opened()
    stream.seek(byte, io.SEEK_CUR)
    rows = records(stream, replace(written, skip=0), line, byte)
    return rewritten_texts(rows, name_of(stream), width)


def explain(text: Text, width: int) -> None:
    """Raise the error that `csv_rows` raises for this text; return if it has none."""
    for line, record in text.rows():
        if len(record) != width:
            refuse_width(text.name, len(record), line, width)


def _is_utf_8(data: bytes) -> bool:
    try:
        return data.isascii() or data.decode() is not None
    except UnicodeDecodeError:
        return False


def _quotes_fit(text: Text, quotes: NDArray[np.intp]) -> bool:
    """Return whether quotes are at the edges of fields only.

    A doubled quote closes the field and opens it again. So before each opening quote, and after each closing one, there
    must be a delimiter, an end of line or a quote.
    """
    edges = np.zeros(256, bool)
    edges[list(f"{text.quote}{text.delimiter}\r\n".encode())] = True
    data = np.frombuffer(text.data, np.uint8)
    before, after = quotes[::2] - 1, quotes[1::2] + 1
    sides = np.concatenate([before[before >= 0], after[after < len(data)]])
    return len(quotes) % 2 == 0 and bool(edges[data[sides]].all())


def _swallows(text: Text, quotes: NDArray[np.intp], width: int) -> bool:
    """Return whether a quoted field of several lines looks like rows."""
    data = np.frombuffer(text.data, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    inside = np.searchsorted(quotes, ends) % 2 == 1
    # Of each row of several lines: where it begins, and where its first line ends.
    firsts = np.flatnonzero(inside & ~np.concatenate([[False], inside[:-1]]))
    if not len(firsts):
        return False
    starts = np.where(firsts > 0, ends[firsts - 1] + 1, 0)
    delimiters = np.flatnonzero(data == ord(text.delimiter))
    fields = np.searchsorted(delimiters, ends[firsts]) - np.searchsorted(delimiters, starts) + 1
    # The line end that closes each of them; the last row may have none.
    closed = np.append(ends[~inside], len(data))
    stops = closed[np.searchsorted(closed, ends[firsts])]
    return any(
        looks_like_rows(_row(text, text.data[starts[k] : stops[k]]), text.delimiter)
        for k in np.flatnonzero(fields == width)
    )


def _row(text: Text, data: bytes) -> list[str]:
    return next(csv.reader(io.StringIO(data.decode(), newline=""), delimiter=text.delimiter, quotechar=text.quote))
