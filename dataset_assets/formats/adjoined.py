"""Maps the files of one stream as one array, so that numpy gathers rows from all of them in one call.

A gather needs one address and the size of a row. So the files are mapped into one range of addresses, each at a whole
number of rows after the first. The gaps between them are not backed by memory and are never read.
"""

import math
import mmap
import resource
import sys
from typing import Any, BinaryIO, Sequence

import numpy as np

from dataset_assets.core.few_open import descriptor, has_descriptor
from dataset_assets.errors import DecodeError
from dataset_assets.formats.columns import Chained, Column, Indices, check_rows
from dataset_assets.formats.dtypes import AnyArray
from dataset_assets.formats.maps import map_at, owned
from dataset_assets.formats.npy import layout_of

MAP_FIXED = 0x10  # from Linux's <asm-generic/mman-common.h>, the same on every processor
MOST_BYTES = 1 << 42
"""A process has 2**47 addresses, which several streams share."""
MOST_FILES = 1000
"""Of files with a gap after them, which take two maps each, not one: Linux allows a process 65,530 of them."""


class Adjoined(Chained):
    """Several arrays inside `whole` as one column; `firsts` holds the first row of each in `whole`."""

    def __init__(self, whole: AnyArray, firsts: Sequence[int], parts: Sequence[Column]) -> None:
        super().__init__(parts)
        self._whole = whole
        self._ahead = np.array(firsts) - self.starts[:-1]

    def take(self, indices: Indices, out: Any = None) -> AnyArray:
        check_rows(indices, len(self))
        part = np.searchsorted(self.starts, indices, "right") - 1
        # "clip", because with "raise" numpy gathers into a second buffer first.
        rows: AnyArray = np.take(self._whole, indices + self._ahead[part], 0, out=out, mode="clip")
        return rows


def adjoined(opened: Sequence[BinaryIO]) -> tuple[AnyArray, list[tuple[int, int]]] | None:
    """Return one array over all `.npy` files, with the first row and the row count of each; it closes the files.

    Returns None if that is not possible, or if a file is damaged: opening the files one by one then raises the error.
    """
    if len(opened) < 2 or sys.platform != "linux":
        return None
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        # The gaps would count against the limit on addresses.
        return None
    try:
        if len(opened) > MOST_FILES and not (has_descriptor(opened[0]) and _fills_pages(opened[0])):
            return None
        if not all(map(has_descriptor, opened)):
            return None
        layouts, sizes = zip(*((layout_of(file), file.seek(0, 2)) for file in opened))
    except DecodeError:
        return None
    dtype, (_, *shape), start = layouts[0]
    row_bytes = math.prod(shape) * dtype.itemsize
    expected = [start + layout[1][0] * row_bytes for layout in layouts]
    alike = all((layout[0], layout[1][1:], layout[2]) == (dtype, (*shape,), start) for layout in layouts)
    if not alike or not row_bytes or [*sizes] != expected:
        return None
    if (one_range := _side_by_side(opened, sizes, row_bytes)) is None:
        return None
    data, places = one_range
    for file in opened:
        file.close()
    rows = (len(data) - start) // row_bytes
    whole = np.frombuffer(data, dtype, rows * math.prod(shape), start).reshape(rows, *shape)
    return whole, [(place // row_bytes, layout[1][0]) for place, layout in zip(places, layouts)]


def _fills_pages(file: BinaryIO) -> bool:
    """Return whether a page holds whole rows, so that the next file may begin at the next page, without a gap."""
    dtype, (_, *shape), _ = layout_of(file)
    file.seek(0)
    row_bytes = math.prod(shape) * dtype.itemsize
    return row_bytes > 0 and mmap.PAGESIZE % row_bytes == 0


def _side_by_side(
    files: Sequence[BinaryIO], sizes: Sequence[int], row_bytes: int
) -> tuple[memoryview, list[int]] | None:
    """Map files into one range; return it, and where each begins: at a multiple of both a page and a row."""
    unit = math.lcm(mmap.PAGESIZE, row_bytes)
    places, end = list[int](), 0
    for size in sizes:
        places.append(-(-end // unit) * unit)
        end = places[-1] + size
    if end > MOST_BYTES:
        return None
    # Reserves addresses only; the kernel counts no memory for them.
    if (base := map_at(None, end, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1)) is None:
        return None
    whole, ending = owned(base, end)
    for file, place, size in zip(files, places, sizes):
        with descriptor(file) as opened:
            part = map_at(base + place, size, mmap.PROT_READ, mmap.MAP_SHARED | MAP_FIXED, opened)
        if part is None:
            # The state of the range is unknown: another thread may have mapped a part of it, so it is not unmapped.
            ending.detach()
            return None
    return whole, places
