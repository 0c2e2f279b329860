"""CRC-32C, the checksum of TFRecord files, with numpy."""

import functools
from typing import Any

import numpy as np

_STEPS = 16
_SHORT = 1000
_POLYNOMIAL = 0x82F63B78


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    return _by_byte(data) if len(data) < _SHORT else _by_lanes(np.frombuffer(data, np.uint8))


@functools.cache
def _table() -> Any:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table


@functools.cache
def _listed() -> list[int]:
    return [int(value) for value in _table()]


def _by_byte(data: bytes) -> int:
    table, state = _listed(), 0xFFFFFFFF
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state ^ 0xFFFFFFFF


def _by_lanes(data: Any) -> int:
    """Compute the checksums of equal pieces beside each other, then join them two by two.

    Zeros before the data do not change a checksum that begins with 0; to begin with ones is to invert four bytes.
    """
    lanes = 1 << max(0, (-(-len(data) // _STEPS) - 1).bit_length())
    padded = np.zeros(lanes * _STEPS, np.uint8)
    padded[-len(data) :] = data
    padded[-len(data) :][:4] ^= 0xFF
    columns, table, states = np.ascontiguousarray(padded.reshape(lanes, _STEPS).T), _table(), np.zeros(lanes, np.uint32)
    for column in columns:
        states = table[(states ^ column) & 0xFF] ^ (states >> 8)
    doublings = 0
    while len(states) > 1:
        states = _shifted(_shift(doublings), states[::2]) ^ states[1::2]
        doublings += 1
    return int(states[0]) ^ 0xFFFFFFFF


@functools.cache
def _shift(doublings: int) -> Any:
    """Return what `_STEPS << doublings` zeros make of a checksum, for each value of each of its bytes."""
    if doublings:
        return _shifted(_shift(doublings - 1), _shift(doublings - 1))
    states = np.arange(256, dtype=np.uint32) << (8 * np.arange(4, dtype=np.uint32)[:, None])
    for _ in range(_STEPS):
        states = _table()[states & 0xFF] ^ (states >> 8)
    return states


def _shifted(tables: Any, states: Any) -> Any:
    found = tables[0][states & 0xFF]
    for k in range(1, 4):
        found = found ^ tables[k][(states >> (8 * k)) & 0xFF]
    return found
