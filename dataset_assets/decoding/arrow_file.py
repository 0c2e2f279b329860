"""Reads files of Arrow, also those of Feather, in blocks of columns with pyarrow, which is imported on use."""

from contextlib import contextmanager
from typing import Any, BinaryIO, Iterable, Iterator, Sequence

from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.streams import check_file, name_of, remedy_of
from dataset_assets.errors import DatasetAssetsError, DecodeError, nearest

MAGIC = b"ARROW1"


def arrow(file: BinaryIO, *, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """Read a file or stream of Arrow's IPC format, such as Feather, as the RecordBatches that it holds.

    `columns` selects columns and their order. Raises `DecodeError` for a file that is damaged or cut, and for a column
    that it does not have.

    >>> import io, pyarrow
    >>> with pyarrow.ipc.new_file(made := io.BytesIO(), pyarrow.schema({"a": "int64"})) as writer:
    ...     writer.write(pyarrow.record_batch({"a": [1, 2]}))
    >>> [batch.to_pydict() for batch in arrow(made)]
    [{'a': [1, 2]}]
    """
    check_file(file)
    import pyarrow

    start = file.seek(0)
    is_file = file.read(len(MAGIC)) == MAGIC
    file.seek(start)
    with refused(file, "Arrow"):
        if is_file:
            opened = pyarrow.ipc.open_file(file)
            check_wanted(file, columns, opened.schema.names)
            batches: Iterable[Any] = map(opened.get_batch, range(opened.num_record_batches))
        else:
            opened = pyarrow.ipc.open_stream(stream := decompressed(file))
            check_wanted(file, columns, opened.schema.names)
            batches = _to_the_end(opened, stream)
        for batch in batches:
            batch.validate(full=True)
            yield batch.select(list(columns)) if columns else batch


def _to_the_end(opened: Any, stream: BinaryIO) -> Iterator[Any]:
    """Yield the batches of a stream; one that ends without its mark of the end may be cut."""
    yield from opened
    end = stream.tell()
    stream.seek(max(end - 8, 0))
    if stream.read(8) != b"\xff\xff\xff\xff\x00\x00\x00\x00" and not end < 8:
        raise ValueError("it ends without the mark of its end, so it may be cut")


@contextmanager
def refused(file: BinaryIO, what: str) -> Iterator[None]:
    """Raise `DecodeError` for what pyarrow refuses to read."""
    import pyarrow

    try:
        yield
    except DatasetAssetsError:
        raise
    except (pyarrow.ArrowException, ValueError, OSError, KeyError, IndexError, UnicodeDecodeError) as error:
        said = str(error).strip().partition("\n")[0].rstrip(".")
        raise DecodeError(f"{name_of(file)} cannot be read as {what}: {said[:300]}. {remedy_of(file)}") from error


def check_wanted(file: BinaryIO, columns: Sequence[str] | None, names: Sequence[str]) -> None:
    """Raise `DecodeError` for a column that a file does not have, or has twice."""
    for column in names if columns is None else columns:
        if column not in names:
            raise DecodeError(f"{name_of(file)} has no column {column!r}.{nearest(column, names)}")
        if list(names).count(column) > 1:
            raise DecodeError(f"{name_of(file)} has several columns named {column!r}. Rename all but one.")
