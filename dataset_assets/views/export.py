"""Views as numpy arrays and as a pandas DataFrame."""

from typing import Any, Mapping

import numpy as np

from dataset_assets.views.blocks import owned
from dataset_assets.views.view import View

PANDAS_UNITS = ("s", "ms", "us", "ns", "D")


def to_numpy(view: View) -> dict[str, Any]:
    """Return every stream as an array of its own; text and ragged values as objects, a table as arrays by field."""
    return {name: _array(block) for name, block in view.rows(slice(0, len(view))).items()}


def to_pandas(view: View) -> Any:
    """Return a DataFrame with a column per stream, and one per field of a table.

    A field with the name of a stream, or of another table's field, has the table's name in front.
    """
    import pandas

    blocks = view.rows(slice(0, len(view)))
    tables = {name: block for name, block in blocks.items() if hasattr(block, "column_names")}
    names = [name for name in blocks if name not in tables]
    names += [field for table in tables.values() for field in table.column_names]
    columns: dict[str, Any] = {}
    for name, block in blocks.items():
        if name not in tables:
            columns[name] = _column(block)
            continue
        for field, values in block.to_pandas().items():
            columns[_unused(f"{name}_{field}" if names.count(field) > 1 else field, name, columns)] = values
    return pandas.DataFrame(columns, index=pandas.RangeIndex(len(view)))


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
