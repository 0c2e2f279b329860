"""The split function of tables whose columns become streams, as `dataset_from` writes it.

It takes the name of a decoder, its options, and a plain description of the streams: for each the column that it is read
from, how its values are held, and its classes.
"""

from typing import Any, BinaryIO, Callable, Collection, Iterable, Iterator, Mapping

import numpy as np

from dataset_assets.decoding import decoder
from dataset_assets.errors import SchemaError, UsageError, nearest
from dataset_assets.formats.columns import Columns, as_block, values_of
from dataset_assets.formats.type_names import type_named

Stream = Mapping[str, Any]
_BATCH = 1024
_BATCH_BYTES = 16 << 20
ROWS = ("csv_rows", "json_lines", "json_array", "sqlite", "excel", "tfrecord", "webdataset")
"""The decoders that yield rows."""


def column_samples(
    read: str, streams: Mapping[str, Stream], options: Mapping[str, Any], **files: BinaryIO
) -> Iterator[Columns]:
    """Yield the rows of files, one after the other in the order of their arguments' names."""
    given = dict(options)
    if "types" in options:
        given["types"] = {column: type_named(kind) for column, kind in options["types"].items()}
    for name in sorted(files):
        for block in _blocks(read, decoder(read)(files[name], **given), streams):
            yield Columns({stream: _column(stream, said, block) for stream, said in streams.items()})


def column_of(stream: str, said: Stream, values: Any) -> Any:
    """Return a block of a stream, of the values of its column in Arrow's form. Raises `SchemaError`."""
    return _column(stream, said, {said["from"]: values})


def _blocks(read: str, yielded: Any, streams: Mapping[str, Stream]) -> Iterator[Mapping[str, Any]]:
    """Yield blocks of columns; rows are gathered."""
    known = {said["from"] for said in streams.values()}
    for block in _in_blocks(yielded, known) if read in ROWS else _arrow_blocks(yielded):
        if extra := block.keys() - known:
            raise SchemaError(
                f"There is a column {min(extra)!r:.80}, which was not there when the source was looked at."
            )
        yield block


def _arrow_blocks(yielded: Iterable[Any]) -> Iterator[Columns]:
    try:
        for block in yielded:
            found = as_block(block)
            assert found is not None  # these decoders yield blocks
            yield found
    except UsageError as error:  # of the options, which were right when the source was looked at
        raise SchemaError(f"The file is not as it was when it was looked at: {error}") from error


def _in_blocks(yielded: Iterable[Mapping[str, Any]], known: Collection[str]) -> Iterator[dict[str, list[Any]]]:
    """Gather rows in blocks; a key that a row does not have is None."""
    for rows in in_batches(yielded):
        keys = {*known}.union(*(row.keys() for row in rows))
        yield {key: [row.get(key) for row in rows] for key in keys}


def in_batches(rows: Iterable[Mapping[str, Any]], most: int = _BATCH) -> Iterator[list[Mapping[str, Any]]]:
    """Yield rows in lists of at most `most`, and of about 16 MB of bytes and texts."""
    held, size = list[Mapping[str, Any]](), 0
    for row in rows:
        held.append(row)
        size += sum(len(value) for value in row.values() if isinstance(value, (bytes, str)))
        if len(held) == most or size > _BATCH_BYTES:
            yield held
            held, size = [], 0
    if held:
        yield held


def _column(stream: str, said: Stream, block: Mapping[str, Any]) -> Any:
    column = said["from"]
    if column not in block:
        raise SchemaError(
            f"There is no column {column!r:.80}, of which stream {stream!r} is made.{nearest(column, block)}"
        )
    return _HELD[said["as"]](stream, said, block[column])


def _numbers(stream: str, said: Stream, values: Any) -> Any:
    """Return numbers, with NaN or NaT where there is none."""
    dtype = np.dtype(said["dtype"])
    if hasattr(values, "to_numpy"):
        if values.null_count and dtype.kind not in "fM":
            raise _missing(stream)
        found = values.to_numpy(zero_copy_only=False) if not hasattr(values, "chunks") else values.to_numpy()
        return found.astype(dtype) if values.null_count or dtype.kind == "M" else found
    if isinstance(values, np.ndarray):
        return values
    if dtype.kind == "M":
        return np.array(["NaT" if value is None else value for value in values], dtype)
    if any(value is None for value in values):
        if dtype.kind != "f":
            raise _missing(stream)
        values = [np.nan if value is None else value for value in values]
    return values


def _classes(stream: str, said: Stream, values: Any) -> Any:
    """Return the number of each value in the list of classes."""
    numbers = {name: number for number, name in enumerate(said["classes"])}
    try:
        return np.array([numbers[value] for value in _listed(values)], said["dtype"])
    except KeyError as error:
        value = error.args[0]
        if value is None:
            raise _missing(stream) from None
        raise SchemaError(
            f"Stream {stream!r} has no class {value!r:.80}.{nearest(str(value), said['classes'])}"
        ) from None


def _texts(stream: str, said: Stream, values: Any) -> Any:
    return values


def _json(stream: str, said: Stream, values: Any) -> list[Any]:
    return _listed(values)


def _rows(stream: str, said: Stream, values: Any) -> Any:
    """Return a table of one field."""
    import pyarrow

    return pyarrow.table({said["from"]: values})


def _files(stream: str, said: Stream, values: Any) -> Any:
    """Return the bytes of files, of which Hugging Face keeps the path too."""
    if hasattr(values, "to_pylist"):
        import pyarrow

        if pyarrow.types.is_struct(values.type):
            values = values.combine_chunks() if hasattr(values, "chunks") else values
            values = values.field("bytes")
        if values.null_count:
            raise _missing(stream)
    return values


_HELD: dict[str, Callable[[str, Stream, Any], Any]] = {
    "numbers": _numbers, "classes": _classes, "text": _texts, "json": _json, "row": _rows, "file": _files,
    "lists": _texts,
}  # fmt: skip
HELD = tuple(_HELD)
"""How the values of a column may be held in a stream."""


def _listed(values: Any) -> list[Any]:
    return values_of(values) if isinstance(values, (list, np.ndarray)) or hasattr(values, "to_pylist") else [*values]


def _missing(stream: str) -> SchemaError:
    return SchemaError(
        f"Stream {stream!r} has a missing value, which it had not when the source was looked at. Look at the source "
        "again, or declare a stream that may be missing: Json() or Table()."
    )
