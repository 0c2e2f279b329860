"""Columns of values of varying length, stored one after the other in a buffer: text, bytes, ragged arrays."""

from bisect import bisect_right
from typing import Any, Callable, Protocol

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import DecodeError
from dataset_assets.formats.columns import Indices, check_rows, spans

Borders = NDArray[np.int64]


class ValueReader(Protocol):
    """Reads values from a buffer; `data` is a memoryview or an array."""

    def one(self, data: Any) -> Any:
        """Return the data as one value."""
        ...

    def many(self, data: Any, cuts: list[int]) -> list[Any]:
        """Return the values between the cuts."""
        ...

    def block(self, values: list[Any]) -> list[Any]:
        """Return values as a block."""
        ...


class AsList:
    """Blocks of values are lists."""

    def block(self, values: list[Any]) -> list[Any]:
        return values


class SpansColumn:
    """Values one after the other, with their borders. `check` is called once for each chunk, before it is read.

    Values that were made in this process need no check.
    """

    def __init__(
        self,
        column: Any,
        reader: ValueReader,
        shaped: Callable[[Any], Any] = lambda data: data,
        check: Callable[[int], object] | None = None,
    ) -> None:
        self.reader, self._check = reader, check
        self._all = [(borders, shaped(data)) for borders, data in map(spans_of, column.chunks)]
        self._known: list[tuple[Borders, Any] | None] = [None if check else chunk for chunk in self._all]
        self.starts = np.cumsum([0, *(len(borders) - 1 for borders, _ in self._all)])
        self._starts: list[int] = self.starts.tolist()

    @property
    def chunks(self) -> list[tuple[Borders, Any]]:
        """The borders and the data of each chunk, all checked."""
        return [self.chunk(k) for k in range(len(self._all))]

    def chunk(self, k: int) -> tuple[Borders, Any]:
        """Return the borders and the data of a chunk. Raises `DecodeError` for borders that are not valid."""
        return self._known[k] or self._checked(k)

    def _checked(self, k: int) -> tuple[Borders, Any]:
        if self._check is not None:
            self._check(k)
        self._known[k] = self._all[k]
        return self._all[k]

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, i: int) -> Any:
        chunk = bisect_right(self._starts, i) - 1
        if not 0 <= chunk < len(self._known):
            raise IndexError(f"value {i} of a stream of {len(self)}")
        borders, data = self._known[chunk] or self._checked(chunk)
        row = i - self._starts[chunk]
        return self.reader.one(data[borders.item(row) : borders.item(row + 1)])

    def lengths(self) -> Borders:
        """Return how long each value is, in the units of the buffer: bytes of text, numbers of arrays."""
        return np.concatenate([np.diff(borders) for borders, _ in self.chunks] or [np.empty(0, np.int64)])

    def take(self, indices: Indices, out: Any = None) -> list[Any]:
        check_rows(indices, len(self))
        one = self.reader.one
        if len(self._known) == 1:
            borders, data = self._known[0] or self._checked(0)
            cuts = zip(borders[indices].tolist(), borders[indices + 1].tolist())
            return self.reader.block([one(data[a:b]) for a, b in cuts])
        found = []
        part = np.searchsorted(self.starts, indices, "right") - 1
        for chunk, row in zip(part.tolist(), (indices - self.starts[part]).tolist()):
            borders, data = self._known[chunk] or self._checked(chunk)
            found.append(one(data[borders.item(row) : borders.item(row + 1)]))
        return self.reader.block(found)

    def slice(self, lo: int, hi: int) -> list[Any]:
        values: list[Any] = []
        for chunk, (first, last) in spans(self._starts, lo, hi):
            borders, data = self._known[chunk] or self._checked(chunk)
            values += self.reader.many(data, borders[first : last + 1].tolist())
        return self.reader.block(values)


class AsText(AsList):
    """Reads values as strings in UTF-8."""

    def one(self, data: Any) -> str:
        try:
            return str(data, "utf-8")
        except UnicodeDecodeError as error:
            raise DecodeError(f"A text is not UTF-8 ({error}). Verify the dataset, then prepare it again.") from error

    def many(self, data: Any, cuts: list[int]) -> list[str]:
        first = cuts[0]
        if (whole := bytes(data[first : cuts[-1]])).isascii():
            # In ASCII a character is a byte: decoding once and then cutting is twice as fast as decoding each value.
            text = whole.decode("ascii")
            return [text[a - first : b - first] for a, b in zip(cuts, cuts[1:])]
        return [self.one(data[a:b]) for a, b in zip(cuts, cuts[1:])]


class AsBytes(AsList):
    """Reads values as bytes, which are copied."""

    def one(self, data: Any) -> bytes:
        return bytes(data)

    def many(self, data: Any, cuts: list[int]) -> list[bytes]:
        return [bytes(data[a:b]) for a, b in zip(cuts, cuts[1:])]


class AsIs(AsList):
    """Returns values as slices of the data, without a copy."""

    def one(self, data: Any) -> Any:
        return data

    def many(self, data: Any, cuts: list[int]) -> list[Any]:
        return [data[a:b] for a, b in zip(cuts, cuts[1:])]


def spans_of(chunk: Any) -> tuple[Borders, Any]:
    """Return the borders and the data of an Arrow array of text, bytes or lists of numbers."""
    import pyarrow

    lists = isinstance(chunk, pyarrow.LargeListArray)
    if chunk.null_count or lists and chunk.values.null_count:
        raise DecodeError("A stream of text, bytes or arrays has nulls, which are never written. Prepare it again.")
    _, borders, *data = chunk.buffers()
    content = chunk.values.to_numpy(zero_copy_only=True) if lists else memoryview(data[0] or b"").cast("B")
    if borders is None or not len(chunk):
        return np.zeros(1, np.int64), content[:0]
    return np.frombuffer(borders, np.int64, len(chunk) + 1, 8 * chunk.offset), content
