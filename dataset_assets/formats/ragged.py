"""Stores arrays whose shape varies from sample to sample: tokens, sequences, points, pictures of different sizes."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, Callable, ClassVar, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import DecodeError, DefinitionError, SchemaError
from dataset_assets.formats.array import WIDER, checked_shape
from dataset_assets.formats.arrow import NULL, ArrowWriter, opened_tables
from dataset_assets.formats.columns import Column, Indices
from dataset_assets.formats.dtypes import AnyArray, Dtype, cast, dtype_text, parsed, shown, stored
from dataset_assets.formats.format import FILE_BYTES, Format, Misfit, Parts
from dataset_assets.formats.rows import ADVICE, as_rows, is_arrow
from dataset_assets.formats.spans import AsIs, AsList, SpansColumn

Sizes = NDArray[np.int64]
NO_NUMBERS = "There are no values to take a dtype from. Declare it: Ragged(dtype=...)."


@dataclass(frozen=True)
class Ragged(Format):
    """A value is an array of shape (n, *shape); n may differ for each value, and so may each size that is None.

    Ragged(shape=(None, 3)) holds pictures of any height and width with three channels.
    All values have the same numeric dtype: as declared (values are cast as in `Array`), or as the first value.
    """

    dtype: str | None = None
    shape: tuple[int | None, ...] = ()

    name: ClassVar[str] = "ragged"
    suffix: ClassVar[str] = ".arrow"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.dtype is not None:
            object.__setattr__(self, "dtype", _numeric(parsed(self.dtype)).str)
        own = self.shape if isinstance(self.shape, (tuple, list)) else (self.shape,)
        fixed = iter(checked_shape([size for size in own if size is not None]))
        object.__setattr__(self, "shape", tuple(None if size is None else next(fixed) for size in own))
        if 0 in self.shape:
            raise DefinitionError(f"The shape {self.shape} has a 0, so values would be empty. Use sizes of at least 1.")

    def parameters(self) -> dict[str, Any]:
        """Return dtype and inner shape as JSON."""
        return {"shape": list(self.shape)} | ({"dtype": self.dtype} if self.dtype else {})

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> ArrowWriter:
        """Begin a stream."""
        return self._writer(folder, file_bytes, _Rows.parameters)

    def part_writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> ArrowWriter:
        """Begin a part of a stream: without any number in it, it takes the dtype of the other parts."""
        return self._writer(folder, file_bytes, _Rows.known_parameters)

    def _writer(self, folder: Path, file_bytes: int, describe: "Callable[[_Rows, Any], dict[str, Any]]") -> ArrowWriter:
        state = _Rows(self)
        return ArrowWriter(
            Parts(folder, self.suffix, file_bytes), state.table, partial(describe, state), widen=_cast_empty
        )

    def merge(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of two parts of a stream. Raises `Misfit` if both have a dtype, and not the same."""
        if first != second and "dtype" in first and "dtype" in second:
            raise Misfit(None, f"All values of a stream have one dtype. {ADVICE}")
        return dict(first if "dtype" in first else second)

    def see_complete(self, parameters: Mapping[str, Any]) -> None:
        """Raise `SchemaError` if no part of a stream has a number."""
        if "dtype" not in parameters:
            raise SchemaError(NO_NUMBERS)

    def open(self, opened: Sequence[BinaryIO]) -> Column:
        """Map the files; a value is a read-only array on the map."""
        axes = len(self.shape) + 1 if None in self.shape else 0
        table, check = opened_tables(opened, _schema(parsed(self.dtype), axes) if self.dtype else None)
        if self.dtype is None and not _holds_numbers(table.schema, axes):
            raise DecodeError(
                f"A file of a stream has the columns {table.schema}, expected arrays of numbers. Verify the dataset, "
                "then prepare it again."
            )

        def shaped(flat: AnyArray) -> AnyArray:
            return flat.view(bool) if self.dtype == "|b1" else flat

        if axes:
            return ShapedColumn(SpansColumn(table.column("value"), AsIs(), shaped, check), table.column("shape"))
        inner = tuple(size for size in self.shape if size is not None)
        return SpansColumn(table.column("value"), AsArrays(inner) if inner else AsIs(), shaped, check)


class AsArrays(AsList):
    """Reads values as arrays of one inner shape, on a buffer of numbers."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = (-1, *shape)

    def one(self, data: AnyArray) -> AnyArray:
        try:
            return data.reshape(self.shape)
        except ValueError as error:
            raise self._misfit() from error

    def many(self, data: AnyArray, cuts: list[int]) -> list[AnyArray]:
        try:
            return [data[a:b].reshape(self.shape) for a, b in zip(cuts, cuts[1:])]
        except ValueError as error:
            raise self._misfit() from error

    def _misfit(self) -> DecodeError:
        return DecodeError(
            f"A stored array does not fit its inner shape {self.shape[1:]}. Verify the dataset, then prepare it again."
        )


class ShapedColumn:
    """A stream of arrays whose shapes vary in several axes: the numbers of each, and its shape."""

    def __init__(self, values: SpansColumn, shapes: Any) -> None:
        self.values = values
        self._shapes = [_flat_shapes(chunk) for chunk in shapes.chunks]
        self._starts: list[int] = values.starts.tolist()

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, i: int) -> AnyArray:
        return self._shaped(i, self.values[i])

    def take(self, indices: Indices, out: Any = None) -> list[AnyArray]:
        return [self._shaped(i, value) for i, value in zip(indices.tolist(), self.values.take(indices))]

    def slice(self, lo: int, hi: int) -> list[AnyArray]:
        return [self._shaped(i, value) for i, value in enumerate(self.values.slice(lo, hi), max(lo, 0))]

    def _shaped(self, i: int, value: AnyArray) -> AnyArray:
        chunk = bisect_right(self._starts, i) - 1
        shape = self._shapes[chunk][i - self._starts[chunk]].tolist()
        if min(shape) < 0 or math.prod(shape) != value.size:
            raise DecodeError(
                f"Row {i} has {value.size} numbers, which do not fit its shape {tuple(shape)}. Verify the dataset, "
                "then prepare it again."
            )
        return value.reshape(shape)


def _flat_shapes(chunk: Any) -> NDArray[np.int64]:
    if chunk.null_count or chunk.values.null_count:
        raise DecodeError("A stream of arrays has a shape that is null, which is never written. Prepare it again.")
    shapes: NDArray[np.int64] = chunk.flatten().to_numpy(zero_copy_only=True).reshape(len(chunk), chunk.type.list_size)
    return shapes


class _Rows:
    """Converts blocks of arrays to Arrow lists, and keeps the dtype of the first array."""

    def __init__(self, declared: Ragged) -> None:
        self.declared = declared
        self.axes = len(declared.shape) + 1 if None in declared.shape else 0
        self.dtype = parsed(declared.dtype) if declared.dtype else None

    def table(self, values: Any, schema: Any) -> Any:
        """Return a block as a table: of no numbers, and of any dtype, as long as all values are empty lists."""
        sizes, shapes, runs = self._block(values)
        numbers = [self._cast(flat, at, sizes) for at, flat in runs]
        return _table(sizes, shapes, np.concatenate(numbers) if numbers else np.empty(0, self.dtype or float))

    def parameters(self, schema: Any) -> dict[str, Any]:
        if self.dtype is None:
            raise SchemaError(NO_NUMBERS)
        return self.known_parameters(schema)

    def known_parameters(self, schema: Any) -> dict[str, Any]:
        """Return the parameters, without a dtype if all values are empty lists."""
        dtype = self.dtype and dtype_text(self.dtype)
        return Ragged(dtype, self.declared.shape).parameters()

    def _block(self, values: Any) -> "tuple[Sizes, Sizes, list[tuple[int, AnyArray]]]":
        """Return the size and the shape of each value, and all numbers, in runs of one dtype with their first row."""
        if is_arrow(values):
            if values.null_count:
                raise Misfit(int(np.argmax(values.is_null().to_numpy(zero_copy_only=False))), NULL)
            if (lists := _lists_of(values, self.declared.shape)) is not None:
                sizes, flat = lists
                numbers = [(int(np.argmax(sizes > 0)), flat)] if flat.size else []
                return sizes, np.empty((len(sizes), 0), np.int64), numbers
            values = values.to_pylist()
        rows, wrong = self._rows(values)
        sizes = np.array([row.size for row in rows], np.int64)
        full = groupby((at for at, row in enumerate(rows) if row.size), key=lambda at: rows[at].dtype)
        runs = [[*run] for _, run in full]
        numbers = [(run[0], np.concatenate([rows[at].reshape(-1) for at in run])) for run in runs]
        if wrong is not None:
            # A value before it that does not fit comes first.
            for at, flat in numbers:
                self._cast(flat, at, sizes)
            raise wrong
        shapes = np.array([row.shape for row in rows] if self.axes else [()] * len(rows), np.int64)
        return sizes, shapes.reshape(len(rows), self.axes), numbers

    def _rows(self, values: Any) -> tuple[list[AnyArray], Misfit | None]:
        """Return values as arrays, up to the first one of another shape, and what is wrong with that one."""
        rows: list[AnyArray] = []
        for at, value in enumerate(values):
            try:
                rows.append(self._row(value))
            except Misfit as misfit:
                return rows, Misfit(at, misfit.why)
        return rows, None

    def _row(self, value: Any) -> AnyArray:
        inner = self.declared.shape
        if value is None:
            raise Misfit(0, NULL)
        row = as_rows(value)
        if row.ndim == 1 and not row.size:
            row = row.reshape(0, *(size or 0 for size in inner))
        fits = row.ndim == len(inner) + 1 and all(size in (own, None) for own, size in zip(row.shape[1:], inner))
        if not fits:
            expected = ("n", *("n" if size is None else size for size in inner))
            raise Misfit(0, f"shape {row.shape}, expected {expected}. Declare Ragged(shape=...), or reshape it.")
        return row

    def _cast(self, flat: AnyArray, at: int, sizes: "Sizes") -> AnyArray:
        """Return numbers of one dtype in that of the stream; those of row `at` are the first."""
        # Empty arrays are not cast: the dtype of np.array([]) means nothing.
        if self.dtype is None or self.declared.dtype is None:
            try:
                dtype = _numeric(stored(flat.dtype))
            except DefinitionError as error:
                raise Misfit(at, str(error)) from error
            self.dtype = self.dtype or dtype
            if dtype != self.dtype:
                raise Misfit(at, f"dtype {flat.dtype}, expected {self.dtype} as in the samples before it. {ADVICE}")
        if (result := cast(flat, self.dtype)) is None:
            raise Misfit(at, f"dtype {flat.dtype}, expected {self.dtype} as declared. {ADVICE}")
        if result[1] is not None and not result[1].all():
            wrong = int(np.argmin(result[1]))
            raise Misfit(
                at + _row_of(wrong, sizes[at:]), f"{shown(flat[wrong])} does not fit the dtype {self.dtype}. {WIDER}"
            )
        return result[0]


def _cast_empty(table: Any, schema: Any) -> Any:
    """Return a table without numbers, which are of any dtype, in that of the stream."""
    return table.cast(schema)


def _row_of(number: int, sizes: Sizes) -> int:
    """Return the row that a number belongs to."""
    return int(np.searchsorted(np.cumsum(sizes), number, "right"))


def _table(sizes: Sizes, shapes: Sizes, flat: AnyArray) -> Any:
    import pyarrow

    if flat.dtype == bool:
        flat = flat.view(np.uint8)  # Arrow packs booleans into bits, which numpy cannot map
    borders = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=borders[1:])
    columns = {"value": pyarrow.LargeListArray.from_arrays(borders, pyarrow.array(flat))}
    if axes := shapes.shape[1]:
        columns["shape"] = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(shapes.reshape(-1)), axes)
    return pyarrow.table(columns)


def _schema(dtype: Dtype, axes: int) -> Any:
    return _table(np.empty(0, np.int64), np.empty((0, axes), np.int64), np.empty(0, dtype)).schema


def _holds_numbers(schema: Any, axes: int) -> bool:
    from pyarrow import types

    names = ["value", "shape"] if axes else ["value"]
    if schema.names != names or not types.is_large_list(kind := schema.field(0).type):
        return False
    if axes and str(schema.field(1).type) != f"fixed_size_list<item: int64>[{axes}]":
        return False
    return bool(types.is_integer(kind.value_type) or types.is_floating(kind.value_type))


def _lists_of(values: Any, inner: tuple[int | None, ...]) -> tuple[Sizes, AnyArray] | None:
    """Return the sizes of Arrow's lists of numbers, and all their numbers; None for lists of another inner shape."""
    from pyarrow import types

    kind = values.type
    if not (types.is_list(kind) or types.is_large_list(kind)) or _shape_of(kind.value_type) != inner:
        return None
    chunks = [chunk for chunk in getattr(values, "chunks", [values]) if len(chunk)]
    counts = [np.diff(chunk.offsets.to_numpy()).astype(np.int64) for chunk in chunks]
    sizes = np.concatenate([np.empty(0, np.int64), *counts]) * math.prod(_shape_of(kind.value_type) or ())
    inner_lists = types.is_fixed_size_list(kind.value_type)
    try:
        flat = [_wide(as_rows(chunk.flatten()).reshape(-1), inner_lists) for chunk in chunks]
    except Misfit:
        # Their values, one by one, say which row it is.
        return None
    return sizes, np.concatenate(flat) if flat else np.empty(0)


def _wide(flat: AnyArray, inner_lists: bool) -> AnyArray:
    """Return numbers of nested lists in the types of Python's numbers, as which they have always been stored."""
    if not inner_lists or flat.dtype.kind not in "iuf":
        return flat
    if flat.dtype.kind == "f":
        return flat.astype(np.float64)
    return flat.astype(np.int64) if not flat.size or flat.max() < 1 << 63 else flat


def _shape_of(kind: Any) -> tuple[int, ...] | None:
    """Return the shape of an Arrow type of lists of one size, which are of numbers; None for another type."""
    from pyarrow import types

    if types.is_fixed_size_list(kind):
        shape = _shape_of(kind.value_type)
        return None if shape is None else (kind.list_size, *shape)
    return () if types.is_primitive(kind) else None


def _numeric(dtype: Dtype) -> Dtype:
    if dtype.kind not in "biuf":
        raise DefinitionError(f"A Ragged stream holds numbers or booleans, not {dtype}. Use Text, Bytes or Table.")
    return dtype
