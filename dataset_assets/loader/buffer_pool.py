"""Reuses the memory of batches: page faults make a gather into fresh memory five times as slow."""

import math
import weakref
from collections import deque
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

Buffer = NDArray[np.uint8]
KEPT = 8


class BufferPool:
    """Lends memory to arrays and takes it back when the last view of an array is deleted.

    An array refers to its buffer through a memoryview, which numpy does not look through: so every slice of the array,
    and every tensor on it, keeps that one array alive. The buffer returns to the pool when the array is deleted.
    """

    def __init__(self) -> None:
        # Deques, not a lock: garbage collection may return a buffer at any line, even while this thread holds the lock.
        self._free: dict[int, deque[Buffer]] = {}
        self._lent: dict[int, tuple[weakref.ref[NDArray[Any]], Buffer]] = {}
        self._ended: deque[weakref.ref[NDArray[Any]]] = deque()

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array with undefined content."""
        size = math.prod(shape)
        if not size * dtype.itemsize:
            return np.empty(shape, dtype)
        # Rounded up, so that similar sizes share buffers. Pages that are never written use no memory.
        buffer = self._buffer(1 << (size * dtype.itemsize - 1).bit_length())
        owner = np.frombuffer(buffer.data, dtype, size)
        # A weak reference with a callback, because weakref.finalize takes longer than a small batch.
        # It is no function of Python: an interrupt that came inside of one would be lost.
        end = weakref.ref(owner, self._ended.append)
        self._lent[id(end)] = end, buffer
        return owner.reshape(shape)

    def _buffer(self, size: int) -> Buffer:
        self._take_back()
        try:
            return self._free[size].pop()
        except (KeyError, IndexError):
            return np.empty(size, np.uint8)

    def _take_back(self) -> None:
        with suppress(IndexError):
            while True:
                _, buffer = self._lent.pop(id(self._ended.popleft()))
                self._free.setdefault(buffer.nbytes, deque(maxlen=KEPT)).append(buffer)

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]
