"""The split functions of definitions without code: rows of a table, JSON lines, and files of an archive or a folder.

Each takes the plain description of the streams: for each its format, the key or part that it is read from, the fields
of a table, its classes and its dtype.
"""

import math
from datetime import date, datetime
from decimal import Decimal
from typing import Any, BinaryIO, Callable, Iterator, Mapping
from urllib.parse import unquote, urlsplit

from dataset_assets.decoding import archive_members, csv_rows, json_lines
from dataset_assets.decoding.streams import name_of
from dataset_assets.errors import DecodeError, SchemaError, nearest

Streams = Mapping[str, Mapping[str, Any]]
Read = Callable[[str], Any]

FOLDER, PATH, NAME, CONTENT = "folder", "path", "name", "content"
PARTS = (CONTENT, FOLDER, PATH, NAME)
"""What a stream of files may be read from: a file's bytes, the first folder of its path, its path, its name."""

_JUNK = ("__MACOSX", "Thumbs.db", "desktop.ini")
_TRUE = {"true": True, "false": False}


def table_samples(table: BinaryIO, streams: Streams, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a sample for each row of a CSV table."""
    readers = {name: _row_reader(name, stream) for name, stream in streams.items()}
    for row in csv_rows(table, **options):
        yield {name: read(row) for name, read in readers.items()}


def line_samples(lines: BinaryIO, streams: Streams) -> Iterator[dict[str, Any]]:
    """Yield a sample for each JSON line."""
    for line in json_lines(lines):
        yield {name: _line_value(name, stream, line) for name, stream in streams.items()}


def file_samples(
    archive: BinaryIO, streams: Streams, members: str | list[str], below: str, unwrap: bool
) -> Iterator[dict[str, Any]]:
    """Yield a sample for each file of an archive, but those that file managers leave behind."""
    for member in archive_members(archive, members, below=below, unwrap=unwrap):
        path = member.name
        if any(part.startswith(".") or part in _JUNK for part in path.split("/")):
            continue
        parts = {PATH: path, NAME: path.rpartition("/")[2], FOLDER: path.split("/")[0] if "/" in path else None}
        content = member.read()
        yield {name: _file_value(name, stream, path, parts, content) for name, stream in streams.items()}


def named_file_samples(file: BinaryIO, streams: Streams) -> Iterator[dict[str, Any]]:
    """Yield the sample that a file is; its folder is the last one of its URL."""
    *_, folder, name = ["", "", *unquote(urlsplit(name_of(file)).path).split("/")]
    path, content = f"{folder}/{name}".lstrip("/"), file.read()
    parts = {PATH: path, NAME: name, FOLDER: folder or None}
    yield {stream: _file_value(stream, said, path, parts, content) for stream, said in streams.items()}


def is_junk(path: str) -> bool:
    """Say whether `file_samples` leaves out a file: one that is hidden, or that file managers leave behind."""
    return any(part.startswith(".") or part in _JUNK for part in path.split("/"))


def _file_value(name: str, stream: Mapping[str, Any], path: str, parts: Mapping[str, Any], content: bytes) -> Any:
    if stream["from"] != CONTENT:
        part = parts[stream["from"]]
        if part is None:
            raise DecodeError(f"Stream {name!r} is read from the folder of each file, and {path!r:.200} is in none.")
        return _labelled(name, stream["classes"], part)
    if stream["format"] == "text":
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DecodeError(f"{path!r:.200} is not UTF-8 at byte {error.start}. Read it as bytes.") from error
    return (path, content) if stream["format"] == "files" else content


def _line_value(name: str, stream: Mapping[str, Any], line: dict[str, Any]) -> Any:
    if stream["fields"] is not None and stream["from"] is None:
        return {field: line.get(field) for field in stream["fields"]}
    key = name if stream["from"] is None else stream["from"]
    if key not in line:
        raise SchemaError(f"A line has no key {key!r:.80}, of which stream {name!r} is made.{nearest(key, line)}")
    if stream["classes"] is None and stream["format"] == "array":
        return _or_nan(line[key], stream["dtype"], name)
    return _labelled(name, stream["classes"], line[key])


def _row_reader(name: str, stream: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Any]:
    if stream["fields"] is not None:
        fields = {field: _reader(kind) for field, kind in stream["fields"].items()}
        return lambda row: {field: _cell(row, field, read, name) for field, read in fields.items()}
    key = name if stream["from"] is None else stream["from"]
    if stream["classes"] is not None:
        return lambda row: _labelled(name, stream["classes"], _cell(row, key, str, name))
    if stream["format"] == "text":
        return lambda row: _cell(row, key, str, name)
    read, dtype = _reader(stream["dtype"]), stream["dtype"]
    return lambda row: _or_nan(_cell(row, key, read, name), dtype, name)


def _or_nan(value: Any, dtype: str | None, stream: str) -> Any:
    """Return a value of an array; NaN for a missing one, if the dtype has it."""
    if value is not None or dtype is None:
        return value
    if dtype.startswith(("float", "bfloat")):
        return math.nan
    raise SchemaError(
        f"A value of stream {stream!r} is missing, and an array of {dtype} has no missing values. Give it "
        "dtype: float64, which has NaN, or make it a table with fields."
    )


def _cell(row: Mapping[str, Any], column: str, read: Read, stream: str) -> Any:
    if column not in row:
        raise SchemaError(
            f"The table has no column {column!r:.80}, of which stream {stream!r} is made.{nearest(column, row)}"
        )
    text = row[column]
    try:
        return None if text is None else read(text)
    except (ValueError, KeyError, ArithmeticError) as error:
        raise SchemaError(
            f"The table has {text!r:.80} in column {column!r:.80}, where stream {stream!r} has another type. If it "
            "stands for a missing value, add it to read.nulls."
        ) from error


def _labelled(name: str, classes: list[str] | None, value: Any) -> Any:
    if classes is None:
        return value
    if value not in classes:
        raise SchemaError(f"Stream {name!r} has no class {value!r:.80}.{nearest(str(value), classes)}")
    return classes.index(value)


def _reader(kind: str) -> Read:
    """Return how a cell of this type is read from its text."""
    if kind.startswith(("int", "uint")):
        return lambda text: int(_digits(text))
    if kind.startswith("timestamp"):
        return datetime.fromisoformat
    if kind.startswith("date"):
        return date.fromisoformat
    if kind == "bool":
        return lambda text: _TRUE[text.strip().lower()]
    if kind.startswith("decimal"):
        return lambda text: Decimal(_digits(text))
    if kind.startswith(("float", "double", "half", "bfloat")):
        return lambda text: float(_digits(text))
    return str


def _digits(text: str) -> str:
    """Refuse 1_000, which is a number to Python only."""
    if "_" in text:
        raise ValueError(text)
    return text
