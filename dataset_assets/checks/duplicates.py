"""Finds samples with equal content. Hashes give the candidates, and bytes decide."""

import hashlib
import json
from typing import Any, Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.formats.columns import Column

BLOCK = 8 << 20
SMALLEST = 16

Hashes = NDArray[np.uint64]
Rows = NDArray[np.intp]
Hash = Callable[[Sequence[Column]], Hashes]

MIX = np.uint64(0x9E3779B97F4A7C15)
"""An odd number, by which a hash is multiplied before the next one is added."""


def blocks(column: Column, rows: Rows | None = None) -> Iterator[Any]:
    """Yield a column, or some rows of it, in blocks of a few MB.

    The first block is small, to learn how large the values are.
    """
    lo, step, count = 0, SMALLEST, len(column) if rows is None else len(rows)
    while lo < count:
        hi = min(lo + step, count)
        block = column.slice(lo, hi) if rows is None else column.take(rows[lo:hi])
        yield block
        lo = hi
        step = max(1, min(step * 64, int(BLOCK / (_bytes_of(block) / len(block) + 1))))


def sample_hashes(columns: Sequence[Column]) -> Hashes:
    """Return a 64-bit hash of each sample over some of its streams; equal samples have equal hashes."""
    total: Hashes = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        at = 0
        for block in blocks(column):
            hashes = block_hashes(block)
            total[at : at + len(hashes)] = total[at : at + len(hashes)] * MIX + hashes
            at += len(hashes)
    return total


def block_hashes(block: Any) -> Hashes:
    """Return a 64-bit hash of each value of a block."""
    return _array_hashes(block) if isinstance(block, np.ndarray) else _value_hashes(block)


def shared(first: Sequence[Column], here: Hashes, second: Sequence[Column], there: Hashes) -> tuple[Rows, Rows]:
    """Return pairs of equal rows: for each row of `second` that also occurs in `first`, one equal row of `first`.

    `here` and `there` are the hashes of the samples. Each row is compared once, unless different samples share a hash.
    """
    alike, rows = proposed(here, there)
    found = np.where(_equal(first, alike, second, rows), alike, -1)
    _look_further(first, here, second, there, rows, found)
    return found[found >= 0], rows[found >= 0]


def proposed(here: Hashes, there: Hashes) -> tuple[Rows, Rows]:
    """Return pairs of rows with equal hashes: the first such row of `here` for each row of `there`, in its order."""
    theirs = _maybe_in(there, here)
    ours = _maybe_in(here, there[theirs])
    # Both sorted: to look up hashes in no order takes ten times as long.
    ours, theirs = ours[np.argsort(here[ours], kind="stable")], theirs[np.argsort(there[theirs])]
    known, asked = here[ours], there[theirs]
    at = np.searchsorted(known, asked)
    same = at < len(known)
    same[same] = known[at[same]] == asked[same]
    back = np.argsort(theirs[same])
    return ours[at[same]][back], theirs[same][back]


def _maybe_in(some: Hashes, others: Hashes) -> Rows:
    """Return the rows whose hash may be among others: all that are, and at most a quarter of those that are not."""
    bits = max(int(4 * len(others)).bit_length(), 1)
    there = np.zeros(1 << bits, bool)
    there[others >> np.uint64(64 - bits)] = True
    return np.flatnonzero(there[some >> np.uint64(64 - bits)])


def content(value: Any) -> bytes:
    """Return the bytes by which a value is compared."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, (np.ndarray, np.generic)):
        return f"{value.dtype}{value.shape}".encode() + value.tobytes()
    if hasattr(value, "data") and hasattr(value, "name"):
        return bytes(value.data)
    try:
        return json.dumps(value, sort_keys=True, default=repr).encode()
    except (TypeError, ValueError):  # keys that JSON does not have, or of several types
        return repr(value).encode("utf-8", "surrogatepass")


def _equal(first: Sequence[Column], here: Rows, second: Sequence[Column], there: Rows) -> NDArray[np.bool_]:
    """Return, for each pair of rows, whether all columns are equal."""
    same = np.ones(len(here), bool)
    for one, other in zip(first, second):
        at, step = 0, SMALLEST
        while at < len(here):
            part = slice(at, at + step)
            found = other.take(there[part])
            same[part] &= _equal_values(one.take(here[part]), found)
            at += step
            step = max(1, min(step * 64, int(BLOCK / (_bytes_of(found) / len(found) + 1))))
    return same


def _equal_values(one: Any, other: Any) -> NDArray[np.bool_]:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        if one.dtype != other.dtype or one.shape != other.shape:
            return np.zeros(len(one), bool)
        found: NDArray[np.bool_] = (_bytes_in(one) == _bytes_in(other)).all(axis=1)
        return found
    return np.array([content(a) == content(b) for a, b in zip(_values(one), _values(other))], bool)


def _look_further(
    first: Sequence[Column], here: Hashes, second: Sequence[Column], there: Hashes, rows: Rows, found: Rows
) -> None:
    """Compare rows that differ from the first sample with their hash to the other samples with that hash."""
    open_rows = rows[found < 0]
    if not len(open_rows):
        return
    index: dict[bytes, int] = {}
    for i in np.flatnonzero(np.isin(here, there[open_rows])).tolist():
        index.setdefault(_digest(first, i), i)
    for at in np.flatnonzero(found < 0).tolist():
        found[at] = index.get(_digest(second, int(rows[at])), -1)


def _digest(columns: Sequence[Column], row: int) -> bytes:
    # Digests, because the content may be large. A slice, because `column[i]` of a scalar loses its dtype.
    parts = [_values(column.slice(row, row + 1))[0] for column in columns]
    return hashlib.sha256(b"".join(hashlib.sha256(content(part)).digest() for part in parts)).digest()


def _values(block: Any) -> Any:
    return block if isinstance(block, (list, np.ndarray)) else block.to_pylist()


def _bytes_of(block: Any) -> int:
    return sum(map(_size, block)) if isinstance(block, list) else _size(block)


def _size(value: Any) -> int:
    # First `nbytes`: an array of times has no `data`.
    if (size := getattr(value, "nbytes", None)) is not None:
        return int(size)
    data = getattr(value, "data", value)
    return len(data) if hasattr(data, "__len__") else 32


def _bytes_in(rows: NDArray[Any]) -> NDArray[np.uint8]:
    width = rows.dtype.itemsize * int(np.prod(rows.shape[1:], dtype=np.int64))
    if not width:
        return np.zeros((len(rows), 0), np.uint8)
    return np.ascontiguousarray(rows).reshape(-1).view(np.uint8).reshape(len(rows), width)


def _array_hashes(rows: NDArray[Any]) -> Hashes:
    """Hash rows as sums of words times odd numbers. One pass at memory speed; a hash function per row is slower."""
    flat = _bytes_in(rows)
    if flat.shape[1] % 8:
        flat = np.pad(flat, ((0, 0), (0, 8 - flat.shape[1] % 8)))
    words = flat.view(np.uint64)
    odd = np.random.Generator(np.random.PCG64(7)).integers(0, 2**63, words.shape[1], np.uint64) * np.uint64(
        2
    ) + np.uint64(1)
    hashes: Hashes = ((words ^ (words >> np.uint64(29))) * odd).sum(axis=1, dtype=np.uint64)
    return hashes


def _value_hashes(block: Any) -> Hashes:
    digests = b"".join(hashlib.blake2b(content(value), digest_size=8).digest() for value in _values(block))
    return np.frombuffer(digests, np.uint64)
