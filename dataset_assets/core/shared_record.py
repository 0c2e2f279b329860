"""A small JSON object that processes change one after the other: a file, which is open only while it is used."""

import json
import os
import tempfile
import weakref
from contextlib import contextmanager, suppress
from typing import Any, Iterator

from dataset_assets.core import locks
from dataset_assets.errors import Conflict

ROWS = 1024
ROW = 24
MOST = 1 << 20


class SharedRecord:
    """A JSON object in a temporary file. Processes that are forked, or get it in a pickle, share it.

    Rows of three numbers lie before it, one for each worker, which are written without a lock. The file is removed
    when the process that made it no longer has the record.
    """

    def __init__(self, record: dict[str, Any]) -> None:
        handle, self.path = tempfile.mkstemp(prefix="dataset_assets-turns-")
        os.close(handle)
        weakref.finalize(self, _remove, self.path, os.getpid())
        with self.changing() as now:
            now.update(record)

    @contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """Give the record, which no other process changes meanwhile, and write what became of it."""
        with self._opened() as file:
            locks.take(file)
            text = os.pread(file.fileno(), MOST, ROWS * ROW)
            record: dict[str, Any] = json.loads(text.partition(b"\n")[0] or b"{}")
            yield record
            if (new := json.dumps(record).encode() + b"\n") != text:
                os.pwrite(file.fileno(), new, ROWS * ROW)
                os.ftruncate(file.fileno(), ROWS * ROW + len(new))

    def read(self) -> dict[str, Any]:
        """Return the record."""
        with self.changing() as record:
            return record

    def set_row(self, row: int, values: tuple[int, int]) -> None:
        """Write two numbers into a row."""
        packed = b"".join(value.to_bytes(8, "little") for value in (1, *values))
        with self._opened() as file:
            os.pwrite(file.fileno(), packed, row % ROWS * ROW)

    def rows(self) -> list[tuple[int, int, int]]:
        """Return the rows that were written: their number, and two numbers."""
        with self._opened() as file:
            data = os.pread(file.fileno(), ROWS * ROW, 0)
        numbers = [int.from_bytes(data[k : k + 8], "little") for k in range(0, len(data), 8)]
        return [(k // 3, numbers[k + 1], numbers[k + 2]) for k in range(0, len(numbers), 3) if numbers[k]]

    def _opened(self) -> Any:
        try:
            return open(self.path, "rb+", buffering=0)
        except FileNotFoundError:
            raise Conflict(
                f"{self.path}, in which the processes that read one dataset of torch agree on the epoch, is gone: the "
                "process that made the dataset has ended, or somebody removed the file. Make the dataset again."
            ) from None


def _remove(path: str, maker: int) -> None:
    if os.getpid() == maker:
        with suppress(OSError):
            os.unlink(path)
