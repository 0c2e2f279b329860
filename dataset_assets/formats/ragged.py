"""Stores arrays whose first dimension varies from sample to sample: tokens, sequences, points."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Sequence

import numpy as np

from dataset_assets.errors import DecodeError, DefinitionError, SchemaError
from dataset_assets.formats.array import WIDER, checked_shape
from dataset_assets.formats.arrow import NULL, ArrowWriter, opened_tables
from dataset_assets.formats.columns import Column
from dataset_assets.formats.dtypes import AnyArray, Dtype, cast, dtype_text, parsed, shown, stored
from dataset_assets.formats.format import FILE_BYTES, Misfit, Parts
from dataset_assets.formats.rows import ADVICE, as_rows, is_arrow
from dataset_assets.formats.spans import AsIs, SpansColumn


@dataclass(frozen=True)
class Ragged:
    """A value is an array of shape (n, *shape); n may differ for each value.

    All values have the same numeric dtype: as declared (values are cast as in `Array`), or as the first value.
    """

    dtype: str | None = None
    shape: tuple[int, ...] = ()

    name: ClassVar[str] = "ragged"
    suffix: ClassVar[str] = ".arrow"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.dtype is not None:
            object.__setattr__(self, "dtype", _numeric(parsed(self.dtype)).str)
        object.__setattr__(self, "shape", checked_shape(self.shape))
        if 0 in self.shape:
            raise DefinitionError(f"The shape {self.shape} has a 0, so values would be empty. Use sizes of at least 1.")

    def parameters(self) -> dict[str, Any]:
        """Return dtype and inner shape as JSON."""
        return {"shape": list(self.shape)} | ({"dtype": self.dtype} if self.dtype else {})

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> ArrowWriter:
        """Begin a stream."""
        state = _Rows(self)
        return ArrowWriter(Parts(folder, self.suffix, file_bytes), state.table, state.parameters)

    def open(self, opened: Sequence[BinaryIO]) -> Column:
        """Map the files; a value is a read-only array on the map."""
        table, check = opened_tables(opened, _schema(parsed(self.dtype)) if self.dtype else None)
        if self.dtype is None and not _holds_numbers(table.schema):
            raise DecodeError(
                f"A file of a stream has the columns {table.schema}, expected arrays of numbers. Verify the dataset, "
                "then prepare it again."
            )

        def shaped(flat: AnyArray) -> AnyArray:
            return flat.view(bool) if self.dtype == "|b1" else flat

        return SpansColumn(table.column("value"), AsArrays(self.shape) if self.shape else AsIs(), shaped, check)


class AsArrays:
    """Reads values as arrays of one inner shape, on a buffer of numbers."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = (-1, *shape)

    def one(self, data: AnyArray) -> AnyArray:
        return data.reshape(self.shape)

    def many(self, data: AnyArray, cuts: list[int]) -> list[AnyArray]:
        return [data[a:b].reshape(self.shape) for a, b in zip(cuts, cuts[1:])]


class _Rows:
    """Converts blocks of arrays to Arrow lists, and keeps the dtype of the first array."""

    def __init__(self, declared: Ragged) -> None:
        self.declared = declared
        self.dtype = parsed(declared.dtype) if declared.dtype else None
        self.empty = 0

    def table(self, values: Any, schema: Any) -> Any:
        """Return a block as a table. It is empty as long as all values are empty lists, which show no dtype."""
        rows = self._rows(values)
        if self.dtype is None:
            self.empty += len(rows)
            return _table([], np.empty(0))
        lengths = [0] * self.empty + [row.size for row in rows]
        self.empty = 0
        full = [row.reshape(-1) for row in rows if row.size]
        return _table(lengths, np.concatenate(full) if full else np.empty(0, self.dtype))

    def parameters(self, schema: Any) -> dict[str, Any]:
        if self.dtype is None:
            raise SchemaError("There are no values to take a dtype from. Declare it: Ragged(dtype=...).")
        return Ragged(dtype_text(self.dtype), self.declared.shape).parameters()

    def _rows(self, values: Any) -> list[AnyArray]:
        if is_arrow(values):
            values = _lists_of(values)
        rows = []
        for at, value in enumerate(values):
            try:
                rows.append(self._row(value))
            except Misfit as misfit:
                raise Misfit(self.empty + at, misfit.why) from misfit
        return rows

    def _row(self, value: Any) -> AnyArray:
        inner = self.declared.shape
        if value is None:
            raise Misfit(0, NULL)
        row = as_rows(value)
        if row.ndim == 1 and not row.size:
            row = row.reshape(0, *inner)
        if row.shape[1:] != inner:
            raise Misfit(0, f"shape {row.shape}, expected {('n', *inner)}. Declare Ragged(shape=...), or reshape it.")
        # An empty array is not cast: the dtype of np.array([]) means nothing.
        return self._cast(row) if row.size else row

    def _cast(self, row: AnyArray) -> AnyArray:
        if self.dtype is None or self.declared.dtype is None:
            try:
                dtype = _numeric(stored(row.dtype))
            except DefinitionError as error:
                raise Misfit(0, str(error)) from error
            self.dtype = self.dtype or dtype
            if dtype != self.dtype:
                raise Misfit(0, f"dtype {row.dtype}, expected {self.dtype} as in the samples before it. {ADVICE}")
        if (result := cast(row, self.dtype)) is None:
            raise Misfit(0, f"dtype {row.dtype}, expected {self.dtype} as declared. {ADVICE}")
        if result[1] is not None and not result[1].all():
            raise Misfit(0, f"{shown(row[~result[1]][0])} does not fit the dtype {self.dtype}. {WIDER}")
        return result[0]


def _table(lengths: Sequence[int], flat: AnyArray) -> Any:
    import pyarrow

    if flat.dtype == bool:
        flat = flat.view(np.uint8)  # Arrow packs booleans into bits, which numpy cannot map
    borders = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=borders[1:])
    return pyarrow.table({"value": pyarrow.LargeListArray.from_arrays(borders, pyarrow.array(flat))})


def _schema(dtype: Dtype) -> Any:
    return _table([], np.empty(0, dtype)).schema


def _holds_numbers(schema: Any) -> bool:
    from pyarrow import types

    if schema.names != ["value"] or not types.is_large_list(kind := schema.field(0).type):
        return False
    return bool(types.is_integer(kind.value_type) or types.is_floating(kind.value_type))


def _lists_of(values: Any) -> list[Any]:
    """Return Arrow lists of numbers as arrays on their buffers, and all other lists as Python lists."""
    from pyarrow import types

    if values.null_count:
        raise Misfit(int(np.argmax(values.is_null().to_numpy(zero_copy_only=False))), NULL)
    kind = values.type
    if not (types.is_list(kind) or types.is_large_list(kind)) or not types.is_primitive(kind.value_type):
        lists: list[Any] = values.to_pylist()
        return lists
    rows = []
    for chunk in getattr(values, "chunks", [values]):
        borders, flat = chunk.offsets.to_numpy(), as_rows(chunk.flatten())
        rows += np.split(flat, borders[1:-1] - borders[0]) if len(chunk) else []
    return rows


def _numeric(dtype: Dtype) -> Dtype:
    if dtype.kind not in "biuf":
        raise DefinitionError(f"A Ragged stream holds numbers or booleans, not {dtype}. Use Text, Bytes or Table.")
    return dtype
