"""Streams whose values stay where they are: parts of objects, read as they were when the index was made."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from dataset_assets.core import files
from dataset_assets.core.redact import redacted
from dataset_assets.core.roots import real_roots
from dataset_assets.core.scratch import scratch_folder
from dataset_assets.core.settings import settings
from dataset_assets.decoding.column_samples import HELD, column_of
from dataset_assets.errors import DecodeError, SchemaError, at
from dataset_assets.formats import Array, Format, format_named
from dataset_assets.formats.array import ArrayColumn
from dataset_assets.formats.columns import Column
from dataset_assets.formats.dtypes import parsed
from dataset_assets.reading.learnt import compare_content
from dataset_assets.reading.placed_parts import parts_of, state_of
from dataset_assets.reading.remote_columns import RemoteColumn, RemoteFiles
from dataset_assets.storage.manifest import SplitIndex, StoredStream
from dataset_assets.storage.outside import see_unchanged

HELD_BYTES = 1 << 30
"""About how many bytes of values are kept in memory."""
DECODED = 4
"""How many bytes of values are assumed for each byte of a part."""


def placed_columns(index: SplitIndex, storage: str, checks: bool = False) -> dict[str, Column]:
    """Return the columns of a split whose values stay where they are; each part is read when it is needed.

    Files are read only below the roots that are allowed now for the storage of this URL, whatever links lead to then.
    With `checks` pictures and sounds are decoded when their part is read, as when they are stored.
    """
    columns = _columns(index, _Values(index, storage, checks))
    remote = [column for column in columns.values() if isinstance(column, RemoteColumn)]
    for column in remote:
        column.starts = remote[0].starts  # so that they share the groups of the rows of a batch
    return columns


def _columns(index: SplitIndex, values: "_Values") -> dict[str, Column]:
    counts = [one.samples for one in values.parts.sizes]
    if values.parts.shared:
        sizes = {("", k): DECODED * one.bytes for k, one in enumerate(values.parts.sizes)}
        held = RemoteFiles(sizes, values.held, values.fetch, HELD_BYTES)
        return {
            name: values.known(name) or RemoteColumn(held, "", counts, partial(_Held.column, stream=name))
            for name in index.streams
        }
    each = max(1, len(index.streams))
    sizes = {
        (name, k): DECODED * one.bytes // each for name in index.streams for k, one in enumerate(values.parts.sizes)
    }
    opened_parts = RemoteFiles(sizes, values.held, values.fetch, HELD_BYTES)
    return {n: RemoteColumn(opened_parts, n, counts, partial(_Held.column, stream=n)) for n in index.streams}


def see_objects(index: SplitIndex) -> None:
    """Raise `ObjectReplaced` if an object of a split is not what it was; those of a known SHA-256 are hashed."""
    for one in index.placed.objects if index.placed else ():
        see_unchanged(one.url, state_of(one))
        compare_content(one)


def blocks_of(index: SplitIndex, storage: str, stream: str) -> Iterator[Any]:
    """Yield the values of a stream, as its format takes them, a part at a time. Raises `ObjectReplaced`."""
    values = _Values(index, storage)
    for part in range(len(values.parts.sizes)):
        yield values.block(stream, part, values.read(part, [stream]))


class _Values:
    """The values of the parts of a split."""

    def __init__(self, index: SplitIndex, storage: str, checks: bool = False) -> None:
        assert index.placed is not None  # others have files
        self.index, self.placed, self.checks = index, index.placed, checks
        self.parts = parts_of(index.placed, real_roots(storage))
        self._ready: dict[tuple[str, int], _Held] = {}

    def held(self, stream: str, part: int) -> "_Held":
        """Return the values of a part; of one stream if one is named. Raises `ObjectReplaced`, `DecodeError`."""
        ready = self._ready.pop((stream, part), None)
        return self._held(stream, part) if ready is None else ready

    def fetch(self, stream: str, part: int) -> None:
        """Read a part before it is asked for."""
        self._ready[stream, part] = self._held(stream, part)

    def _held(self, stream: str, part: int) -> "_Held":
        wanted = [stream] if stream else [name for name in self.index.streams if self.known(name) is None]
        held = _Held(self, part, self.read(part, wanted))
        if stream:
            held.column(stream)  # so that errors, and the time, are those of reading ahead
        return held

    def read(self, part: int, streams: list[str]) -> Mapping[str, Any]:
        """Return the values of the columns of some streams."""
        columns = [str(self._said(stream)["from"]) for stream in streams]
        with at(f"{self.index.dataset}, split {self.index.split}"):
            values = self.parts.values(part, list(dict.fromkeys(columns)))
            for found in values.values():
                if len(found) != (expected := self.parts.sizes[part].samples):
                    url = redacted(self.parts.url(part))
                    raise DecodeError(
                        f"{url} has {len(found)} samples in part {part}, not {expected} as its index says."
                    )
        return values

    def known(self, stream: str) -> Column | None:
        """Return the column of a stream whose values are known without reading an object."""
        said = self._said(stream)
        found = self.parts.known(str(said["from"]))
        return None if found is None else column_in(self.index.streams[stream], column_of(stream, said, found))

    def block(self, stream: str, part: int, values: Mapping[str, Any]) -> Any:
        """Return the values of a stream in a part, as its format takes them."""
        said = self._said(stream)
        with at(f"{self.index.dataset}, split {self.index.split}, stream {stream}"), at(redacted(self.parts.url(part))):
            return column_of(stream, said, values[said["from"]])

    def _said(self, stream: str) -> Mapping[str, Any]:
        """Return what the index says of a stream's column. Raises `DecodeError`."""
        said = self.placed.columns.get(stream)
        if not isinstance(said, Mapping) or not isinstance(said.get("from"), str) or said.get("as") not in HELD:
            raise DecodeError(
                f"The index of {self.index.dataset} does not say how stream {stream} is read: {said!r:.80}."
            )
        return said


class _Held:
    """The values of a part that were read. Each stream becomes a column when it is asked for."""

    def __init__(self, values: _Values, part: int, read: Mapping[str, Any]) -> None:
        self.values, self.part, self.read = values, part, read
        self._columns: dict[str, Column] = {}

    def column(self, stream: str) -> Column:
        """Return the values of a stream as a column. Raises `SchemaError`."""
        if (found := self._columns.get(stream)) is None:
            values, index = self.values, self.values.index
            block = values.block(stream, self.part, self.read)
            with at(f"{index.dataset}, split {index.split}, stream {stream}"):
                try:
                    found = column_in(index.streams[stream], block, values.checks)
                except SchemaError as error:
                    with at(redacted(values.parts.url(self.part, error.sample))):
                        raise
            self._columns[stream] = found
        return found


def column_in(stream: StoredStream, values: Any, checks: bool = False) -> Column:
    """Return values as the column that a format would open if it had written them. Raises `SchemaError`."""
    kind = format_named(stream.format, stream.parameters)
    if isinstance(kind, Array) and isinstance(values, np.ndarray) and kind.dtype and values.dtype == parsed(kind.dtype):
        return ArrayColumn(values)
    if not checks and getattr(kind, "check", None) == "decode":
        kind = replace(kind, check="header")  # type: ignore[type-var]  # it was decoded when the index was made
    return _written(kind, values)


def _written(kind: Format, values: Any) -> Column:
    """Write values with their format into the scratch folder, and open them; the file is gone when it is open."""
    with scratch_folder(settings().scratch) as folder:
        writer = kind.writer(folder / "values")
        writer.append(values)
        parts, parameters = writer.close()
        return format_named(kind.name, parameters).open([files.opened(part.path) for part in parts])
