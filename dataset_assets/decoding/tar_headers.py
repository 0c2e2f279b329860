"""The headers of a tar that is not compressed, read once for all that need those of one local file."""

import os
import tarfile
from threading import Lock
from typing import BinaryIO

_KEPT: dict[tuple[int, ...], tuple[tarfile.TarInfo, ...]] = {}
_LOCK = Lock()


def headers(tree: BinaryIO) -> tuple[tarfile.TarInfo, ...]:
    """Return the headers of a tar that this package wrote."""
    try:
        info = os.fstat(tree.fileno())
    except (AttributeError, OSError):
        return _read(tree)
    state = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)
    with _LOCK:
        if state not in _KEPT:
            _KEPT.clear()
            _KEPT[state] = _read(tree)
        return _KEPT[state]


def _read(tree: BinaryIO) -> tuple[tarfile.TarInfo, ...]:
    tree.seek(0)
    with tarfile.open(fileobj=tree, mode="r:", encoding="utf-8") as archive:
        return tuple(archive)
