"""Stores text and bytes of any length in `.arrow` files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Sequence

from dataset_assets.formats.arrow import ArrowWriter, opened_tables, values_in
from dataset_assets.formats.columns import Column
from dataset_assets.formats.format import FILE_BYTES, Format, Parts
from dataset_assets.formats.spans import AsBytes, AsText, SpansColumn

BYTES = (bytes, bytearray, memoryview)


@dataclass(frozen=True)
class Text(Format):
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

        kind = pyarrow.large_string()

        def convert(values: Any, schema: Any) -> Any:
            return pyarrow.table({"value": values_in(values, kind, str)})

        return ArrowWriter(Parts(folder, self.suffix, file_bytes), convert, no_parameters)

    def open(self, opened: Sequence[BinaryIO]) -> Column:
        """Open the files; each string is decoded on access."""
        import pyarrow

        table, check = opened_tables(opened, pyarrow.schema([("value", pyarrow.large_string())]))
        return SpansColumn(table.column("value"), AsText(), check=check)


@dataclass(frozen=True)
class Bytes(Format):
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

        kind = pyarrow.large_binary()

        def convert(values: Any, schema: Any) -> Any:
            return pyarrow.table({"value": values_in(values, kind, BYTES)})

        return ArrowWriter(Parts(folder, self.suffix, file_bytes), convert, no_parameters)

    def open(self, opened: Sequence[BinaryIO]) -> Column:
        """Open the files; each value is copied on access."""
        import pyarrow

        table, check = opened_tables(opened, pyarrow.schema([("value", pyarrow.large_binary())]))
        return SpansColumn(table.column("value"), AsBytes(), check=check)


def no_parameters(schema: Any) -> dict[str, Any]:
    """Return no parameters, for any schema."""
    return {}
