"""Looks at an Arrow file before Arrow does: each part that its heads name is in the file, once, and not larger than it.

Arrow holds heads against their own layout and values against their buffers, but believes what a head says of sizes: a
few bytes may name the same buffers again and again, or announce terabytes. What is checked here is what bounds memory
and time; the rest is left to Arrow's own validation, after this.

Layout: https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format, and the tables of format/File.fbs and
format/Message.fbs, which are FlatBuffers (https://flatbuffers.dev/internals).
"""

import struct
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"ARROW1"
VERSIONS = (3, 4)  # V4 and V5, the ones since 2017
DICTIONARY, BATCH = 2, 3
FREE_ROWS = 1 << 24
"""Values without bytes of their own, such as nulls, that a batch may have beside eight for each of its bytes."""
FREE_BYTES, RATIO = 16 << 20, 100
"""What compressed buffers may hold uncompressed: so much, and so many times the bytes of the file."""

Pairs = NDArray[np.int64]
_BLOCK = np.dtype([("offset", "<i8"), ("head", "<i4"), ("", "<i4"), ("body", "<i8")])
_PAIR = np.dtype("<i8")


class Malformed(ValueError):
    """A file that is not an Arrow file, and why."""


def check_heads(data: memoryview) -> None:
    """Raise `Malformed` unless all that the heads of an Arrow file name is in it, once, and in bounds."""
    try:
        for kind, offset, head, body in _batches(data):
            _check_block(data[offset : offset + head + body], kind, head, body, len(data))
    except (struct.error, ValueError, OverflowError) as error:
        raise Malformed(str(error)) from error


def _batches(data: memoryview) -> list[tuple[int, int, int, int]]:
    """Return kind, offset, and the lengths of head and body of each batch, as the footer names them."""
    size = len(data)
    _see(size >= 18 and data[:6] == MAGIC and data[-6:] == MAGIC, "it does not begin and end as one")
    (length,) = struct.unpack_from("<i", data, size - 10)
    _see(0 < length <= size - 18, f"its footer has {length} bytes")
    end = size - 10 - length
    footer = _Table.root(data[end : size - 10])
    _see(footer.number(0, "<h") in VERSIONS, "it is of a version that is not read")
    _see(footer.table(1).number(0, "<h") == 0, "it is big-endian")
    _see(b"ARROW:extension:" not in bytes(footer.data), "it has extension types, which are never written")
    blocks = [
        (kind, int(block["offset"]), int(block["head"]), int(block["body"]))
        for kind, field in ((DICTIONARY, 2), (BATCH, 3))
        for block in footer.vector(field, _BLOCK)
    ]
    ordered = sorted(blocks, key=lambda block: block[1])
    for (_, offset, head, body), after in pairwise([*ordered, (0, end, 0, 0)]):
        _see(offset >= 8 and not offset % 8 and head > 8 and body >= 0, "a batch is in no place that can be")
        _see(offset + head + body <= after[1], "its batches lie in each other, or outside of it")
    return blocks


def _check_block(block: memoryview, kind: int, head: int, body: int, size: int) -> None:
    mark, length = struct.unpack_from("<Ii", block, 0)
    _see(mark == 0xFFFFFFFF and 0 < length <= head - 8, "the head of a batch has a length that cannot be")
    message = _Table.root(block[8 : 8 + length])
    _see(message.number(1, "<B") == kind, "a batch is of another kind than the footer says")
    _see(message.number(3, "<q") == body, "a batch has another length than the footer says")
    batch = message.table(2).table(1) if kind == DICTIONARY else message.table(2)
    rows = batch.number(0, "<q")
    lengths, nulls = batch.vector(1, _PAIR, 2).T
    # Each value has a bit at least, but for those of types without any.
    most = max(rows, 8 * body * (RATIO if batch.has(3) else 1) + FREE_ROWS)
    _see(rows >= 0 and bool(((lengths >= 0) & (lengths <= most)).all()), "a column has more values than bytes")
    _see(bool(((nulls >= 0) & (nulls <= lengths)).all()), "a column has more nulls than values")
    places = batch.vector(2, _PAIR, 2)
    _check_buffers(places, body)
    if batch.has(3):
        _check_compressed(block[head:], places, size)


def _check_buffers(places: Pairs, body: int) -> None:
    offsets, lengths = places[places[:, 1] != 0].T
    _see(bool((places >= 0).all()) and bool((places <= body).all()), "a buffer is outside of its batch")
    ends = offsets + lengths
    _see(bool((ends[:-1] <= offsets[1:]).all()) and bool((ends <= body).all()), "its buffers lie in each other")


def _check_compressed(body: memoryview, places: Pairs, size: int) -> None:
    """A compressed buffer begins with its length, by which memory is asked for."""
    found = [struct.unpack_from("<q", body, offset)[0] for offset, length in places.tolist() if length]
    total = sum(length for length in found if length > 0)
    _see(all(length >= -1 for length in found), "a compressed buffer has a negative length")
    _see(total <= FREE_BYTES + RATIO * size, f"its compressed buffers announce {total} bytes, in {size}")


class _Table:
    """A table of FlatBuffers: fields by their numbers; each place is held against the end before it is read."""

    def __init__(self, data: memoryview, at: int) -> None:
        self.data, self.at = data, at
        self.fields = at - self._read("<i", at)
        self.size = self._read("<H", self.fields)

    @classmethod
    def root(cls, data: memoryview) -> "_Table":
        """Return the table that a buffer holds."""
        return cls(data, struct.unpack_from("<I", data, 0)[0])

    def has(self, field: int) -> bool:
        """Say whether a field is there."""
        return self._place(field) is not None

    def number(self, field: int, kind: str) -> int:
        """Return a number; 0 if it is not there."""
        place = self._place(field)
        return 0 if place is None else self._read(kind, place)

    def table(self, field: int) -> "_Table":
        """Return the table that a field leads to."""
        place = self._place(field)
        _see(place is not None, "a part of a head is missing")
        assert place is not None
        return _Table(self.data, place + self._read("<I", place))

    def vector(self, field: int, kind: "np.dtype[Any]", columns: int = 0) -> Any:
        """Return a vector as an array; an empty one if it is not there."""
        place, count, start = self._place(field), 0, 0
        if place is not None:
            start = place + self._read("<I", place)
            count, start = self._read("<I", start), start + 4
        found = np.frombuffer(self.data[start : start + count * kind.itemsize * max(1, columns)], kind)
        _see(len(found) == count * max(1, columns), "a list in a head is longer than the head")
        return found.reshape(-1, columns) if columns else found

    def _place(self, field: int) -> int | None:
        slot = 4 + 2 * field
        offset = self._read("<H", self.fields + slot) if slot + 2 <= self.size else 0
        return self.at + offset if offset else None

    def _read(self, kind: str, at: int) -> int:
        # A negative place would be counted from the end.
        _see(at >= 0, "a head leads out of itself")
        found: int = struct.unpack_from(kind, self.data, at)[0]
        return found


def _see(fine: bool, otherwise: str) -> None:
    if not fine:
        raise Malformed(otherwise)
