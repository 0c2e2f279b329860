"""Arrays of one shape and dtype, as plain `.npy` files: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html."""

import ast
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Sequence

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from dataset_assets.errors import DecodeError, DefinitionError, SchemaError
from dataset_assets.formats.seam import FILE_BYTES, Part, Parts, mapped
from dataset_assets.samples import Column, Indices, chained

AnyArray = NDArray[Any]


@dataclass(frozen=True)
class Array:
    """A value is an array (or a scalar); all have one dtype and shape, taken from the first where not declared.

    `classes` names the integers 0, 1, ... of a label. A declared `dtype` casts what fits without loss, and rounds
    floats to it; whatever does not fit is a `SchemaError`.
    """

    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    classes: tuple[str, ...] | None = None

    name: ClassVar[str] = "array"
    suffix: ClassVar[str] = ".npy"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.dtype is not None:
            object.__setattr__(self, "dtype", dtype_text(self.dtype))
        for field in ("shape", "classes"):
            value = getattr(self, field)
            if value is not None:
                object.__setattr__(self, field, tuple(value))
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            raise DefinitionError(f"Two classes have one name in {self.classes}. Give each its own.")

    def parameters(self) -> dict[str, Any]:
        """Return the declared fields as JSON."""
        found = {"dtype": self.dtype, "shape": self.shape, "classes": self.classes}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items() if value is not None}

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> "ArrayWriter":
        """Begin a stream."""
        return ArrayWriter(self, Parts(folder, self.suffix, file_bytes))

    def open(self, opened: Sequence[BinaryIO]) -> Column:
        """Map the files; a value is a read-only array on the map, or a Python number."""
        return chained([ArrayColumn(array_in(file)) for file in opened])


class ArrayWriter:
    """Appends rows to `.npy` files whose header is written again, with the count, at the end."""

    def __init__(self, declared: Array, parts: Parts) -> None:
        self.declared, self.parts = declared, parts
        self.dtype = parsed(declared.dtype) if declared.dtype else None
        self.shape = declared.shape
        self.total = self.rows = 0

    def append(self, values: Any) -> None:
        """Write a block of rows."""
        rows = as_rows(values)
        if not len(rows):
            return
        if self.shape is None:
            self.shape = rows.shape[1:]
        if rows.shape[1:] != self.shape:
            raise SchemaError(self._differs("shape", self.shape, rows.shape[1:]))
        rows = self._cast(rows)
        if self.parts.full():
            self._finish()
        file = self.parts.current or self._begin()
        file.write(rows.reshape(-1).view(np.uint8) if rows.dtype.itemsize else b"")
        self.rows += len(rows)
        self.total += len(rows)

    def close(self) -> tuple[list[Part], dict[str, Any]]:
        """Finish; an empty stream is one file of no rows, and needs a declared dtype."""
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

    def _cast(self, rows: AnyArray) -> AnyArray:
        if self.dtype is None:
            self.dtype = parsed(rows.dtype)
        if rows.dtype.newbyteorder("<") != self.dtype.newbyteorder("<"):
            if self.declared.dtype is None:
                raise SchemaError(self._differs("dtype", self.dtype, rows.dtype))
            rows = self._without_loss(rows)
        return np.ascontiguousarray(rows, self.dtype)

    def _without_loss(self, rows: AnyArray) -> AnyArray:
        """Cast to the declared dtype; floats may be rounded to it, nothing else may change."""
        assert self.dtype is not None
        if rows.dtype.kind in "SU" and self.dtype.kind not in "SU":
            raise SchemaError(self._differs("dtype", self.dtype, rows.dtype))
        try:
            with np.errstate(all="ignore"):
                cast = rows.astype(self.dtype)
        except (TypeError, ValueError) as error:
            raise SchemaError(self._differs("dtype", self.dtype, rows.dtype)) from error
        if rows.dtype.kind == "f" and self.dtype.kind in "fc":
            lost = np.isinf(cast) & ~np.isinf(rows)
        else:
            lost = cast.astype(rows.dtype) != rows
            if rows.dtype.kind in "iuf" and self.dtype.kind in "iuf":
                lost |= (cast < 0) != (rows < 0)
        if lost.any():
            where = int(np.argwhere(lost)[0][0])
            value = rows[lost].flat[0]
            raise SchemaError(
                f"sample {self.total + where}: {value!r} does not fit the declared dtype {self.dtype}. Declare a wider "
                "one, or cast in the split function."
            )
        return cast

    def _begin(self) -> Any:
        file = self.parts.open()
        file.write(self._header(0))
        return file

    def _finish(self) -> None:
        assert self.parts.current is not None
        self.parts.current.write_at(0, self._header(self.rows))
        self.parts.finish(self.rows)
        self.rows = 0

    def _header(self, rows: int) -> bytes:
        # numpy leaves room for the count to grow, so the header with the count is as long as the one without.
        out = io.BytesIO()
        assert self.dtype is not None and self.shape is not None
        fields = {"descr": npy.dtype_to_descr(self.dtype), "fortran_order": False, "shape": (rows, *self.shape)}
        npy.write_array_header_1_0(out, fields)
        return out.getvalue()

    def _differs(self, what: str, expected: object, found: object) -> str:
        return (
            f"sample {self.total}: {what} {found}, expected {expected} as in the samples before it. Make them equal in "
            f"the split function, or declare the {what}."
            if self.total
            else f"sample 0: {what} {found}, expected {expected} as declared. Make them equal."
        )


class ArrayColumn:
    """A stream of arrays over one buffer."""

    def __init__(self, rows: AnyArray) -> None:
        self.rows = rows
        self._plain = rows.ndim == 1 and rows.dtype.kind in "biuf"

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Any:
        value = self.rows[i]
        return value.item() if self._plain else value

    def take(self, indices: Indices, out: Any = None) -> AnyArray:
        if not len(self.rows):
            return self.rows[:0].copy()
        return np.take(self.rows, indices, 0, out=out, mode="clip")

    def slice(self, lo: int, hi: int) -> AnyArray:
        return self.rows[lo:hi]


def array_in(file: BinaryIO) -> AnyArray:
    """Return the array of an open `.npy` file, on its map; refuses Python objects."""
    name = getattr(file, "name", "the stream")
    try:
        file.seek(0)
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except ValueError as error:
        raise DecodeError(f"{name} is not an .npy file: {error}. Verify the dataset, then prepare it again.") from error
    if dtype.hasobject or fortran:
        raise DecodeError(f"{name} holds Python objects or columns first, which are never written here.")
    start, count = file.tell(), int(np.prod(shape, dtype=np.int64))
    data = mapped(file)
    if len(data) != start + count * dtype.itemsize:
        raise DecodeError(f"{name} has {len(data)} bytes; its header says {start + count * dtype.itemsize}.")
    return np.frombuffer(data, dtype, count, start if count else 0).reshape(shape)


def as_rows(values: Any) -> AnyArray:
    """Return a block as one array; `SchemaError` where the values have no common shape or are Python objects."""
    if hasattr(values, "null_count"):
        if values.null_count:
            raise SchemaError("A block has nulls, which an Array cannot hold. Fill or drop them, or use Table.")
        values = values.to_numpy() if hasattr(values, "chunks") else values.to_numpy(zero_copy_only=False)
    try:
        rows = np.asarray(values)
    except (ValueError, TypeError) as error:
        shapes = sorted({np.shape(value) for value in values}, key=str)[:4]
        raise SchemaError(f"Values of one stream have different shapes: {shapes}. Use Ragged, or make them equal.") from error
    if rows.dtype.hasobject:
        kinds = sorted({type(value).__name__ for value in np.ravel(rows)[:1000]})
        raise SchemaError(f"An Array cannot hold Python objects ({', '.join(kinds)}). Use Text, Bytes, Ragged or Table.")
    if rows.ndim == 0:
        raise SchemaError("A block must have a length; a single value is yielded as a sample.")
    return rows


def dtype_text(dtype: Any) -> str:
    """Return a dtype as text, little-endian: "<f4", "|u1", or a list for fields.

    >>> dtype_text("float32"), dtype_text(">i8")
    ('<f4', '<i8')
    """
    found = parsed(dtype)
    return found.str if found.names is None else str(found.descr)


def parsed(dtype: Any) -> np.dtype[Any]:
    """Return the little-endian dtype that a user or `dtype_text` wrote."""
    try:
        found = np.dtype(ast.literal_eval(dtype) if isinstance(dtype, str) and dtype.startswith("[") else dtype)
    except (TypeError, ValueError, SyntaxError) as error:
        raise DefinitionError(f"{dtype!r} is not a dtype of numpy. Write one such as 'uint8' or 'float32'.") from error
    if found.hasobject:
        raise SchemaError("An Array cannot hold Python objects. Use Text, Bytes, Ragged or Table.")
    return found.newbyteorder("<")
