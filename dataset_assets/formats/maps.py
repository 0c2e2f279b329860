"""Maps files into memory by `mmap(2)`. A map keeps no descriptor, as those of Python do up to version 3.12."""

import ctypes
import mmap
import weakref
from functools import lru_cache
from typing import Any


def map_at(address: int | None, size: int, access: int, flags: int, descriptor: int) -> int | None:
    """Return the address of a new map, or None; `ctypes.get_errno` then says why."""
    where, length = ctypes.c_void_p(address), ctypes.c_size_t(size)
    start: int = _libc().mmap(where, length, access, flags, descriptor, ctypes.c_long(0))
    return None if start == ctypes.c_void_p(-1).value else start


def owned(start: int, size: int) -> "tuple[memoryview, weakref.finalize[..., Any]]":
    """Return the bytes of a map, which ends when nothing uses them, and what ends it."""
    whole = (ctypes.c_char * size).from_address(start)
    ending = weakref.finalize(whole, _libc().munmap, ctypes.c_void_p(start), ctypes.c_size_t(size))
    # Not at exit, because a thread may still be reading.
    ending.atexit = False
    return memoryview(whole).cast("B").toreadonly(), ending


def map_file(descriptor: int, size: int) -> memoryview:
    """Return the bytes of an open file that is not empty, as a read-only map. Raises OSError."""
    start = map_at(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor)
    if start is None:
        error = ctypes.get_errno()
        raise OSError(error, "the file cannot be mapped")
    return owned(start, size)[0]


@lru_cache(maxsize=1)
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    return libc
