"""Buffers for batches: gathering into fresh memory costs five times the gather, all of it page faults."""

import math
import weakref
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

Buffer = NDArray[np.uint8]
KEPT = 8


class Pool:
    """Lends memory for arrays and has it back when the last view of an array is gone.

    An array lies on its buffer through a memoryview, which numpy does not look through: every slice of it, and every
    tensor made of it, keeps that one array alive, and its end returns the buffer.
    """

    def __init__(self) -> None:
        # Deques, not a lock: a buffer may come back in the middle of any line, also of one that holds the lock.
        self._free: dict[int, deque[Buffer]] = {}
        self._lent: dict[int, tuple[weakref.ref[NDArray[Any]], Buffer]] = {}

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array of undefined content."""
        size = math.prod(shape)
        if not size * dtype.itemsize:
            return np.empty(shape, dtype)
        # Sizes that differ a little share buffers, and pages that nobody writes to cost nothing.
        buffer = self._buffer(1 << (size * dtype.itemsize - 1).bit_length())
        owner = np.frombuffer(buffer.data, dtype, size)
        # A reference with a callback, not a finalize, which takes longer than a small batch.
        end = weakref.ref(owner, self._back)
        self._lent[id(end)] = end, buffer
        return owner.reshape(shape)

    def _buffer(self, size: int) -> Buffer:
        try:
            return self._free[size].pop()
        except (KeyError, IndexError):
            return np.empty(size, np.uint8)

    def _back(self, end: "weakref.ref[NDArray[Any]]") -> None:
        _, buffer = self._lent.pop(id(end))
        self._free.setdefault(buffer.nbytes, deque(maxlen=KEPT)).append(buffer)

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]
