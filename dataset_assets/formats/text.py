"""Text, bytes and named files: values of any length, one after the other in `.arrow` files."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Iterable, Sequence

import numpy as np

from dataset_assets.errors import SchemaError
from dataset_assets.formats.arrow import ArrowWriter, SpanFile, SpansColumn, arrow_values, one_column, opened_tables
from dataset_assets.formats.seam import FILE_BYTES, Parts
from dataset_assets.samples import Column, Indices


def _nothing(schema: Any) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Text:
    """A value is a string."""

    name: ClassVar[str] = "text"
    suffix: ClassVar[str] = ".arrow"
    version: ClassVar[int] = 1

    def parameters(self) -> dict[str, Any]:
        """Return no parameters."""
        return {}

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> ArrowWriter:
        """Begin a stream."""
        import pyarrow

        def convert(values: Any, schema: Any) -> Any:
            return one_column(values, pyarrow.large_string())

        return ArrowWriter(Parts(folder, self.suffix, file_bytes), convert, _nothing)

    def open(self, opened: Sequence[BinaryIO]) -> Column:
        """Open the files; a string is decoded when it is asked for."""
        return SpansColumn(opened_tables(opened).column("value"), lambda span: str(span, "utf-8"))


@dataclass(frozen=True)
class Bytes:
    """A value is a byte string, such as an encoded picture."""

    name: ClassVar[str] = "bytes"
    suffix: ClassVar[str] = ".arrow"
    version: ClassVar[int] = 1

    def parameters(self) -> dict[str, Any]:
        """Return no parameters."""
        return {}

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> ArrowWriter:
        """Begin a stream."""
        import pyarrow

        def convert(values: Any, schema: Any) -> Any:
            return one_column(_as_bytes(values), pyarrow.large_binary())

        return ArrowWriter(Parts(folder, self.suffix, file_bytes), convert, _nothing)

    def open(self, opened: Sequence[BinaryIO]) -> Column:
        """Open the files; a value is copied when it is asked for."""
        return SpansColumn(opened_tables(opened).column("value"), bytes)


@dataclass(frozen=True)
class Member:
    """One of many files in a `Files` stream."""

    name: str
    data: memoryview

    def open(self) -> BinaryIO:
        """Open it as a seekable, read-only file; nothing is read before it is asked for."""
        return io.BufferedReader(SpanFile(self.data, self.name))

    def __repr__(self) -> str:
        return f"Member({self.name!r}, {len(self.data)} bytes)"


@dataclass(frozen=True)
class Files:
    """A value is a file with a name: a pair (name, bytes) when written, a `Member` when read."""

    name: ClassVar[str] = "files"
    suffix: ClassVar[str] = ".arrow"
    version: ClassVar[int] = 1

    def parameters(self) -> dict[str, Any]:
        """Return no parameters."""
        return {}

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> ArrowWriter:
        """Begin a stream."""
        return ArrowWriter(Parts(folder, self.suffix, file_bytes), _members, _nothing)

    def open(self, opened: Sequence[BinaryIO]) -> Column:
        """Open the files; a member is not read before it is asked for."""
        table = opened_tables(opened)
        return FilesColumn(
            SpansColumn(table.column("name"), lambda span: str(span, "utf-8")),
            SpansColumn(table.column("data"), memoryview),
        )


class FilesColumn:
    """A stream of members."""

    def __init__(self, names: SpansColumn, data: SpansColumn) -> None:
        self.names, self.data = names, data

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> Member:
        return Member(self.names[i], self.data[i])

    def take(self, indices: Indices, out: Any = None) -> list[Member]:
        return [self[i] for i in indices.tolist()]

    def slice(self, lo: int, hi: int) -> list[Member]:
        return self.take(np.arange(lo, hi))


def _members(values: Any, schema: Any) -> Any:
    import pyarrow

    pairs = [(value.name, value.data) if isinstance(value, Member) else value for value in values]
    if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise SchemaError("a value of a Files stream is a pair (name, bytes).")
    names = arrow_values([name for name, _ in pairs], pyarrow.large_string())
    return pyarrow.table({"name": names, "data": arrow_values(_as_bytes(data for _, data in pairs), pyarrow.large_binary())})


def _as_bytes(values: Iterable[Any]) -> Any:
    if hasattr(values, "type") or hasattr(values, "iloc"):
        return values
    found = []
    for value in values:
        # pyarrow would take a string for its UTF-8 bytes.
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise SchemaError(f"a value is a {type(value).__name__}, expected bytes.")
        found.append(bytes(value))
    return found
