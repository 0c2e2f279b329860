"""Stores what is in memory, such as a DataFrame, as a file, because a definition names files."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Mapping

from dataset_assets.core import files
from dataset_assets.core.extras import needed
from dataset_assets.core.settings import settings
from dataset_assets.errors import UsageError

ROWS = 1 << 14
"""The most rows of a block of a file that is written."""


def is_in_memory(source: Any) -> bool:
    """Say whether a source is a table or a mapping of arrays, not a path."""
    return isinstance(source, Mapping) or hasattr(source, "to_arrow") or _arrow_of(source) is not None


def kept_table(source: Any) -> tuple[Path, dict[str, list[str]]]:
    """Write a table as a file of Arrow below the home, named by its digest; return it, and the classes of its columns.

    A mapping of arrays is written as `.npz`.
    """
    if isinstance(source, Mapping) and not _are_columns(source):
        return _kept(_npz_of(source), ".npz"), {}
    table, classes = _table_of(source)
    import pyarrow

    def write(file: Any) -> None:
        with pyarrow.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=ROWS)

    return _kept(write, ".arrow"), classes


def _are_columns(source: Mapping[str, Any]) -> bool:
    """Say whether a mapping holds columns of single values, not arrays of several dimensions."""
    return all(isinstance(values, (list, tuple)) or getattr(values, "ndim", 0) == 1 for values in source.values())


def _table_of(source: Any) -> tuple[Any, dict[str, list[str]]]:
    """Return a table of Arrow, and the names of classes of its columns."""
    if isinstance(source, Mapping):
        import pyarrow

        try:
            return pyarrow.table({str(name): values for name, values in source.items()}), {}
        except (pyarrow.ArrowException, ValueError, TypeError, OverflowError) as error:
            raise UsageError(f"This is no table: {error}. Give columns of one length, each of one type.") from error
    table = _arrow_of(source)
    if table is None:
        raise UsageError(f"{source!r:.200} is nothing that a dataset can be made from: {WHAT}")
    return table


WHAT = (
    "give a path or URL, a folder, a list of paths, a DataFrame, a table of Arrow, a mapping of arrays, a Hugging Face "
    "Dataset, or a mapping of splits to these."
)


def _arrow_of(source: Any) -> tuple[Any, dict[str, list[str]]] | None:
    # Without the package imported, a value cannot be one of its.
    if (datasets := sys.modules.get("datasets")) and isinstance(source, datasets.Dataset):
        return _of_hugging_face(source)
    if (pandas := sys.modules.get("pandas")) and isinstance(source, pandas.DataFrame):
        return _of_pandas(source)
    if (arrow := sys.modules.get("pyarrow")) and isinstance(source, (arrow.Table, arrow.RecordBatch)):
        return arrow.Table.from_batches([source]) if isinstance(source, arrow.RecordBatch) else source, {}
    if (polars := sys.modules.get("polars")) and isinstance(source, polars.DataFrame):
        return source.to_arrow(), {}
    return None


def _of_pandas(frame: Any) -> tuple[Any, dict[str, list[str]]]:
    import pyarrow

    plain = frame.reset_index(drop=not _is_data(frame.index), allow_duplicates=True)
    plain.columns = names = [str(name) for name in plain.columns]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"The DataFrame has several columns named {twice!r}. Rename all but one.")
    try:
        return pyarrow.Table.from_pandas(plain, preserve_index=False).replace_schema_metadata(None), {}
    except (pyarrow.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise UsageError(
            f"The DataFrame is no table of Arrow: {error}. Give each column values of one type, or write it as JSON "
            "lines, in which they may differ."
        ) from error


def _is_data(index: Any) -> bool:
    """Say whether the index of a DataFrame is a column: it has a name, or is not of numbers."""
    return any(name is not None for name in index.names) or index.nlevels > 1 or index.dtype.kind not in "iu"


def _of_hugging_face(source: Any) -> tuple[Any, dict[str, list[str]]]:
    """Return the table of a Hugging Face Dataset, with the bytes of pictures and sounds in it, and arrays as lists."""
    datasets = needed("datasets", "hf")
    from datasets.table import embed_table_storage

    whole = source.with_format("arrow")[:]
    table = embed_table_storage(whole.cast(source.features.arrow_schema)).replace_schema_metadata(None)
    classes = {
        name: list(feature.names)
        for name, feature in source.features.items()
        if isinstance(feature, datasets.ClassLabel)
    }
    for k, column in enumerate(table.columns):
        if hasattr(column.type, "extension_name"):
            table = table.set_column(k, table.column_names[k], _as_lists(column))
    return table, classes


def _as_lists(column: Any) -> Any:
    """Return a column of arrays of Hugging Face as lists: of one length where its type says it."""
    import pyarrow

    storage = pyarrow.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
    shape = getattr(column.type, "shape", ())
    if not shape or None in shape:
        return storage
    kind = storage.type
    while pyarrow.types.is_list(kind):
        kind = kind.value_type
    for size in reversed(shape):
        kind = pyarrow.list_(kind, size)
    return storage.cast(kind)


def is_saved(folder: Path) -> bool:
    """Say whether a folder is one that `save_to_disk` of Hugging Face wrote."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    )


def loaded(folder: Path) -> Any:
    """Open what `save_to_disk` of Hugging Face wrote: a Dataset, or a mapping of splits to them."""
    return needed("datasets", "hf").load_from_disk(str(folder))


def _npz_of(source: Mapping[str, Any]) -> Any:
    import numpy as np

    arrays = {str(name): np.asarray(values) for name, values in source.items()}
    for name, array in arrays.items():
        if array.dtype.hasobject or array.dtype.kind in "US" or not array.ndim:
            raise UsageError(
                f"{name!r} holds {array.dtype} values. Give arrays of numbers, or a DataFrame for texts and all else."
            )
    return lambda file: np.savez(file, allow_pickle=False, **arrays)


def _kept(write: Any, suffix: str) -> Path:
    """Write a file below the home, named by the digest of its bytes."""
    folder = settings().home / "sources"
    files.make_folder(folder)
    handle, path = tempfile.mkstemp(suffix, ".writing-", folder)
    with open(handle, "wb") as file:
        write(file)
    named = folder / f"{files.sha256_of(Path(path))}{suffix}"
    os.replace(path, named)
    return named
