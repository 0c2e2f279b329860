"""Reads `tf.train.Example`, a message of Protocol Buffers: names, and lists of bytes, floats or integers."""

from typing import Any, Iterator

import numpy as np

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def features_of(data: bytes) -> dict[str, Any]:
    """Return the features of an Example: lists of bytes, and arrays of float32 or int64. Raises ValueError."""
    found: dict[str, Any] = {}
    for number, value in _fields(memoryview(data)):
        if number != 1:
            continue
        for _, entry in _fields(_message(value)):
            parts = dict(_fields(_message(entry)))
            name = bytes(_message(parts.get(1, memoryview(b"")))).decode()
            if name in found:
                raise ValueError(f"the feature {name!r:.80} is there twice")
            found[name] = _values(_message(parts.get(2, memoryview(b""))))
    return found


def _values(feature: memoryview) -> Any:
    kinds = [*_fields(feature)]
    if len(kinds) > 1:
        raise ValueError("a feature is of two kinds")
    if not kinds:
        return []
    kind, items = kinds[0][0], [value for number, value in _fields(_message(kinds[0][1])) if number == 1]
    if kind == 1:
        return [bytes(_message(item)) for item in items]
    if kind not in (2, 3):
        raise ValueError(f"a feature is of the kind {kind}, which is not known")
    parts = [_floats(item) if kind == 2 else _integers(item) for item in items]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32 if kind == 2 else np.int64)


def _floats(item: Any) -> Any:
    data = item[1] if isinstance(item, tuple) else item
    if not isinstance(data, memoryview) or len(data) % 4:
        raise ValueError("floats do not have four bytes each")
    return np.frombuffer(data, "<f4").astype(np.float32, copy=False)


def _integers(item: Any) -> Any:
    """Return one integer, or those that are packed one after the other."""
    if isinstance(item, int):
        return np.array([item], np.uint64).view(np.int64)
    data = np.frombuffer(_message(item), np.uint8)
    ends = np.flatnonzero(data < 0x80)
    if len(data) and (not len(ends) or ends[-1] != len(data) - 1):
        raise ValueError("integers end within one")
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.intp) if len(ends) else ends
    lengths = ends - starts + 1
    if len(ends) and lengths.max() > 10:
        raise ValueError("an integer has more than 64 bits")
    found = np.zeros(len(ends), np.uint64)
    for k in range(int(lengths.max(initial=0))):
        some = lengths > k
        found[some] |= (data[starts[some] + k].astype(np.uint64) & np.uint64(0x7F)) << np.uint64(7 * k)
    return found.view(np.int64)


def _message(value: Any) -> memoryview:
    if not isinstance(value, memoryview):
        raise ValueError("a number stands where a message should")
    return value


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield the number and value of each field: an int, or bytes; a fixed number as a pair of its size and bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            size, at = _varint(data, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"a field has the type {wire}, which is not known")
        if size > len(data) - at:
            raise ValueError("a field is longer than its message")
        piece = data[at : at + size]
        yield number, piece if wire == _BYTES else (size, piece)
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for k in range(10):
        if at >= len(data):
            raise ValueError("it ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * k)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise ValueError("a number has more than 64 bits")
