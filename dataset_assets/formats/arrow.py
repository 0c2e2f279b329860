"""Writes and opens plain `.arrow` files (Arrow IPC, uncompressed) for all formats that store Arrow.

Format: https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format. pyarrow is imported when such a stream is
written or opened, not before.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.core import marks
from dataset_assets.core.few_open import descriptor, has_descriptor
from dataset_assets.errors import DatasetAssetsError, DecodeError
from dataset_assets.formats.canonical import canonical, row_bytes
from dataset_assets.formats.format import Misfit, Part, Parts, mapped, name_of
from dataset_assets.formats.ipc import check_heads

BATCH_BYTES = 16 << 20
SMALL_ROWS = 64


class ArrowWriter:
    """Collects blocks into record batches of about `BATCH_BYTES` and writes them in one pass.

    `convert(values, schema or None)` turns a block into an Arrow table; `schema` is that of the blocks before it. If
    the table has wider types, `widen(table, schema)` converts the rows before it. `describe(schema)` returns the
    parameters of the format. Where a batch ends depends only on the values, not on the blocks in which they arrive.
    """

    def __init__(
        self,
        parts: Parts,
        convert: Callable[[Any, Any], Any],
        describe: Callable[[Any], dict[str, Any]],
        schema: Any = None,
        widen: Callable[[Any, Any], Any] | None = None,
    ) -> None:
        self.parts, self.convert, self.describe, self.widen = parts, convert, describe, widen
        self.schema = schema
        self.batch_bytes = max(min(BATCH_BYTES, parts.file_bytes), 1)
        self.small: list[Any] = []
        self.held: list[Any] = []
        self.sizes: list[NDArray[np.int64]] = []
        self.held_bytes = self.total = self.rows = 0
        self.sink: Any = None

    def append(self, values: Any) -> None:
        """Add a block."""
        table = self._converted(values)
        if not table.num_rows:
            return
        if self.schema is None:
            self.schema = table.schema
        elif self.widen is not None and table.schema != self.schema:
            self._widen(table.schema)
        self.total += table.num_rows
        self._add(table)

    def _add(self, table: Any) -> None:
        self.sizes.append(row_bytes(table))
        self.held_bytes += int(self.sizes[-1].sum())
        self._hold(table)
        if self.held_bytes >= self.batch_bytes:
            self._write_held()

    def close(self) -> tuple[list[Part], dict[str, Any]]:
        """Finish. An empty stream becomes one file without rows."""
        if self.schema is None:
            self.schema = self._converted([]).schema
        parameters = self.describe(self.schema)
        self._write_held(to_the_end=True)
        if self.sink is None and not self.parts.finished:
            self._begin()
        if self.sink is not None:
            self._finish()
        return self.parts.finished, parameters

    def discard(self) -> None:
        self.sink = None
        self.parts.discard()

    def _converted(self, values: Any) -> Any:
        import pyarrow

        try:
            return self.convert(values, self.schema)
        except Misfit as misfit:
            known = misfit if misfit.at is not None else self._located(values, misfit)
            raise known.as_error(self.total) from misfit.__cause__
        except DatasetAssetsError:
            # Some of ours are ValueErrors too, such as NotInstalled.
            raise
        except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
            expected = _described(self.schema) if self.schema else "this format"
            raise Misfit(
                None, f"values do not fit {expected} ({error}). Give them one type in the split function."
            ).as_error(self.total) from error

    def _located(self, values: Any, misfit: Misfit) -> Misfit:
        """Return the reason with the number of its value: the last one of the shortest beginning that does not fit."""
        if not hasattr(values, "__getitem__"):
            return misfit
        fits, fails = 0, len(values)
        while fails - fits > 1:
            middle = (fits + fails) // 2
            try:
                self.convert(values[:middle], self.schema)
                fits = middle
            except Misfit as earlier:
                fails, misfit = middle, earlier
        return Misfit(fails - 1, misfit.why) if fails else misfit

    def _widen(self, schema: Any) -> None:
        """Store the rows so far again, in wider types."""
        import pyarrow

        if self.sink is not None:
            self._finish()
        written, held = [part.path for part in self.parts.finished], [*self.held, *self.small]
        self.parts = self.parts.anew()
        self.schema, self.held, self.small, self.sizes, self.held_bytes = schema, [], [], [], 0
        for path in written:
            with pyarrow.OSFile(str(path)) as file, pyarrow.ipc.open_file(file) as reader:
                for k in range(reader.num_record_batches):
                    self._add(self._widened(pyarrow.Table.from_batches([reader.get_batch(k)])))
            path.unlink()
        for table in held:
            self._add(self._widened(table))

    def _widened(self, table: Any) -> Any:
        assert self.widen is not None
        try:
            return self.widen(table, self.schema)
        except Misfit as misfit:
            # The value is among the samples before this block.
            raise misfit.as_error(0) from misfit

    def _hold(self, table: Any) -> None:
        """Keep a table until its batch is full. Small ones are merged: each costs as much time as a thousand rows."""
        if table.num_rows < SMALL_ROWS:
            self.small.append(table)
        if table.num_rows >= SMALL_ROWS or len(self.small) >= SMALL_ROWS:
            self._gather_small()
        if table.num_rows >= SMALL_ROWS:
            self.held.append(table)

    def _gather_small(self) -> None:
        import pyarrow

        if self.small:
            self.held.append(pyarrow.concat_tables(self.small).combine_chunks())
            self.small = []

    def _write_held(self, to_the_end: bool = False) -> None:
        """Write all full batches; a batch ends with the row that fills it."""
        import pyarrow

        if not self.sizes:
            return
        self._gather_small()
        table = pyarrow.concat_tables(self.held)
        sizes = np.concatenate(self.sizes)
        ends = np.cumsum(sizes)
        at = 0
        while at < len(ends):
            full = int(ends[at] - sizes[at]) + self.batch_bytes
            end = int(np.searchsorted(ends, full)) + 1
            if end > len(ends) and not to_the_end:
                break
            self._write(table.slice(at, end - at))
            at = min(end, len(ends))
        rest = table.slice(at)
        self.held = [rest] if rest.num_rows else []
        self.sizes = [sizes[at:]] if rest.num_rows else []
        self.held_bytes = int(sizes[at:].sum())

    def _write(self, table: Any) -> None:
        if self.parts.full():
            self._finish()
        if self.sink is None:
            self._begin()
        self.sink.write_batch(canonical(table))
        self.rows += table.num_rows

    def _begin(self) -> None:
        import pyarrow

        options = pyarrow.ipc.IpcWriteOptions(metadata_version=pyarrow.ipc.MetadataVersion.V5)
        self.sink = pyarrow.ipc.new_file(self.parts.open(), self.schema, options=options)

    def _finish(self) -> None:
        self.sink.close()
        self.sink = None
        self.parts.finish(self.rows)
        self.rows = 0


def opened_tables(opened: Sequence[BinaryIO], schema: Any = None, text: bool = False) -> "tuple[Any, Checked]":
    """Return the memory-mapped files of a stream as one table, and a check to call before a batch is read.

    With `text`, the check includes that text is UTF-8. The table leaves out empty batches. Raises `DecodeError` if the
    files do not have this schema.
    """
    import pyarrow

    files = [_File(file, text) for file in opened]
    if not files:
        raise DecodeError("A stream has no files. Verify the dataset, then prepare it again.")
    expected = schema or files[0].schema
    for file in files:
        if not file.schema.equals(expected):
            raise DecodeError(f"A file of a stream has the columns {_described(file.schema)}, expected "
                              f"{_described(expected)}. Verify the dataset, then prepare it again.")  # fmt: skip
    batches = [batch for file in files for batch in file.batches]
    return pyarrow.Table.from_batches(batches, expected), Checked(files)


class _File:
    """A file of a stream. Opening it checks only the metadata and the borders of its batches."""

    def __init__(self, file: BinaryIO, text: bool) -> None:
        import pyarrow

        self.name, self.seen, self.text = name_of(file), _state_of(file), text
        data = mapped(file)
        try:
            # Before Arrow opens it, because Arrow trusts the sizes in the metadata.
            check_heads(data)
            reader = pyarrow.ipc.open_file(pyarrow.py_buffer(data))
            self.schema = reader.schema
            # Decodes the names, which raises an error for one that is not text.
            self.names = [field.name for field in self.schema]
            batches = [reader.get_batch(k) for k in range(reader.num_record_batches)]
            self.batches = [batch for batch in batches if batch.num_rows]
            for batch in self.batches:
                # Reads only the borders of each batch, so that Arrow follows none out of the file.
                batch.validate()
        except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as error:
            raise self.malformed(error) from error
        self.left: set[int] | None = None

    def malformed(self, error: Exception) -> DecodeError:
        return DecodeError(f"{self.name} is not an Arrow file: {error}. Verify the dataset, then prepare it again.")

    def check(self, k: int) -> None:
        """Validate the offsets, text and indices of a batch once. Remember a file when all its batches are valid."""
        import pyarrow

        if self.left is None:
            self.left = set() if self._is_remembered() else set(range(len(self.batches)))
        if k in self.left:
            try:
                for column in self.batches[k].columns:
                    (column if self.text else _as_bytes(column)).validate(full=True)
            except (pyarrow.ArrowException, ValueError) as error:
                raise self.malformed(error) from error
            self.left.discard(k)
            if not self.left and self.seen is not None:
                with suppress(OSError):
                    marks.remember(self._purpose, Path(self.name), seen=self.seen)

    def _is_remembered(self) -> bool:
        """Return whether this file was checked before, and the file of this name is still the mapped one."""
        if self.seen is None:
            return False
        with suppress(OSError):
            same = os.path.samestat(os.stat(self.name), self.seen)
            return same and marks.remembered(self._purpose, Path(self.name))
        return False

    @property
    def _purpose(self) -> str:
        """The purpose of the mark on the file. It names the version of Arrow, since a later one may check more."""
        import pyarrow

        return f"arrow {pyarrow.__version__} {'text' if self.text else 'borders'}"


class Checked:
    """Validates each batch of a stream once, before it is read: the files may come from anybody."""

    def __init__(self, files: Sequence[_File]) -> None:
        self._places = [(file, k) for file in files for k in range(len(file.batches))]

    def __call__(self, batch: int) -> None:
        """Raise `DecodeError` if a batch is not valid."""
        file, k = self._places[batch]
        file.check(k)


def _as_bytes(column: Any) -> Any:
    """Return a column of text as bytes, to skip the check of UTF-8: each value is decoded when it is read."""
    import pyarrow

    return column.view(pyarrow.large_binary()) if column.type == pyarrow.large_string() else column


def _state_of(file: BinaryIO) -> os.stat_result | None:
    """Return the `stat` of a plain file, to recognise it later, or None."""
    if not has_descriptor(file) or not isinstance(getattr(file, "name", None), (str, Path)):
        return None
    with descriptor(file) as opened:
        return os.fstat(opened)


def _described(schema: Any) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)


def values_in(values: Any, kind: Any, types: type | tuple[type, ...]) -> Any:
    """Return a block of text or bytes as an Arrow array of type `kind`. Raises `Misfit` for a null or another type."""
    import pyarrow

    if hasattr(values, "iloc"):  # a pandas Series
        values = pyarrow.Array.from_pandas(values)
    if not isinstance(values, (pyarrow.Array, pyarrow.ChunkedArray)):
        checked = _checked(values, types)
        try:
            return pyarrow.array(checked, kind)
        except UnicodeEncodeError as error:
            raise Misfit(
                checked.index(error.object),
                f"the text cannot be encoded as UTF-8 ({error.reason}). Remove such characters in the split function.",
            ) from error
    if pyarrow.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if values.null_count:
        at = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
        raise Misfit(at, NULL)
    if pyarrow.types.is_large_string(kind) and not pyarrow.types.is_large_binary(values.type):
        _check_text(values)
    # Arrow would cast numbers and bytes to text.
    if len(values) and not _is(values.type, kind):
        raise Misfit(0, f"a value is Arrow's {values.type}, expected {kind}. Cast it in the split function.")
    return values.cast(kind)


def _check_text(values: Any) -> None:
    """Raise `Misfit` for text that is not UTF-8: a file of Parquet may say that any bytes are text."""
    import pyarrow

    try:
        values.validate(full=True)
    except pyarrow.ArrowInvalid as error:
        raise Misfit(None, f"a text is not UTF-8 ({error}). Store the column as bytes, or correct it.") from error


NULL = "a value is null (None or NaN), which only a Table can hold. Fill it, or drop the sample."


def _checked(values: Any, types: type | tuple[type, ...]) -> list[Any]:
    checked = list(values)
    if all(issubclass(kind, types) for kind in set(map(type, checked))):
        return checked
    at, wrong = next((at, value) for at, value in enumerate(checked) if not isinstance(value, types))
    if wrong is None:
        raise Misfit(at, NULL)
    expected = types.__name__ if isinstance(types, type) else types[0].__name__
    raise Misfit(at, f"a value is a {type(wrong).__name__}, expected {expected}. Convert it in the split function.")


def _is(own: Any, kind: Any) -> bool:
    word = "string" if "string" in str(kind) else "binary"
    return str(own) in (word, f"large_{word}", f"{word}_view") or str(own).startswith(f"fixed_size_{word}")
