"""Stored: the samples of a stored split, or of columns in memory."""

import hashlib
import io
from abc import ABC, abstractmethod
from typing import Any, BinaryIO, Mapping, Sequence, TextIO

import numpy as np

from dataset_assets.errors import SchemaError, UsageError
from dataset_assets.formats.columns import Column, Columns
from dataset_assets.reading.views.blocks import bytes_of
from dataset_assets.reading.views.node import Lineage, Origin, Traceable
from dataset_assets.reading.views.operations import operation
from dataset_assets.reading.views.rows import Where
from dataset_assets.reading.views.view import View
from dataset_assets.storage.manifest import UsedFile

PROBES = 8


@operation("stored")
class Stored(View, Traceable):
    """The samples of a stored split, or of columns in memory."""

    def __init__(
        self,
        origin: Origin,
        columns: Mapping[str, Column],
        opener: "Opener | None" = None,
        reopen: tuple[Any, ...] | None = None,
    ) -> None:
        self._origin, self.columns, self.opener, self._reopen = origin, dict(columns), opener, reopen
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            counts = ", ".join(f"{name} has {count}" for name, count in lengths.items())
            raise SchemaError(f"The streams of a view have different lengths: {counts}. Give all the same length.")
        self._samples = next(iter(lengths.values()), 0)
        self._row_bytes: dict[str, float] = {}

    def __len__(self) -> int:
        return self._samples

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(self.columns)

    @property
    def origin(self) -> Origin:
        return self._origin

    @property
    def roles(self) -> Mapping[str, str]:
        return self._origin.roles

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        return self._origin.classes

    def arguments(self) -> dict[str, Any]:
        found = {name: getattr(self._origin, name) for name in ("dataset", "split", "index", "version")}
        # Values in memory have no digest of an index to go by.
        return found if self._origin.index else found | {"contents": contents_of(self.columns)}

    def traced(self, i: int) -> list[tuple[Traceable, int]]:
        return [(self, i)]

    def lineage_of(self, row: int) -> Lineage:
        """Return the origin of a row."""
        files = () if self.opener is None else self.opener.sources()
        return Lineage(self.dataset, self.split, self.version, self._origin.index, row, files)

    def sample(self, i: int) -> dict[str, Any]:
        return {name: column[i] for name, column in self.columns.items()}

    def sample_of(self, streams: Sequence[str], i: int) -> dict[str, Any]:
        columns = self.columns
        return {name: columns[name][i] for name in streams}

    def rows(self, where: Where) -> Columns:
        return self.rows_of(self.streams, where)

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        if isinstance(where, slice):
            return Columns({name: self.columns[name].slice(where.start, where.stop) for name in streams})
        return Columns({name: self.columns[name].take(where) for name in streams})

    def row_bytes(self, streams: Sequence[str] | None = None) -> float:
        size = 1.0
        for name in self.columns if streams is None else streams:
            if name not in self._row_bytes:
                self._row_bytes[name] = self._measured(self.columns[name])
            size += self._row_bytes[name]
        return size

    def _measured(self, column: Column) -> float:
        known: float | None = getattr(column, "row_bytes", None)
        if known is not None:
            return known
        # A few samples from everywhere, because the first ones may not be typical.
        some = np.linspace(0, self._samples - 1, min(PROBES, self._samples)).astype(np.intp)
        if not len(some):
            return 1.0
        # A value that cannot be decoded raises its error when it is read, not here.
        column = column.lenient(None) if hasattr(column, "lenient") else column
        return bytes_of(column.take(some)) / len(some)

    def open(self, stream: str, *, part: int = 0, encoding: str | None = None) -> BinaryIO | TextIO:
        return _as_asked(self._opener.stream(self._stream(stream), part), encoding)

    def open_raw(self, argument: str, *, encoding: str | None = None) -> BinaryIO | TextIO:
        return _as_asked(self._opener.raw(argument), encoding)

    @property
    def _opener(self) -> "Opener":
        if self.opener is None:
            raise UsageError("This view is over values in memory, so it has no files to open.")
        return self.opener

    def __reduce__(self) -> Any:
        # Pickles no file handles: another process opens the same bytes again, by their digest.
        return self._reopen or (Stored, (self._origin, self.columns))

    def _line(self) -> str:
        at = f"@{self._origin.version[:12]}" if self._origin.version else ""
        what = f"{len(self)} samples of {', '.join(self.streams)}"
        return f"Stored({self._origin.dataset}{at} {self._origin.split}: {what})"


class Opener(ABC):
    """Opens the files of a stored view."""

    @abstractmethod
    def stream(self, stream: str, part: int) -> BinaryIO:
        """Open a file of a stream."""

    def sources(self) -> tuple[UsedFile, ...]:
        """Return the raw files from which the split was made; empty if they are unknown."""
        return ()

    @abstractmethod
    def raw(self, argument: str) -> BinaryIO:
        """Open the raw file that was passed to the split's function as this argument."""


def contents_of(columns: Mapping[str, Any]) -> str:
    """Return a digest of values in memory."""
    found = hashlib.sha256()
    for name, column in sorted(columns.items()):
        found.update(f"{name}:{len(column)};".encode())
        _add(found, column.slice(0, len(column)))
    return found.hexdigest()


def _add(found: Any, value: Any) -> None:
    """Add a value to a digest, with its kind and length, so that no two values are the same bytes."""
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        found.update(f"{value.dtype.str}{value.shape}".encode())
        # As bytes: dates have no form of their own in a buffer.
        found.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
    elif isinstance(value, (list, tuple, np.ndarray)):
        found.update(f"[{len(value)}".encode())
        for item in value:
            _add(found, item)
    elif isinstance(value, Mapping):
        _add(found, [[key, item] for key, item in value.items()])
    elif hasattr(value, "to_pylist"):
        _add(found, value.to_pylist())
    else:
        text = value if isinstance(value, bytes) else repr(value).encode("utf-8", "surrogatepass")
        found.update(f"{type(value).__name__}{len(text)}:".encode() + text)


def _as_asked(file: BinaryIO, encoding: str | None) -> BinaryIO | TextIO:
    return file if encoding is None else io.TextIOWrapper(file, encoding=encoding)
