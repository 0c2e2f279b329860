"""Stored: the samples of a stored split, or of columns in memory."""

import hashlib
import io
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, BinaryIO, Mapping, Sequence, TextIO

import numpy as np

from dataset_assets.errors import SchemaError, UsageError
from dataset_assets.formats.columns import Column, Columns
from dataset_assets.reading.views.blocks import bytes_of
from dataset_assets.reading.views.document import counted_in
from dataset_assets.reading.views.node import Lineage, Node, Origin, Traceable, checked_version
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
        held: str | None = None,
    ) -> None:
        self._origin, self.columns, self.opener, self._reopen = origin, dict(columns), opener, reopen
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            counts = ", ".join(f"{name} has {count}" for name, count in lengths.items())
            raise SchemaError(f"The streams of a view have different lengths: {counts}. Give all the same length.")
        self._held = checked_version(held)
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

    @property
    def licenses(self) -> Mapping[str, tuple[str | None, ...]]:
        return {} if self.opener is None else {self._origin.dataset: (self.opener.license,)}

    def arguments(self) -> dict[str, Any]:
        found = {name: getattr(self._origin, name) for name in ("dataset", "split", "index", "version")}
        # Values in memory have no digest of an index to go by.
        return found if self._origin.index else found | {"contents": self._digest}

    @cached_property
    def _digest(self) -> str:
        return contents_of(self.columns, self) if self._held is None else f"version {self._held}"

    def traced(self, i: int) -> list[tuple[Traceable, int]]:
        return [(self, i)]

    def lineage_of(self, row: int) -> Lineage:
        """Return the origin of a row."""
        files = () if self.opener is None else self.opener.sources(row)
        return Lineage(self.dataset, self.split, self.version, self._origin.index, row, files)

    def sample(self, i: int) -> dict[str, Any]:
        return {name: column[i] for name, column in self.columns.items()}

    def sample_of(self, streams: Sequence[str], i: int) -> dict[str, Any]:
        columns = self.columns
        return {name: columns[name][i] for name in streams}

    def _array_forms(self, streams: Sequence[str]) -> Mapping[str, Any]:
        return {name: getattr(self.columns[name], "form", None) for name in streams}

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
        return self._reopen or (Stored, (self._origin, self.columns, None, None, self._held))

    def _line(self) -> str:
        at = f"@{self._origin.version[:12]}" if self._origin.version else ""
        what = f"{len(self)} samples of {', '.join(self.streams)}"
        return f"Stored({self._origin.dataset}{at} {self._origin.split}: {what})"


class Opener(ABC):
    """Opens the files of a stored view."""

    license: str | None = None
    """The licence that the split states."""

    @abstractmethod
    def stream(self, stream: str, part: int) -> BinaryIO:
        """Open a file of a stream."""

    def sources(self, row: int) -> tuple[UsedFile, ...]:
        """Return the raw files from which a row was made, as far as that is known."""
        return ()

    @abstractmethod
    def raw(self, argument: str) -> BinaryIO:
        """Open the raw file that was passed to the split's function as this argument."""


def contents_of(columns: Mapping[str, Any], view: Node) -> str:
    """Return a digest of values in memory. Raises `UsageError` for values that have none."""
    # Reading samples needs no digests: they are imported when one is asked for.
    from dataset_assets.core.callables import by_reference
    from dataset_assets.core.value_digest import NoDigest, add, add_all

    found, other = hashlib.sha256(), by_reference(counted_in(view))
    for name, column in sorted(columns.items()):
        found.update(f"{name}:{len(column)};".encode())
        whole = column.slice(0, len(column))
        try:
            if isinstance(whole, np.ndarray) and not whole.dtype.hasobject:
                add(found, whole, other)
            else:
                add_all(found, "[", whole.to_pylist() if hasattr(whole, "to_pylist") else whole, other)
        except (NoDigest, RecursionError) as error:
            raise no_contents(f"Stream {name}", error) from error
    return found.hexdigest()


def no_contents(what: str, error: Exception) -> UsageError:
    """Return the error for values in memory that have no digest."""
    return UsageError(
        f"{what} of this view holds {error}, whose content has no digest, so the view cannot be told from others. Say "
        'which it is, and another version when it changes: view_of(source, version="1").'
    )


def _as_asked(file: BinaryIO, encoding: str | None) -> BinaryIO | TextIO:
    return file if encoding is None else io.TextIOWrapper(file, encoding=encoding)
