"""A format: JSON values, one a line in `.jsonl` files.

The last line of a file is its table of contents: how many values there are, and where every 64th begins. By it a value
is found without reading those before it, and a file that ends early is told from a whole one.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Sequence

import numpy as np

from dataset_assets.errors import DecodeError
from dataset_assets.formats import (
    FILE_BYTES,
    Column,
    Format,
    Misfit,
    Part,
    Parts,
    chained,
    check_rows,
    mapped,
    values_of,
)

EVERY = 64
HELD_BYTES = 1 << 20


@dataclass(frozen=True)
class Json(Format):
    """A value is what JSON can say: an object, a list, a string, a number, true, false or null."""

    name: ClassVar[str] = "json"
    suffix: ClassVar[str] = ".jsonl"
    version: ClassVar[int] = 1

    def parameters(self) -> dict[str, Any]:
        """Return no parameters."""
        return {}

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> "JsonWriter":
        """Begin a stream."""
        return JsonWriter(Parts(folder, self.suffix, file_bytes))

    def open(self, opened: Sequence[BinaryIO]) -> Column:
        """Open the files; a line is parsed when it is asked for."""
        if not opened:
            raise DecodeError("A stream has no files. Verify the dataset, then prepare it again.")
        return chained([JsonColumn(memoryview(mapped(file))) for file in opened])


class JsonWriter:
    """Writes a value a line; files end with the value that fills them, whatever block it came in."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.file: Any = None
        self.total = 0

    def append(self, values: Any) -> None:
        """Add a block."""
        for value in values_of(values):
            line = _line(value, self.total)
            if self.file is None or self.at >= self.parts.file_bytes:
                self._finish()
                self._begin()
            if self.count % EVERY == 0:
                self.starts.append(self.at)
            self._write(line)
            self.count, self.total = self.count + 1, self.total + 1

    def close(self) -> tuple[list[Part], dict[str, Any]]:
        """Finish; an empty stream is one file without values."""
        if self.file is None:
            self._begin()
        self._finish()
        return self.parts.finished, {}

    def discard(self) -> None:
        self.parts.discard()

    def _begin(self) -> None:
        self.file, self.held = self.parts.open(), bytearray()
        self.at = self.count = 0
        self.starts: list[int] = []

    def _write(self, line: bytes) -> None:
        self.held += line
        self.at += len(line)
        if len(self.held) >= HELD_BYTES:
            self.file.write(self.held)
            self.held = bytearray()

    def _finish(self) -> None:
        if self.file is None:
            return
        contents = {"every": EVERY, "bytes": self.at, "starts": self.starts, "values": self.count}
        self._write(_dumped(contents))
        self.file.write(self.held)
        self.parts.finish(self.count)
        self.file = None


class JsonColumn:
    """The values of one file."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.count, starts, end = _contents(data)
        self.starts = np.array([*starts, end], np.int64)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Any:
        if not 0 <= i < self.count:
            raise IndexError(f"value {i} of a stream of {self.count}")
        return json.loads(self._lines(i // EVERY)[i % EVERY])

    def take(self, indices: Any, out: Any = None) -> list[Any]:
        check_rows(indices, self.count)
        return [self[i] for i in indices.tolist()]

    def slice(self, lo: int, hi: int) -> list[Any]:
        if hi <= lo:
            return []
        first, last = lo // EVERY, (hi - 1) // EVERY
        lines = [line for group in range(first, last + 1) for line in self._lines(group)]
        return [json.loads(line) for line in lines[lo - first * EVERY : hi - first * EVERY]]

    def _lines(self, group: int) -> list[bytes]:
        return bytes(self.data[self.starts[group] : self.starts[group + 1]]).splitlines()


def _line(value: Any, at: int) -> bytes:
    try:
        line = _dumped(value)
        if json.loads(line) == value:
            return line
        why = "it would be read as another value"
    except (TypeError, ValueError, RecursionError) as error:
        why = str(error)
    raise Misfit(0, f"{value!r:.80} is not what JSON can say ({why}). Make it so in the split function.").as_error(at)


def _dumped(value: Any) -> bytes:
    # ASCII, so that no value has one of the characters at which Python, too, ends a line.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _contents(data: memoryview) -> tuple[int, list[int], int]:
    """Return the number of values, where groups of them begin, and where the last ends."""
    end = len(data) - 1
    begin = end
    while begin > 0 and data[begin - 1] != 10:
        begin -= 1
    try:
        found = json.loads(bytes(data[begin:]))
        count, starts, stop = int(found["values"]), list(found["starts"]), int(found["bytes"])
        whole = data[end] == 10 and stop == begin and found["every"] == EVERY and len(starts) == -(-count // EVERY)
    except (ValueError, KeyError, TypeError, IndexError):
        whole = False
    if not whole:
        raise DecodeError("A .jsonl file does not end as it was written. Verify the dataset, then prepare it again.")
    return count, starts, stop
