"""Arrays whose first length differs from sample to sample: tokens, sequences, points."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Sequence

import numpy as np

from dataset_assets.errors import DefinitionError, SchemaError
from dataset_assets.formats.array import dtype_text
from dataset_assets.formats.arrow import ArrowWriter, SpansColumn, opened_tables
from dataset_assets.formats.seam import FILE_BYTES, Parts
from dataset_assets.samples import Column


@dataclass(frozen=True)
class Ragged:
    """A value is an array of shape (n, *shape), n its own; all have one numeric dtype, that of the first if undeclared."""

    dtype: str | None = None
    shape: tuple[int, ...] = ()

    name: ClassVar[str] = "ragged"
    suffix: ClassVar[str] = ".arrow"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.dtype is not None:
            object.__setattr__(self, "dtype", _numeric(dtype_text(self.dtype)))
        object.__setattr__(self, "shape", tuple(self.shape))

    def parameters(self) -> dict[str, Any]:
        """Return dtype and inner shape as JSON."""
        return {"shape": list(self.shape)} | ({"dtype": self.dtype} if self.dtype else {})

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> ArrowWriter:
        """Begin a stream."""
        state = _Rows(self)
        return ArrowWriter(Parts(folder, self.suffix, file_bytes), state.table, state.parameters)

    def open(self, opened: Sequence[BinaryIO]) -> Column:
        """Open the files; a value is a read-only array on the map."""
        dtype, inner = np.dtype(self.dtype), self.shape

        def shaped(span: Any) -> Any:
            return np.frombuffer(span, dtype).reshape(-1, *inner) if len(span) else np.empty((0, *inner), dtype)

        return SpansColumn(opened_tables(opened).column("value"), shaped)


class _Rows:
    """Turns blocks of arrays into arrow lists, and remembers the dtype of the first."""

    def __init__(self, declared: Ragged) -> None:
        self.declared = declared
        self.dtype = declared.dtype

    def table(self, values: Any, schema: Any) -> Any:
        import pyarrow

        if hasattr(values, "to_numpy"):
            values = values.to_numpy() if hasattr(values, "iloc") else values.to_numpy(zero_copy_only=False)
        rows = [self._row(value) for value in values]
        borders = np.cumsum([0, *(row.size for row in rows)], dtype=np.int64)
        flat = np.concatenate([row.reshape(-1) for row in rows]) if rows else np.empty(0, self.dtype or "<f8")
        if flat.dtype == bool:
            flat = flat.view(np.uint8)  # arrow packs booleans into bits, which cannot be mapped
        return pyarrow.table({"value": pyarrow.LargeListArray.from_arrays(borders, pyarrow.array(flat))})

    def parameters(self, schema: Any) -> dict[str, Any]:
        if self.dtype is None:
            raise SchemaError("There are no values to take a dtype from. Declare it: Ragged(dtype=...).")
        return Ragged(self.dtype, self.declared.shape).parameters()

    def _row(self, value: Any) -> Any:
        try:
            row = np.asarray(value)
        except ValueError as error:
            raise SchemaError(f"a value is not one array ({error}).") from error
        if row.size == 0 and row.ndim == 1:
            row = np.empty((0, *self.declared.shape), self.dtype or row.dtype)
            if self.dtype is None:
                return row
        if row.ndim == 0 or row.shape[1:] != self.declared.shape:
            raise SchemaError(f"a value has shape {row.shape}, expected (n, *{self.declared.shape}).")
        if self.dtype is None:
            self.dtype = _numeric(dtype_text(row.dtype))
        if dtype_text(row.dtype) == self.dtype:
            return row
        cast = row.astype(self.dtype)
        if self.declared.dtype is None or not np.array_equal(cast.astype(row.dtype), row):
            raise SchemaError(f"a value has dtype {row.dtype}, expected {self.dtype}. Make them equal, or declare a dtype.")
        return cast


def _numeric(text: str) -> str:
    if np.dtype(text).kind not in "biuf":
        raise DefinitionError(f"A Ragged stream holds numbers or booleans, not {text}. Use Text, Bytes or Table.")
    return text
