"""The split function of tables whose columns become streams, as `dataset_from` writes it.

It takes the name of a decoder, its options, and a plain description of the streams: for each the column that it is read
from, how its values are held, and its classes.
"""

from typing import Any, BinaryIO, Callable, Collection, Iterable, Iterator, Mapping

import numpy as np

from dataset_assets.decoding import decoder
from dataset_assets.decoding.json_blocks import columns_of, flat_types, json_blocks
from dataset_assets.errors import SchemaError, UsageError, nearest
from dataset_assets.formats.columns import Columns, as_block, values_of
from dataset_assets.formats.type_names import type_named

Stream = Mapping[str, Any]
_PLAIN = frozenset((str, int, bool, float))
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
        for block in _blocks(read, files[name], given, streams):
            yield Columns({stream: _column(stream, said, block) for stream, said in streams.items()})


def column_of(stream: str, said: Stream, values: Any) -> Any:
    """Return a block of a stream, of the values of its column in Arrow's form. Raises `SchemaError`."""
    return _column(stream, said, {said["from"]: values})


def _blocks(
    read: str, file: BinaryIO, options: Mapping[str, Any], streams: Mapping[str, Stream]
) -> Iterator[Mapping[str, Any]]:
    """Yield blocks of columns; rows are gathered."""
    known = {said["from"] for said in streams.values()}
    if read == "json_lines":
        blocks = _gathered(json_blocks(file, flat_types(streams.values())), known)
    elif read in ROWS:
        blocks = _gathered(in_batches(decoder(read)(file, **options)), known)
    else:
        blocks = _arrow_blocks(decoder(read)(file, **options))
    for block in blocks:
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


def _gathered(blocks: Iterable[Any], known: Collection[str]) -> Iterator[Mapping[str, Any]]:
    """Yield blocks as columns; a column that no row has is None."""
    for block in blocks:
        if isinstance(block, list):
            yield {**{key: [None] * len(block) for key in known}, **columns_of(block)}
        else:
            yield dict(zip(block.schema.names, block.columns))


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
    if None in values:
        if dtype.kind != "f":
            raise _missing(stream)
        values = [np.nan if value is None else value for value in values]
    return values


def _classes(stream: str, said: Stream, values: Any) -> Any:
    """Return the number of each value in the list of classes."""
    numbers = {name: number for number, name in enumerate(said["classes"])}
    chunks = getattr(values, "chunks", [values])
    found = [_numbered(stream, said, chunk, numbers) for chunk in chunks]
    return found[0] if len(found) == 1 else np.concatenate([np.empty(0, said["dtype"]), *found])


def _numbered(stream: str, said: Stream, values: Any, numbers: Mapping[Any, int]) -> Any:
    if hasattr(values, "dictionary_encode"):  # Arrow: each text is looked up once
        if values.null_count:
            raise _missing(stream)
        encoded = values.dictionary_encode()
        names, places = encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)
    else:
        names = _listed(values)
        places = np.arange(len(names))
    found = np.array([numbers.get(name, -1) if type(name) in _PLAIN else -1 for name in names], np.int64)[places]
    if (found < 0).any():
        name = names[places[np.argmax(found < 0)]]
        if name is None:
            raise _missing(stream)
        raise SchemaError(f"Stream {stream!r} has no class {name!r:.80}.{nearest(str(name), said['classes'])}")
    return found.astype(said["dtype"])


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
