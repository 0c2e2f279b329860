"""What the footers of Parquet files say of their columns: those that have no missing value need not be read."""

from functools import partial
from itertools import dropwhile
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

from dataset_assets.errors import DatasetAssetsError
from dataset_assets.sources.columns import Seen
from dataset_assets.sources.kinds import Reader


def known_columns(reader: Reader, paths: Sequence[Path], target: str | None) -> Mapping[str, Seen]:
    """Return what is known of all columns of files, in their order; of those that have to be read, nothing.

    Returns no columns if the files are to be read as a whole: they are no Parquet, differ, or are damaged.
    """
    if reader.name != "parquet":
        return {}
    try:
        files = [dict(_columns(path, reader.options.get("columns"))) for path in paths]
    except (DatasetAssetsError, OSError, ValueError, LookupError):
        return {}  # what is wrong is said when they are read
    found = files[0]
    if any([*other] != [*found] for other in files):
        return {}
    kinds = {name: {str(file[name][0]) for file in files} for name in found}
    rows = {name: sum(file[name][1] for file in files) for name in found}
    if not any(rows.values()):
        return {}
    known = {name for name in found if name != target and len(kinds[name]) == 1 and found[name][0] is not None}
    return {name: Seen(found[name][0], rows=rows[name]) if name in known else Seen() for name in found}


def _columns(path: Path, wanted: Sequence[str] | None) -> Iterator[tuple[str, tuple[Any, int]]]:
    """Yield the columns of a file: of each its type, or None if it has to be read, and the number of rows."""
    from pyarrow.parquet import ParquetFile

    with path.open("rb") as file:
        opened = ParquetFile(file)
        footer, found = opened.metadata, {}
        groups = [footer.row_group(k) for k in range(footer.num_row_groups)]
        leaves = [opened.schema.column(k).path for k in range(footer.num_columns)]
        for field in opened.schema_arrow:
            at, plain = footer.num_columns - len(leaves), _is_plain(field.type)
            if field.name in found or plain and leaves[0] != field.name:
                raise ValueError("the columns of Parquet are not those of Arrow")
            whole = plain and all(_has_no_null(group.column(at)) for group in groups)
            found[field.name] = field.type if whole else None, footer.num_rows
            leaves = leaves[1:] if plain else [*dropwhile(partial(_is_below, field.name), leaves)]
        for name in found if wanted is None else wanted:
            yield name, found[name]


def _has_no_null(column: Any) -> bool:
    said = column.statistics
    return said is not None and said.has_null_count and said.null_count == 0


def _is_plain(kind: Any) -> bool:
    """Return whether the type alone decides which stream holds a column without missing values."""
    from pyarrow import types

    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_string, types.is_large_string)
    return any(test(kind) for test in (*tests, types.is_date, types.is_timestamp))


def _is_below(name: str, path: str) -> bool:
    return path == name or path.startswith(f"{name}.")
