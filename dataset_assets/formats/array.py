"""Stores arrays of one shape and dtype as plain `.npy` files, which are memory-mapped to read them."""

import math
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Mapping, Sequence

import numpy as np

from dataset_assets.core.files import Written
from dataset_assets.errors import DecodeError, DefinitionError, SchemaError, nearest
from dataset_assets.formats.adjoined import Adjoined, adjoined
from dataset_assets.formats.columns import Column, Indices, chained, check_rows
from dataset_assets.formats.dtypes import AnyArray, Dtype, cast, dtype_text, is_small_float, parsed, shown, stored
from dataset_assets.formats.format import FILE_BYTES, Format, Misfit, Part, Parts
from dataset_assets.formats.npy import array_in, header
from dataset_assets.formats.ranged import in_store, rows_in
from dataset_assets.formats.rows import ADVICE, as_rows, names_in

WIDENED_ROWS = 1 << 16
WIDER = "Declare a wider dtype, or cast in the split function."


@dataclass(frozen=True)
class Array(Format):
    """A value is an array or a scalar. All values have the same dtype and shape: as declared, or as the first value.

    `classes` names the integers 0, 1, ... of a label. Values are cast to a declared `dtype` if that loses nothing;
    floats are rounded. A value that does not fit raises `SchemaError`.
    """

    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    classes: tuple[str, ...] | None = None

    name: ClassVar[str] = "array"
    suffix: ClassVar[str] = ".npy"
    version: ClassVar[int] = 1
    by_ranges: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.dtype is not None:
            object.__setattr__(self, "dtype", dtype_text(self.dtype))
        if self.shape is not None:
            object.__setattr__(self, "shape", checked_shape(self.shape))
        if self.classes is not None:
            object.__setattr__(self, "classes", _checked_classes(self.classes))

    def parameters(self) -> dict[str, Any]:
        """Return the declared fields as JSON."""
        fields = {"dtype": self.dtype, "shape": self.shape, "classes": self.classes}
        declared = {name: value for name, value in fields.items() if value is not None}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in declared.items()}

    def merge(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters that hold the values of two parts of a stream. Raises `Misfit` if none do."""
        if first == second:
            return dict(first)
        one, other = parsed(first["dtype"]), parsed(second["dtype"])
        if one.kind != other.kind or one.kind not in "SU" or first.get("shape") != second.get("shape"):
            raise Misfit(None, "All values of a stream have one dtype and shape; only strings may differ in length.")
        return dict(max(first, second, key=lambda each: parsed(each["dtype"]).itemsize))

    def numbered(self, values: Any) -> Any:
        """Return the numbers of classes that are given by their names; any other values as they are."""
        if self.classes is None or (names := names_in(values)) is None:
            return values
        numbers = {name: number for number, name in enumerate(self.classes)}
        for at, name in enumerate(names):
            if name not in numbers:
                raise Misfit(at, f"{name!r} is not one of the classes.{nearest(str(name), self.classes)}")
        return [numbers[name] for name in names]

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> "ArrayWriter":
        """Begin a stream."""
        return ArrayWriter(self, Parts(folder, self.suffix, file_bytes))

    def open(self, opened: Sequence[BinaryIO]) -> Column:
        """Map the files; a value is a read-only array on the map, or a Python number."""
        if not opened:
            raise DecodeError("A stream has no files. Verify the dataset, then prepare it again.")
        if (one := adjoined(opened)) is not None:
            whole, spans = one
            files: list[Any] = [whole[first : first + count] for first, count in spans]
        else:
            files = [rows_in(file) if in_store(file) else array_in(file) for file in opened]
        dtype = parsed(self.dtype) if self.dtype else files[0].dtype
        if is_small_float(dtype):  # numpy's files have no such dtype, so the header says bytes
            files = [_viewed(rows, dtype) for rows in files]
        shape = self.shape if self.shape is not None else files[0].shape[1:]
        for rows in files:
            if (rows.dtype, rows.shape[1:]) != (dtype, shape):
                raise DecodeError(
                    f"A file holds {rows.dtype} of shape {rows.shape[1:]}, expected {dtype} of shape {shape}. Verify "
                    "the dataset, then prepare it again."
                )
        columns = [ArrayColumn(rows) if isinstance(rows, np.ndarray) else rows for rows in files]
        return chained(columns) if one is None else Adjoined(whole, [first for first, _ in spans], columns)


def _viewed(rows: Any, dtype: Dtype) -> Any:
    if not isinstance(rows, np.ndarray):
        raise DecodeError(f"A stream of {dtype} cannot be read where it is stored. Pull the dataset first.")
    return rows.view(dtype) if rows.dtype == np.dtype((np.void, dtype.itemsize)) else rows


class ArrayWriter:
    """Appends rows to `.npy` files; at the end it rewrites the header with the row count."""

    def __init__(self, declared: Array, parts: Parts) -> None:
        self.declared, self.parts = declared, parts
        self.dtype = parsed(declared.dtype) if declared.dtype else None
        self.shape = declared.shape
        self.total = self.rows = 0

    def append(self, values: Any) -> None:
        """Write a block of rows."""
        try:
            rows = self._fitted(self.declared.numbered(values))
        except Misfit as misfit:
            raise misfit.as_error(self.total) from misfit.__cause__
        self.total += len(rows)
        self._write(rows)

    def _write(self, rows: AnyArray) -> None:
        most = self._rows_a_file() if len(rows) else 0
        while len(rows):
            if self.rows >= most:
                self._finish()
            part = rows[: most - self.rows]
            file = self.parts.current or self._begin()
            file.write(part.reshape(-1).view(np.uint8))
            self.rows += len(part)
            rows = rows[len(part) :]

    def close(self) -> tuple[list[Part], dict[str, Any]]:
        """Finish. An empty stream becomes one file without rows; it needs a declared dtype."""
        if self.total == 0:
            if self.dtype is None:
                raise SchemaError("There are no values to take a dtype from. Declare it: Array(dtype=...).")
            self.shape = self.shape or ()
            self._begin()
        if self.parts.current is not None:
            self._finish()
        assert self.dtype is not None
        resolved = Array(dtype_text(self.dtype), self.shape, self.declared.classes)
        return self.parts.finished, resolved.parameters()

    def discard(self) -> None:
        self.parts.discard()

    def _fitted(self, values: Any) -> AnyArray:
        """Return a block as rows of the stream's shape and dtype: as declared, or as in the first block."""
        if self.declared.dtype is not None and isinstance(values, (list, tuple)):
            rows = self._each_cast(values)
        else:
            rows = as_rows(values)
        if not len(rows):
            return rows
        if self.shape is None:
            self.shape = rows.shape[1:]
        if rows.shape[1:] != self.shape:
            raise self._differs("shape", self.shape, rows.shape[1:], "Use Ragged, or make them equal.")
        return self._cast(rows)

    def _each_cast(self, values: Sequence[Any]) -> AnyArray:
        """Return values as rows. Values of different types are cast one by one, as their common type may lose some."""
        try:
            return as_rows(values)
        except Misfit:
            rows = []
            for at, value in enumerate(values):
                try:
                    rows.append(self._cast(as_rows([value])))
                except Misfit as misfit:
                    raise Misfit(at, misfit.why) from misfit
            return as_rows([row[0] for row in rows])

    def _cast(self, rows: AnyArray) -> AnyArray:
        if self.declared.dtype is None:
            try:
                dtype = stored(rows.dtype)
            except DefinitionError as error:
                raise Misfit(0, str(error)) from error
            self.dtype = self.dtype or dtype
            # A shorter string fits a longer dtype. All other casts need a declared dtype.
            if dtype != self.dtype and not dtype.kind == self.dtype.kind in "SU":
                raise self._differs("dtype", self.dtype, rows.dtype, ADVICE)
            if dtype.itemsize > self.dtype.itemsize:
                self._widen(dtype)
        assert self.dtype is not None
        if (result := cast(rows, self.dtype)) is None:
            raise self._differs("dtype", self.dtype, rows.dtype, ADVICE)
        if result[1] is not None and not result[1].all():
            lost = np.argwhere(~result[1])[0]
            raise Misfit(int(lost[0]), f"{shown(rows[tuple(lost)])} does not fit the dtype {self.dtype}. {WIDER}")
        return result[0]

    def _widen(self, dtype: Dtype) -> None:
        """Store the strings so far again, in a longer dtype, as if all had come in one block."""
        if self.parts.current is not None:
            self._finish()
        written, self.parts, self.dtype = self.parts.finished, self.parts.anew(), dtype
        for part in written:
            rows = np.load(part.path, mmap_mode="r")
            for lo in range(0, len(rows), WIDENED_ROWS):
                self._write(rows[lo : lo + WIDENED_ROWS].astype(dtype))
            part.path.unlink()

    def _rows_a_file(self) -> int:
        assert self.dtype is not None and self.shape is not None
        row_bytes = math.prod(self.shape) * self.dtype.itemsize
        return max(-(-self.parts.file_bytes // row_bytes), 1) if row_bytes else 1 << 62

    def _begin(self) -> Written:
        file = self.parts.open()
        file.write(self._header(0))
        return file

    def _finish(self) -> None:
        assert self.parts.current is not None
        self.parts.current.write_at(0, self._header(self.rows))
        self.parts.finish(self.rows)
        self.rows = 0

    def _header(self, rows: int) -> bytes:
        assert self.dtype is not None and self.shape is not None
        try:
            plain = np.dtype((np.void, self.dtype.itemsize)) if is_small_float(self.dtype) else self.dtype
            return header(plain, (rows, *self.shape))
        except DefinitionError as error:
            raise SchemaError(str(error)) from error

    def _differs(self, what: str, expected: object, found: object, advice: str) -> Misfit:
        known = "as in the samples before it" if self.total else "as declared"
        return Misfit(0, f"{what} {found}, expected {expected} {known}. {advice}")


class ArrayColumn:
    """A stream of arrays over one buffer."""

    def __init__(self, rows: AnyArray) -> None:
        self.rows = rows
        self._plain = rows.ndim == 1 and rows.dtype.kind in "biuf"

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Any:
        # item() is faster than indexing, and makes a Python number.
        return self.rows.item(i) if self._plain else self.rows[i]

    @property
    def form(self) -> tuple[Dtype, tuple[int, ...]]:
        """The dtype and the shape of each value."""
        return self.rows.dtype, self.rows.shape[1:]

    def take(self, indices: Indices, out: Any = None) -> AnyArray:
        if out is None:
            return self.rows.take(indices, 0)
        # "clip", because with "raise" numpy gathers into a second buffer first.
        check_rows(indices, len(self.rows))
        return np.take(self.rows, indices, 0, out=out, mode="clip") if len(self.rows) else out

    def slice(self, lo: int, hi: int) -> AnyArray:
        return self.rows[lo:hi]


def checked_shape(shape: Any) -> tuple[int, ...]:
    """Return a shape as a tuple, from one number or several. Raises `DefinitionError` for anything else."""
    try:
        sizes = tuple(operator.index(size) for size in (shape if isinstance(shape, (tuple, list)) else (shape,)))
    except TypeError as error:
        raise DefinitionError(f"{shape!r} is not a shape. Write one such as (28, 28).") from error
    if any(size < 0 for size in sizes):
        raise DefinitionError(f"{shape!r} is not a shape: a length is negative. Use Ragged if the length varies.")
    return sizes


def _checked_classes(classes: Any) -> tuple[str, ...]:
    if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
        raise DefinitionError(f"The classes {classes!r} are not a list of names. Write one string for each class.")
    names = tuple(classes)
    if len(set(names)) < len(names):
        raise DefinitionError(f"Two classes have the same name in {names}. Give each class its own name.")
    return names
