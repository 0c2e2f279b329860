"""Reads Parquet in blocks of columns with pyarrow, which is imported on use."""

from typing import Any, BinaryIO, Iterator, Sequence

from dataset_assets.decoding.arrow_file import check_wanted, refused
from dataset_assets.decoding.streams import check_file, check_rows

ROWS = 1 << 14
"""The most rows of a block, of which only a few are held at once."""


def parquet(file: BinaryIO, *, columns: Sequence[str] | None = None, rows: int | None = None) -> Iterator[Any]:
    """Read a Parquet file as pyarrow RecordBatches, each of at most `rows` rows, by default 16,384.

    `columns` selects columns and their order. Only parts of a row group are in memory. Raises `DecodeError` for a file
    that is damaged, cut or encrypted, and for a column that it does not have. It can stand as the function of a split,
    whose streams are the columns: `Split(parquet, file=RemoteFile(...))`.

    >>> import io, pyarrow, pyarrow.parquet
    >>> pyarrow.parquet.write_table(pyarrow.table({"a": [1, 2]}), made := io.BytesIO())
    >>> [batch.to_pydict() for batch in parquet(made)]
    [{'a': [1, 2]}]
    """
    check_file(file)
    check_rows(rows)
    from pyarrow.parquet import ParquetFile

    with refused(file, "Parquet"):
        # Statistics and page checksums are of the file's own writer; a checksum is compared where it has one.
        opened = ParquetFile(file, page_checksum_verification=True)
        schema, found = opened.schema_arrow, 0
        check_wanted(file, columns, schema.names)
        expected = opened.metadata.num_rows
        for batch in opened.iter_batches(batch_size=rows or ROWS, columns=columns and list(columns)):
            found += batch.num_rows
            yield batch.select(list(columns)) if columns else batch
        if found != expected:
            raise ValueError(f"it has {found} rows, and says {expected}")
