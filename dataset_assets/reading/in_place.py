"""Streams whose values stay where they are: parts of Parquet files, read as they were when the index was made."""

from typing import Any, Iterator, Mapping

import numpy as np

from dataset_assets.core import files
from dataset_assets.core.redact import redacted
from dataset_assets.core.scratch import scratch_folder
from dataset_assets.core.settings import settings
from dataset_assets.decoding.arrow_file import refused
from dataset_assets.decoding.column_samples import HELD, column_of
from dataset_assets.errors import DecodeError, IntegrityError, at
from dataset_assets.formats import Array, Format, format_named
from dataset_assets.formats.array import ArrayColumn
from dataset_assets.formats.columns import Column
from dataset_assets.formats.dtypes import parsed
from dataset_assets.reading.remote_columns import RemoteColumn, RemoteFiles
from dataset_assets.storage.manifest import SplitIndex, StoredStream
from dataset_assets.storage.outside import State, opened, see_unchanged
from dataset_assets.storage.placed import Placed, PlacedObject

READ = "parquet"
"""The decoder of the objects that are read where they are."""
HELD_BYTES = 1 << 30
"""About how many bytes of values are kept in memory."""
DECODED = 4
"""How many bytes of values are assumed for each byte of a part."""


def placed_columns(index: SplitIndex) -> dict[str, Column]:
    """Return the columns of a split whose values stay where they are; each part is read when it is needed."""
    assert index.placed is not None  # others have files
    if index.placed.read != READ:
        raise IntegrityError(
            f"The values of {index.dataset} lie in {index.placed.read!r:.80} files. Upgrade dataset_assets."
        )
    parts = _Parts(index, index.placed)
    each = max(1, len(index.streams))
    sizes = {(name, k): DECODED * one.bytes // each for name in index.streams for k, one in enumerate(parts.sizes)}
    opened_parts = RemoteFiles(sizes, parts.column, parts.fetch, HELD_BYTES)
    counts = [one.samples for one in parts.sizes]
    return {name: RemoteColumn(opened_parts, name, counts) for name in index.streams}


def see_objects(index: SplitIndex) -> None:
    """Raise `ObjectReplaced` if an object of a split is not what it was."""
    for one in index.placed.objects if index.placed else ():
        see_unchanged(one.url, state_of(one))


def state_of(one: PlacedObject) -> State:
    """Return what an object was when the index was made."""
    return State(one.bytes, one.etag, one.version)


def blocks_of(index: SplitIndex, stream: str) -> Iterator[Any]:
    """Yield the values of a stream, as its format takes them, a part at a time. Raises `ObjectReplaced`."""
    assert index.placed is not None  # others have files
    parts = _Parts(index, index.placed)
    yield from (parts.block(stream, part) for part in range(len(parts.places)))


class _Parts:
    """The parts of the objects of a split, numbered through."""

    def __init__(self, index: SplitIndex, placed: Placed) -> None:
        self.index, self.placed = index, placed
        self.places = [(one, k) for one in placed.objects for k in range(len(one.parts))]
        self.sizes = [part for one in placed.objects for part in one.parts]
        self._footers: dict[str, Any] = {}
        self._ready: dict[tuple[str, int], Column] = {}

    def column(self, stream: str, part: int) -> Column:
        """Return the values of a stream in a part. Raises `ObjectReplaced`, `DecodeError`, `SchemaError`."""
        ready = self._ready.pop((stream, part), None)
        return self._read(stream, part) if ready is None else ready

    def fetch(self, stream: str, part: int) -> None:
        """Read a part before it is asked for."""
        self._ready[stream, part] = self._read(stream, part)

    def block(self, stream: str, part: int) -> Any:
        """Return the values of a stream in a part, as its format takes them."""
        one, group = self.places[part]
        said = self._said(stream)
        with at(f"{self.index.dataset}, split {self.index.split}, stream {stream}"):
            values = self._values(one, group, str(said["from"]))
            if len(values) != self.sizes[part].samples:
                raise DecodeError(f"{one.url} has {len(values)} rows in row group {group}, not as its index says.")
            with at(redacted(one.url)):
                return column_of(stream, said, values)

    def _read(self, stream: str, part: int) -> Column:
        block = self.block(stream, part)
        with at(f"{self.index.dataset}, split {self.index.split}, stream {stream}"):
            return column_in(self.index.streams[stream], block)

    def _said(self, stream: str) -> Mapping[str, Any]:
        """Return what the index says of a stream's column. Raises `DecodeError`."""
        said = self.placed.columns.get(stream)
        if not isinstance(said, Mapping) or not isinstance(said.get("from"), str) or said.get("as") not in HELD:
            raise DecodeError(
                f"The index of {self.index.dataset} does not say how stream {stream} is read: {said!r:.80}."
            )
        return said

    def _values(self, one: PlacedObject, group: int, column: str) -> Any:
        from pyarrow.parquet import ParquetFile

        with opened(one.url, state_of(one)) as file, refused(file, "Parquet"):
            # The footer is read once; its bytes are of this ETag too.
            found = ParquetFile(file, metadata=self._footers.get(one.url), page_checksum_verification=True)
            self._footers[one.url] = found.metadata
            return found.read_row_group(group, columns=[column]).column(column).combine_chunks()


def column_in(stream: StoredStream, values: Any) -> Column:
    """Return values as the column that a format would open if it had written them. Raises `SchemaError`."""
    kind = format_named(stream.format, stream.parameters)
    if isinstance(kind, Array) and isinstance(values, np.ndarray) and kind.dtype and values.dtype == parsed(kind.dtype):
        return ArrayColumn(values)
    return _written(kind, values)


def _written(kind: Format, values: Any) -> Column:
    """Write values with their format into the scratch folder, and open them; the file is gone when it is open."""
    with scratch_folder(settings().scratch) as folder:
        writer = kind.writer(folder / "values")
        writer.append(values)
        parts, parameters = writer.close()
        return format_named(kind.name, parameters).open([files.opened(part.path) for part in parts])
