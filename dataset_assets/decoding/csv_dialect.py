"""How a CSV file is written: delimiter, quotes, encoding, lines to skip, missing values, numbers."""

import csv
import re
from dataclasses import dataclass
from typing import Any, Iterable, Sequence

from dataset_assets.decoding.streams import check_encoding
from dataset_assets.errors import UsageError

CHECKED = "checked"
MARK = "\x1f"
"""Stands for a delimiter that is not one character, while a line is parsed."""
_WHITE_SPACE = (None, r"\s+")
_THOUSANDS = re.compile(r"\s*[-+]?[1-9]\d{0,2}(\.\d{3})+\s*")
_DECIMAL = re.compile(r"\s*[-+]?(\d+,\d*|,\d+)([eE][-+]?\d+)?\s*")
_UTF_8 = {"utf8", "utf8sig", "u8"}


class Doubtful(Exception):
    """A number is 1.234 or 1234: it has a point, in a file with decimal commas."""


@dataclass(frozen=True)
class Dialect:
    """The options of `csv_rows` and `csv_blocks` that say how a file is written."""

    delimiter: str | None
    quoting: str | None
    encoding: str
    skip: int
    comment: str | None
    decimal: str
    nulls: frozenset[str] | None

    @property
    def separator(self) -> str:
        """The character between the fields of a line when it is parsed."""
        return self.delimiter if self.delimiter is not None and len(self.delimiter) == 1 else MARK

    @property
    def quote(self) -> str | None:
        """The quote character; None if quotes are plain text."""
        return '"' if self.quoting == CHECKED else self.quoting

    @property
    def plain(self) -> bool:
        """Whether pyarrow can read such a file itself."""
        utf_8 = re.sub("[-_ ]", "", self.encoding.lower()) in _UTF_8
        return utf_8 and self.separator == self.delimiter and self.comment is None and self.decimal == "."

    def cells(self, record: list[str]) -> list[str]:
        """Return the fields of a row, with the delimiters and the decimal points that were meant."""
        if self.delimiter is None and any(MARK in text for text in record):
            raise csv.Error("a quoted field goes over the end of a line")
        if self.delimiter is not None and self.separator != self.delimiter:
            record = [text.replace(MARK, self.delimiter) for text in record]
        if self.decimal == ",":
            if doubtful := next((text for text in record if "." in text and _THOUSANDS.fullmatch(text)), None):
                raise Doubtful(doubtful)
            record = [_with_point(text) for text in record]
        return record

    @property
    def changes_cells(self) -> bool:
        """Whether `cells` may change a row."""
        return self.decimal != "." or self.separator != self.delimiter


def dialect(delimiter: Any, quoting: Any, encoding: Any, skip: Any, comment: Any, decimal: Any, nulls: Any) -> Dialect:
    """Return the dialect of these options. Raises `UsageError` for values that are not valid."""
    check_encoding(encoding)
    delimiter = None if delimiter in _WHITE_SPACE else delimiter
    if quoting is not None and quoting != CHECKED and not _single(quoting):
        raise UsageError(
            f"quoting={quoting!r} is not valid. Use a quote character, such as '\"', or None if quotes are plain text."
        )
    _check_delimiter(delimiter, '"' if quoting == CHECKED else quoting)
    if isinstance(skip, bool) or not isinstance(skip, int) or skip < 0:
        raise UsageError(f"skip={skip!r} is not a number of lines. Use 0 or more.")
    if comment is not None and (not isinstance(comment, str) or not comment or set(comment) & set("\r\n")):
        raise UsageError(
            f"comment={comment!r} is not valid. Use what such lines begin with, as in comment='#', or None."
        )
    if decimal not in (".", ","):
        raise UsageError(f"decimal={decimal!r} is not valid. Use '.' or ','.")
    missing = _null_texts(nulls)
    if missing and decimal == ",":
        # They are compared with numbers that have points already.
        missing |= set(map(_with_point, missing))
    return Dialect(delimiter, quoting, encoding, skip, comment, decimal, missing)


def check_columns(columns: Sequence[str] | None, header: bool) -> None:
    """Raise `UsageError` for names of columns, or a `header`, that are not valid."""
    if not isinstance(header, bool):
        raise UsageError(f"header={header!r} is not valid. Use True if the first row has the names, else False.")
    if columns is None:
        return
    listed = [] if isinstance(columns, str) or not isinstance(columns, Iterable) else list(columns)
    if not all(isinstance(name, str) for name in listed) or not 0 < len(listed) == len(set(listed)):
        raise UsageError(f"`columns` is {columns!r}. Name one column or more in a list, each once.")


def _check_delimiter(delimiter: Any, quote: str | None) -> None:
    if delimiter is None:
        return
    if not isinstance(delimiter, str) or not delimiter or not delimiter.isascii():
        raise UsageError(
            f"delimiter={delimiter!r} is not valid. Use one ASCII character or more, such as ',' or '\\t', or None for "
            "white space."
        )
    if set(delimiter) & {"\r", "\n", "\0", MARK, quote}:
        raise UsageError(f"delimiter={delimiter!r} contains a quote, a line end or a control character. Use another.")


def _with_point(text: str) -> str:
    return text.replace(",", ".") if _DECIMAL.fullmatch(text) else text


def _single(text: Any) -> bool:
    return isinstance(text, str) and len(text) == 1 and text.isascii() and text.isprintable() and not text.isalnum()


def _null_texts(nulls: Any) -> frozenset[str] | None:
    if nulls is None:
        return None
    listed = [nulls] if isinstance(nulls, str) else list(nulls) if isinstance(nulls, Iterable) else [None]
    if not all(isinstance(text, str) for text in listed):
        raise UsageError(
            f"nulls={nulls!r} is not valid. List the texts that stand for missing values: nulls=['', 'NA']."
        )
    return frozenset(listed)
