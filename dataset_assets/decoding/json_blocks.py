"""Reads JSON lines in blocks of about 1 MB: as columns of Arrow, or as rows.

pyarrow reads several times as fast as Python's module json, but knows no mixed values, and rounds large numbers. So it
reads a block only where it is sure to give the values of `json_lines`. Each block that is not plain is read line by
line, by what finds and names the line of an error.
"""

import io
from itertools import chain
from operator import itemgetter
from typing import Any, BinaryIO, Iterable, Iterator, Mapping

import numpy as np

from dataset_assets.core.limits import limits
from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.jsonl_file import SHALLOW, counting_reader, json_reader, read_lines, whole_line

BLOCK = 1 << 20

FLAT = ("bool", "int64", "double", "string")
"""The types of columns that pyarrow reads."""

_EXACT = float(1 << 53)
"""Whole numbers from this one on may change when they are read as floats."""


def json_blocks(file: BinaryIO, types: Mapping[str, Any]) -> Iterator[Any]:
    """Read JSON lines as blocks: RecordBatches with the columns of `types`, or lists of rows.

    `types` has a type for every column: one of `FLAT`. It is empty if some column holds other
    values. It is looked at before each block, so that a caller may change it. Raises what `json_lines` raises.

    >>> import io, pyarrow
    >>> [block.to_pydict() for block in json_blocks(io.BytesIO(b'{"a": 1}'), {"a": pyarrow.int64()})]
    [{'a': [1]}]
    >>> list(json_blocks(io.BytesIO(b'{"a": 1.5}'), {"a": pyarrow.int64()}))
    [[{'a': 1.5}]]
    """
    for first, data in _blocks(decompressed(file)):
        block = None
        if len(data) <= limits().max_line_bytes:
            block = (_columns(data, types) if types else None) or _rows(data)
        if block := block or [*read_lines(file, io.BytesIO(data), first)]:  # blank lines alone are no rows
            yield block


def columns_of(rows: list[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return rows as columns; a key that a row does not have is None.

    >>> columns_of([{"a": 1, "b": 2}, {"b": 3}])
    {'a': [1, None], 'b': [2, 3]}
    """
    names = [*rows[0]]
    if len(names) > 1 and {*map(len, rows)} == {len(names)}:
        try:
            return dict(zip(names, map(list, zip(*map(itemgetter(*names), rows)))))
        except KeyError:
            pass
    keys = dict.fromkeys(chain.from_iterable(rows))
    return {key: [row.get(key) for row in rows] for key in keys}


def _blocks(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the number of the first line of each block, and its whole lines."""
    first, rest = 1, b""
    while data := stream.read(BLOCK):
        data = rest + data
        end = data.rfind(b"\n") + 1
        if not end:
            data = whole_line(stream, data, first)
            end = len(data)
        yield first, data[:end]
        first, rest = first + data.count(b"\n", 0, end), data[end:]
    if rest:
        yield first, rest


def _columns(data: bytes, types: Mapping[str, Any]) -> Any:
    """Return a block as a RecordBatch, or None if pyarrow may read it differently, or does not read it."""
    import pyarrow
    from pyarrow import json as arrow_json

    # Each line begins and ends as an object, and there are as many objects as lines. So none has two.
    rows = data.count(b"}\n{") + 1
    if not data.startswith(b"{") or data.count(b"\n") != rows - 1 + data.endswith(b"}\n"):
        return None
    try:
        data.decode()
        table = arrow_json.read_json(
            pyarrow.BufferReader(data),
            arrow_json.ReadOptions(block_size=len(data) + 1),
            arrow_json.ParseOptions(explicit_schema=pyarrow.schema(types), unexpected_field_behavior="error"),
        )
    except (pyarrow.ArrowException, ValueError):
        return None
    if table.num_rows != rows or not all(map(_is_exact, table.columns)):
        return None
    return table.combine_chunks().to_batches()[0]


def _is_exact(column: Any) -> bool:
    """Return False if the texts of some numbers may not have been these floats: large whole ones, and -0."""
    if str(column.type) != "double":
        return True
    numbers = column.drop_null().to_numpy()
    zeros = numbers[numbers == 0]
    return not len(numbers) or bool(np.abs(numbers).max() < _EXACT and not np.signbit(zeros).any())


def _rows(data: bytes) -> list[dict[str, Any]] | None:
    """Return the rows of a block, or None if a line is to be looked at by itself: blank, damaged, deep, or odd."""
    try:
        text = data.replace(b"\r\n", b"\n").decode()
        lines = text.count("\n") + (not text.endswith("\n"))
        objects = text.count("{")
        read, sizes = (json_reader(), None) if objects == lines else counting_reader()
        rows = [*_values(text, read)]
    except (ValueError, RecursionError, StopIteration, RuntimeError):
        return None
    if len(rows) != lines or {*map(type, rows)} != {dict}:
        return None
    # Python keeps the last value of a repeated key. Each key has a colon, so none is repeated if there are as many.
    keys = sum(map(len, rows) if sizes is None else sizes)
    if text.count(":") != keys or objects + text.count("[") - lines >= SHALLOW and _opens_many(data):
        return None
    return rows


def _values(text: str, read: Any) -> Iterator[Any]:
    at = 0
    while at < len(text):
        value, end = read(text, at)
        if text[end : end + 1] not in ("\n", ""):
            raise ValueError
        yield value
        at = end + 1


def _opens_many(data: bytes) -> bool:
    """Return whether a line has so many brackets, also inside of strings, that it may be deep."""
    found = np.frombuffer(data, np.uint8)
    begins = np.flatnonzero(found[:-1] == ord("\n")) + 1
    opened = ((found == ord("[")) | (found == ord("{"))).view(np.uint8)
    return bool(np.add.reduceat(opened, np.append(0, begins), dtype=np.int64).max() > SHALLOW)


def flat_types(streams: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the types in which pyarrow reads the columns of streams; none if one is not read so."""
    import pyarrow

    found: dict[str, Any] = {}
    for said in streams:
        kind = np.dtype(said["dtype"]).kind if said["as"] == "numbers" else said["as"]
        of = {"b": pyarrow.bool_(), "i": pyarrow.int64(), "u": pyarrow.int64(), "f": pyarrow.float64()}
        of |= {"text": pyarrow.string(), "classes": pyarrow.string()}
        if kind not in of or found.setdefault(said["from"], of[kind]) != of[kind]:
            return {}
    return found
