"""Stores named files in `.arrow` files. Each can be opened and read in part, without reading the others."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Sequence

from dataset_assets.formats.arrow import ArrowWriter, opened_tables, values_in
from dataset_assets.formats.columns import Column, Indices
from dataset_assets.formats.format import FILE_BYTES, Format, Misfit, Parts
from dataset_assets.formats.spans import AsIs, AsText, SpansColumn
from dataset_assets.formats.text import BYTES, no_parameters


@dataclass(frozen=True)
class Member:
    """One of many files in a `Files` stream."""

    name: str
    data: memoryview

    def open(self) -> BinaryIO:
        """Open it as a seekable, read-only file; its bytes are read on access."""
        return io.BufferedReader(SpanFile(self.data, self.name))

    def __repr__(self) -> str:
        return f"Member({self.name!r}, {len(self.data)} bytes)"

    def __reduce__(self) -> Any:
        # Pickles the bytes, because another process may not have the file that they are mapped from.
        return _member, (self.name, bytes(self.data))


def _member(name: str, data: bytes) -> Member:
    return Member(name, memoryview(data))


@dataclass(frozen=True)
class Files(Format):
    """A value is a file with a name: a pair (name, bytes) when written, a `Member` when read."""

    name: ClassVar[str] = "files"
    suffix: ClassVar[str] = ".arrow"
    version: ClassVar[int] = 1

    def parameters(self) -> dict[str, Any]:
        """Return no parameters."""
        return {}

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> ArrowWriter:
        """Begin a stream."""
        return ArrowWriter(Parts(folder, self.suffix, file_bytes), _members, no_parameters)

    def open(self, opened: Sequence[BinaryIO]) -> Column:
        """Open the files; each member is read on access."""
        import pyarrow

        schema = pyarrow.schema([("name", pyarrow.large_string()), ("data", pyarrow.large_binary())])
        table, check = opened_tables(opened, schema)
        names = SpansColumn(table.column("name"), AsText(), check=check)
        return FilesColumn(names, SpansColumn(table.column("data"), AsIs(), check=check))


class FilesColumn:
    """A stream of members."""

    def __init__(self, names: SpansColumn, data: SpansColumn) -> None:
        self.names, self.data = names, data

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> Member:
        return Member(self.names[i], self.data[i])

    def take(self, indices: Indices, out: Any = None) -> list[Member]:
        return list(map(Member, self.names.take(indices), self.data.take(indices)))

    def slice(self, lo: int, hi: int) -> list[Member]:
        return list(map(Member, self.names.slice(lo, hi), self.data.slice(lo, hi)))


class SpanFile(io.RawIOBase):
    """A seekable, read-only file over a span of memory, which is copied only when it is read."""

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


def _members(values: Any, schema: Any) -> Any:
    import pyarrow

    pairs = [(value.name, value.data) if isinstance(value, Member) else value for value in values]
    for at, pair in enumerate(pairs):
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise Misfit(at, f"the value is a {type(pair).__name__}, expected a pair (name, bytes).")
    names = values_in([name for name, _ in pairs], pyarrow.large_string(), str)
    return pyarrow.table({"name": names, "data": values_in([data for _, data in pairs], pyarrow.large_binary(), BYTES)})
