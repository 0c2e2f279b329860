"""Views as numpy arrays and as a pandas DataFrame."""

from typing import Any, Mapping

import numpy as np

from dataset_assets.core.extras import needed
from dataset_assets.formats.columns import Columns
from dataset_assets.reading.views.blocks import owned
from dataset_assets.reading.views.view import View

PANDAS_UNITS = ("s", "ms", "us", "ns", "D")


def to_numpy(view: View) -> dict[str, Any]:
    """Return every stream as an array of its own; text and ragged values as objects, a table as arrays by field."""
    return {name: _array(block) for name, block in view.rows(slice(0, len(view))).items()}


def to_pandas(view: View) -> Any:
    """Return a DataFrame with a column per stream, and one per field of a table.

    A field with the name of a stream, or of another table's field, has the table's name in front.
    """
    pandas = needed("pandas", "pandas")
    blocks = view.rows(slice(0, len(view)))
    columns: dict[str, Any] = {}
    for name, (stream, field) in column_names(blocks).items():
        block = blocks[stream]
        columns[name] = _column(block) if field is None else block.column(field).to_pandas()
    return pandas.DataFrame(columns, index=pandas.RangeIndex(len(view)))


def column_names(blocks: Columns) -> dict[str, tuple[str, str | None]]:
    """Return the columns that a block has in one table, each with its stream, and its field if that is a table."""
    fields = {name: block.column_names for name, block in blocks.items() if hasattr(block, "column_names")}
    taken = [name for name in blocks if name not in fields] + [field for names in fields.values() for field in names]
    found: dict[str, tuple[str, str | None]] = {}
    for stream in blocks:
        if stream not in fields:
            found[stream] = (stream, None)
            continue
        for field in fields[stream]:
            name = f"{stream}_{field}" if taken.count(field) > 1 else field
            found[_unused(name, stream, found)] = (stream, field)
    return found


def _array(block: Any) -> Any:
    if isinstance(block, np.ndarray):
        return owned(block)
    if isinstance(block, list):
        return _objects(owned(block))
    return {field: owned(block.column(field).to_numpy()) for field in block.column_names}


def _column(block: Any) -> Any:
    """Return a block as pandas takes a column: what it has no dtype for as objects."""
    if isinstance(block, list):
        return _objects(owned(block))
    if block.ndim > 1:
        return _objects(list(block.copy()))
    unknown_time = block.dtype.kind in "mM" and np.datetime_data(block.dtype)[0] not in PANDAS_UNITS
    return _objects(list(block)) if block.dtype.kind == "V" or unknown_time else owned(block)


def _objects(values: list[Any]) -> Any:
    # Filled by hand: numpy would make one array of values that happen to have one shape.
    found = np.empty(len(values), object)
    for i, value in enumerate(values):
        found[i] = value
    return found


def _unused(name: str, table: str, taken: Mapping[str, Any]) -> str:
    return _unused(f"{table}_{name}", table, taken) if name in taken else name
