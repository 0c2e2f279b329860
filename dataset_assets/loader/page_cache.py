"""Asks the kernel to read pages of mapped files into the page cache before they are used.

A gather of rows that are not in memory causes one page fault after another, each for 128 KB around the row: a few
hundred rows a second. Linux reads many rows at once if it knows which (`process_madvise(2)`, MADV_WILLNEED), and a
whole file as fast as a scan (`madvise(2)`, MADV_POPULATE_READ). `mincore(2)` tells which pages are in memory already.
"""

import ctypes
import mmap
import os
import random
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_assets.formats.columns import grouped

PAGE = mmap.PAGESIZE
SMALL = 1 << 20
PROBES = 64
STEP = 16 << 20
# A disk reads WIDE bytes in about twice the time of one page. The first NARROW calls read single pages, so that the
# first batch comes soon.
WIDE = 128 << 10
NARROW = 4
RANGES = 1024  # IOV_MAX
# From <asm-generic/unistd.h> and <asm-generic/mman-common.h>: the same on every processor that Linux supports.
PIDFD_OPEN, PROCESS_MADVISE = 434, 440
WILLNEED, POPULATE_READ = 3, 22


class PageCache:
    """Reads the rows of some streams into the page cache before they are gathered, during one epoch.

    A stream is a list with the array of each file. If all streams fit in memory, a thread reads them whole. Until that
    is done, and if they do not fit, only the rows that are passed to `expect` are read ahead. It does nothing on other
    systems than Linux, and for arrays in memory.
    """

    def __init__(self, streams: Sequence[Sequence[NDArray[Any]]], available: int | None = None) -> None:
        self._streams = [list(arrays) for arrays in streams if _bytes(arrays) >= SMALL and is_cold(arrays)]
        self._stopped, self._expected = False, 0
        self._reader: Thread | None = None
        size = sum(map(_bytes, self._streams))
        if size and size <= (available_memory() if available is None else available) // 2:
            self._reader = Thread(target=self._populate, name="dataset_assets-page-cache", daemon=True)

    @property
    def active(self) -> bool:
        """True if `expect` has an effect."""
        return bool(self._streams)

    def expect(self, where: "slice | NDArray[np.intp]") -> None:
        """Ask for these rows; the call does not wait for the disk."""
        # If the files fit in memory, all of them will be used, so the pages around a row are read too.
        unit = WIDE if self._reader and self._expected >= NARROW else PAGE
        rows = np.arange(where.start, where.stop) if isinstance(where, slice) else where
        for arrays in self._streams:
            if not all(_want(array, some, unit) for array, some in _shared(arrays, rows)):
                self._streams = []
        # Started only now, so that the rows of the first batch are read before the whole file.
        if self._reader and not self._expected:
            self._reader.start()
        self._expected += 1

    def close(self) -> None:
        """Stop reading ahead, at the end of the epoch."""
        self._stopped, self._streams = True, []

    def _populate(self) -> None:
        for array in [array for arrays in self._streams for array in arrays]:
            first, end = _bounds(array)
            for at in range(first, end, STEP):
                if self._stopped or _madvise(at, min(STEP, end - at), POPULATE_READ):
                    return
        self._streams = []


def is_cold(arrays: Sequence[NDArray[Any]]) -> bool:
    """Return whether more than a few random pages of some arrays are not in memory.

    The kernel answers only for files that the caller may write to; all other files count as in memory.
    """
    libc, sizes = _kernel(), [array.nbytes for array in arrays]
    if libc is None or not sum(sizes):
        return False
    # Each epoch calls this, so the loop looks up no attributes.
    mincore, resident, chance = libc.mincore, ctypes.create_string_buffer(1), random.random
    places = [(first, max(1, (end - first) // PAGE)) for first, end in map(_bounds, arrays)]
    away = 0
    for first, pages in random.choices(places, sizes, k=PROBES):
        if mincore(first + int(chance() * pages) * PAGE, PAGE, resident):
            return False
        away += not resident.raw[0] & 1
    return away > PROBES // 20


def available_memory() -> int:
    """Return the free memory in bytes, within the limits of the machine and of the process's control group."""
    match = re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())
    machine = int(match[1]) * 1024 if match else 0
    return min([machine, *(limit for limit in map(_number, _limits()) if limit is not None)])


def _limits() -> list[Path]:
    """Return the files that may hold the memory limit of the control group, in version 2 and in version 1."""
    limits = [Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")]
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            limits.append(Path(f"/sys/fs/cgroup{path}/memory.max"))
        elif "memory" in controllers.split(","):
            limits.append(Path(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes"))
    return limits


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such group, or "max"
        return None


def _bytes(arrays: Sequence[NDArray[Any]]) -> int:
    return sum(array.nbytes for array in arrays)


def _shared(arrays: list[NDArray[Any]], rows: NDArray[np.intp]) -> Iterator[tuple[NDArray[Any], NDArray[np.intp]]]:
    """Yield each array that holds some of the rows, with their numbers in that array."""
    groups, _ = grouped(np.cumsum([0, *map(len, arrays)]), rows)
    for part, some in groups:
        yield arrays[part], some


def _want(array: NDArray[Any], rows: NDArray[np.intp], unit: int) -> bool:
    """Ask the kernel for the pages of some rows, in multiples of `unit` bytes; return whether it accepts this."""
    width = array.nbytes // len(array)
    first, end = _bounds(array)
    starts = array.ctypes.data + rows.astype(np.int64) * width
    ranges = np.empty((len(rows), 2), np.int64)
    ranges[:, 0] = np.clip(starts // unit * unit, first, end)
    ranges[:, 1] = np.clip(-(-(starts + width) // unit) * unit, first, end) - ranges[:, 0]
    if unit > PAGE:
        ranges = ranges[np.unique(ranges[:, 0], return_index=True)[1]]
    libc, process = _kernel(), _process()
    for at in range(0, len(ranges), RANGES):
        part = ranges[at : at + RANGES]
        wanted = ctypes.c_void_p(part.ctypes.data), ctypes.c_ulong(len(part))
        if libc is None or libc.syscall(PROCESS_MADVISE, process, *wanted, WILLNEED, 0) < 0:
            return False
    return True


def _bounds(array: NDArray[Any]) -> tuple[int, int]:
    """Return the addresses of an array's first whole page and of the end of its last one."""
    data = array.ctypes.data
    return -(-data // PAGE) * PAGE, (data + array.nbytes) // PAGE * PAGE


def _madvise(address: int, size: int, advice: int) -> int:
    libc = _kernel()
    return int(libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), advice)) if libc else -1


_LIBC: dict[str, Any] = {}
_PROCESSES: dict[int, int] = {}


def _kernel() -> Any:
    if sys.platform != "linux":
        return None
    if not _LIBC:
        _LIBC["c"] = ctypes.CDLL(None, use_errno=True)
        _LIBC["c"].syscall.restype = ctypes.c_long
        _LIBC["c"].mincore.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
    return _LIBC["c"]


def _process() -> int:
    """Return a file descriptor of this process; a forked child opens its own."""
    process = os.getpid()
    if process not in _PROCESSES:
        _PROCESSES[process] = _kernel().syscall(PIDFD_OPEN, process, 0)
    return _PROCESSES[process]
