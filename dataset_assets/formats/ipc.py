"""Checks the metadata of an Arrow file before Arrow opens it: all buffers are inside the file and do not overlap.

Arrow validates the layout of metadata, and values against their buffers. But it trusts the sizes in the metadata: a few
bytes may refer to the same buffers many times, or announce terabytes. The checks here bound memory and time; Arrow's
own validation does the rest, later.

Layout: https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format, and the tables of format/File.fbs and
format/Message.fbs, which are FlatBuffers (https://flatbuffers.dev/internals).
"""

import struct
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"ARROW1"
VERSIONS = (3, 4)  # V4 and V5, in use since 2017
DICTIONARY, BATCH = 2, 3
FREE_ROWS = 1 << 24
"""How many values without bytes of their own, such as nulls, a batch may have beside eight for each byte."""
FREE_BYTES, RATIO = 16 << 20, 100
"""Compressed buffers may hold up to FREE_BYTES + RATIO * the size of the file, uncompressed."""

Pairs = NDArray[np.int64]
_BLOCK = np.dtype([("offset", "<i8"), ("head", "<i4"), ("", "<i4"), ("body", "<i8")])
_PAIR = np.dtype("<i8")


class Malformed(ValueError):
    """The reason why a file is not an Arrow file."""


def check_heads(data: memoryview) -> None:
    """Raise `Malformed` if the metadata of an Arrow file refers to anything outside of it, or to a part twice."""
    try:
        for kind, offset, head, body in _batches(data):
            _check_block(data[offset : offset + head + body], kind, head, body, len(data))
    except (struct.error, ValueError, OverflowError) as error:
        raise Malformed(str(error)) from error


def _batches(data: memoryview) -> list[tuple[int, int, int, int]]:
    """Return kind, offset, and the lengths of metadata and body of each batch, as in the footer."""
    size = len(data)
    _require(size >= 18 and data[:6] == MAGIC and data[-6:] == MAGIC, "it does not begin and end with ARROW1")
    (length,) = struct.unpack_from("<i", data, size - 10)
    _require(0 < length <= size - 18, f"its footer has {length} bytes")
    end = size - 10 - length
    footer = _FlatTable.root(data[end : size - 10])
    _require(footer.number(0, "<h") in VERSIONS, "its format version is not supported")
    _require(footer.table(1).number(0, "<h") == 0, "it is big-endian")
    _require(b"ARROW:extension:" not in bytes(footer.data), "it has extension types, which are never written")
    blocks = [
        (kind, int(block["offset"]), int(block["head"]), int(block["body"]))
        for kind, field in ((DICTIONARY, 2), (BATCH, 3))
        for block in footer.vector(field, _BLOCK)
    ]
    ordered = sorted(blocks, key=lambda block: block[1])
    for (_, offset, head, body), after in pairwise([*ordered, (0, end, 0, 0)]):
        _require(offset >= 8 and not offset % 8 and head > 8 and body >= 0, "the place of a batch is not valid")
        _require(offset + head + body <= after[1], "its batches overlap, or are outside of the file")
    return blocks


def _check_block(block: memoryview, kind: int, head: int, body: int, size: int) -> None:
    mark, length = struct.unpack_from("<Ii", block, 0)
    _require(mark == 0xFFFFFFFF and 0 < length <= head - 8, "the length of a batch's metadata is not valid")
    message = _FlatTable.root(block[8 : 8 + length])
    _require(message.number(1, "<B") == kind, "the kind of a batch differs from the footer")
    _require(message.number(3, "<q") == body, "the length of a batch differs from the footer")
    batch = message.table(2).table(1) if kind == DICTIONARY else message.table(2)
    rows = batch.number(0, "<q")
    lengths, nulls = batch.vector(1, _PAIR, 2).T
    # Each value has at least one bit, except in types without data.
    most = max(rows, 8 * body * (RATIO if batch.has(3) else 1) + FREE_ROWS)
    _require(rows >= 0 and bool(((lengths >= 0) & (lengths <= most)).all()), "a column has more values than bytes")
    _require(bool(((nulls >= 0) & (nulls <= lengths)).all()), "a column has more nulls than values")
    places = batch.vector(2, _PAIR, 2)
    _check_buffers(places, body)
    if batch.has(3):
        _check_compressed(block[head:], places, size)


def _check_buffers(places: Pairs, body: int) -> None:
    offsets, lengths = places[places[:, 1] != 0].T
    _require(bool((places >= 0).all()) and bool((places <= body).all()), "a buffer is outside of its batch")
    ends = offsets + lengths
    _require(bool((ends[:-1] <= offsets[1:]).all()) and bool((ends <= body).all()), "its buffers overlap")


def _check_compressed(body: memoryview, places: Pairs, size: int) -> None:
    """Check the uncompressed lengths: each compressed buffer begins with one, and Arrow allocates that much."""
    sizes = [struct.unpack_from("<q", body, offset)[0] for offset, length in places.tolist() if length]
    total = sum(length for length in sizes if length > 0)
    _require(all(length >= -1 for length in sizes), "a compressed buffer has a negative length")
    _require(
        total <= FREE_BYTES + RATIO * size, f"its compressed buffers announce {total} bytes, in a file of {size} bytes"
    )


class _FlatTable:
    """A table of FlatBuffers: fields by number. Every place is checked against the end before it is read."""

    def __init__(self, data: memoryview, at: int) -> None:
        self.data, self.at = data, at
        self.fields = at - self._read("<i", at)
        self.size = self._read("<H", self.fields)

    @classmethod
    def root(cls, data: memoryview) -> "_FlatTable":
        """Return the root table of a buffer."""
        return cls(data, struct.unpack_from("<I", data, 0)[0])

    def has(self, field: int) -> bool:
        """Return whether a field is present."""
        return self._place(field) is not None

    def number(self, field: int, kind: str) -> int:
        """Return a number, or 0 if the field is absent."""
        place = self._place(field)
        return 0 if place is None else self._read(kind, place)

    def table(self, field: int) -> "_FlatTable":
        """Return the table that a field refers to."""
        place = self._place(field)
        _require(place is not None, "a part of its metadata is missing")
        assert place is not None
        return _FlatTable(self.data, place + self._read("<I", place))

    def vector(self, field: int, kind: "np.dtype[Any]", columns: int = 0) -> Any:
        """Return a vector as an array, empty if the field is absent."""
        place, count, start = self._place(field), 0, 0
        if place is not None:
            start = place + self._read("<I", place)
            count, start = self._read("<I", start), start + 4
        values = np.frombuffer(self.data[start : start + count * kind.itemsize * max(1, columns)], kind)
        _require(len(values) == count * max(1, columns), "a list in its metadata is longer than the metadata")
        return values.reshape(-1, columns) if columns else values

    def _place(self, field: int) -> int | None:
        slot = 4 + 2 * field
        offset = self._read("<H", self.fields + slot) if slot + 2 <= self.size else 0
        return self.at + offset if offset else None

    def _read(self, kind: str, at: int) -> int:
        # struct counts a negative place from the end.
        _require(at >= 0, "its metadata refers to a place outside of itself")
        number: int = struct.unpack_from(kind, self.data, at)[0]
        return number


def _require(valid: bool, problem: str) -> None:
    if not valid:
        raise Malformed(problem)
