"""What the formats that store Arrow share: plain `.arrow` files (Arrow IPC, uncompressed), written in one pass.

Format: https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format. pyarrow is imported when such a stream is
written or opened, not before.
"""

import io
from typing import Any, BinaryIO, Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import DecodeError, SchemaError
from dataset_assets.formats.seam import Part, Parts, mapped
from dataset_assets.samples import Indices

BATCH_BYTES = 16 << 20


class ArrowWriter:
    """Collects blocks into record batches of about `BATCH_BYTES` and writes them.

    `convert(values, schema or None)` makes an arrow table of a block; the schema of the first stands for all.
    `describe(schema)` gives the parameters that the format turned out to have.
    """

    def __init__(
        self, parts: Parts, convert: Callable[[Any, Any], Any], describe: Callable[[Any], dict[str, Any]], schema: Any = None
    ) -> None:
        self.parts, self.convert, self.describe = parts, convert, describe
        self.schema = schema
        self.held: list[Any] = []
        self.held_bytes = self.total = self.rows = 0
        self.sink: Any = None

    def append(self, values: Any) -> None:
        """Add a block."""
        table = self._converted(values)
        if not table.num_rows:
            return
        self.schema = self.schema or table.schema
        self.held.append(table)
        self.held_bytes += table.nbytes
        self.total += table.num_rows
        if self.held_bytes >= BATCH_BYTES:
            self._write_held()

    def close(self) -> tuple[list[Part], dict[str, Any]]:
        """Finish; an empty stream is one file without rows."""
        if self.schema is None:
            self.schema = self._converted([]).schema
        if self.held or not self.parts.finished:
            self._write_held()
        if self.sink is not None:
            self._finish()
        return self.parts.finished, self.describe(self.schema)

    def discard(self) -> None:
        self.parts.discard()

    def _converted(self, values: Any) -> Any:
        import pyarrow

        try:
            return self.convert(values, self.schema)
        except SchemaError as error:
            raise SchemaError(f"sample {self.total} or one soon after: {error}") from error
        except (pyarrow.ArrowException, TypeError, UnicodeEncodeError, OverflowError) as error:
            kinds = sorted({type(value).__name__ for value in list(values)[:1000]})
            raise SchemaError(
                f"sample {self.total} or one soon after: values of {', '.join(kinds)} do not fit "
                f"{self.schema or 'this format'} ({error}). Make them of one kind in the split function."
            ) from error

    def _write_held(self) -> None:
        import pyarrow

        if self.parts.full():
            self._finish()
        if self.sink is None:
            options = pyarrow.ipc.IpcWriteOptions(metadata_version=pyarrow.ipc.MetadataVersion.V5)
            self.sink = pyarrow.ipc.new_file(self.parts.open(), self.schema, options=options)
        if self.held:
            batch = pyarrow.concat_tables(self.held).combine_chunks()
            self.sink.write_table(batch)
            self.rows += batch.num_rows
        self.held, self.held_bytes = [], 0

    def _finish(self) -> None:
        self.sink.close()
        self.sink = None
        self.parts.finish(self.rows)
        self.rows = 0


def table_in(file: BinaryIO) -> Any:
    """Return the table of an open `.arrow` file, on its map."""
    import pyarrow

    try:
        return pyarrow.ipc.open_file(pyarrow.py_buffer(mapped(file))).read_all()
    except pyarrow.ArrowInvalid as error:
        name = getattr(file, "name", "the stream")
        raise DecodeError(f"{name} is not an Arrow file: {error}. Verify the dataset, then prepare it again.") from error


def arrow_values(values: Any, kind: Any) -> Any:
    """Return a block of one column as a chunked arrow array of this type, without nulls."""
    import pyarrow

    if hasattr(values, "to_numpy") and hasattr(values, "iloc"):  # a pandas Series
        values = pyarrow.Array.from_pandas(values)
    if isinstance(values, (pyarrow.Array, pyarrow.ChunkedArray)):
        found = values.cast(kind)
    else:
        found = pyarrow.array(list(values), kind)
    if found.null_count:
        raise SchemaError("there is a null (None or NaN), which only a Table holds. Fill it, or drop the sample.")
    return found


def one_column(values: Any, kind: Any) -> Any:
    """Return a table whose only column is these values."""
    import pyarrow

    return pyarrow.table({"value": arrow_values(values, kind)})


class SpansColumn:
    """Values that lie one after the other in a buffer, with their borders: text, bytes, ragged arrays."""

    def __init__(self, column: Any, convert: Callable[[Any], Any]) -> None:
        self.convert = convert
        self.chunks = [spans_of(chunk) for chunk in column.chunks]
        self.starts = np.cumsum([0, *(len(borders) - 1 for borders, _ in self.chunks)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def span(self, i: int) -> Any:
        """Return the bytes, or the array, of one value, on the map."""
        chunk = 0 if len(self.chunks) == 1 else int(np.searchsorted(self.starts, i, "right")) - 1
        borders, data = self.chunks[chunk]
        row = i - int(self.starts[chunk])
        return data[borders[row] : borders[row + 1]]

    def __getitem__(self, i: int) -> Any:
        return self.convert(self.span(i))

    def take(self, indices: Indices, out: Any = None) -> list[Any]:
        return [self.convert(self.span(i)) for i in indices.tolist()]

    def slice(self, lo: int, hi: int) -> list[Any]:
        found: list[Any] = []
        for (borders, data), start in zip(self.chunks, self.starts.tolist()):
            first, last = max(lo - start, 0), min(hi - start, len(borders) - 1)
            if first < last:
                cuts = borders[first : last + 1].tolist()
                found += [self.convert(data[a:b]) for a, b in zip(cuts, cuts[1:])]
        return found


def spans_of(chunk: Any) -> tuple[NDArray[np.int64], Any]:
    """Return the borders and the data of one arrow array of text, bytes or lists."""
    import pyarrow

    _, borders, *data = chunk.buffers()
    if borders is None or not len(chunk):
        return np.zeros(1, np.int64), memoryview(b"")
    edges = np.frombuffer(borders, np.int64, len(chunk) + 1, 8 * chunk.offset)
    if isinstance(chunk, pyarrow.LargeListArray):
        return edges, chunk.values.to_numpy(zero_copy_only=True)
    return edges, memoryview(data[0] or b"").cast("B")


class SpanFile(io.RawIOBase):
    """A seekable, read-only file over a span of memory; nothing is copied before it is read."""

    def __init__(self, data: memoryview, name: str) -> None:
        self.data, self.name = data, name
        self.at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: len(self.data)}[whence]
        if base + offset < 0:
            raise ValueError(f"cannot seek to {base + offset}")
        self.at = base + offset
        return self.at

    def readinto(self, buffer: Any) -> int:
        target = memoryview(buffer).cast("B")
        part = self.data[self.at : self.at + len(target)]
        target[: len(part)] = part
        self.at += len(part)
        return len(part)


def opened_tables(opened: Sequence[BinaryIO]) -> Any:
    """Return all files of a stream as one table."""
    import pyarrow

    return pyarrow.concat_tables([table_in(file) for file in opened])
