"""Helpers for conversions to one table: names of columns, and arrays of objects."""

from typing import Any, Mapping

import numpy as np


def column_names(blocks: Mapping[str, Any]) -> dict[str, tuple[str, str | None]]:
    """Return the columns of a block in one table: for each name the stream, and the field if the stream is a table."""
    fields = {name: block.column_names for name, block in blocks.items() if hasattr(block, "column_names")}
    taken = [name for name in blocks if name not in fields] + [field for names in fields.values() for field in names]
    columns: dict[str, tuple[str, str | None]] = {}
    for stream in blocks:
        if stream not in fields:
            columns[stream] = (stream, None)
            continue
        for field in fields[stream]:
            name = f"{stream}_{field}" if taken.count(field) > 1 else field
            columns[_unused(name, stream, columns)] = (stream, field)
    return columns


EXACT = 2**53
"""Up to here a float holds every whole number."""


def is_rounded(column: Any) -> bool:
    """Return whether an Arrow column has nulls and whole numbers that would be rounded as floats with NaN."""
    import pyarrow.compute as compute
    from pyarrow import types

    if not column.null_count or not types.is_integer(column.type):
        return False
    ends = compute.min_max(column).as_py()
    return ends["min"] is not None and not -EXACT <= ends["min"] <= ends["max"] <= EXACT


def objects(values: list[Any]) -> Any:
    """Return values as an array of objects."""
    # Filled in a loop, because numpy would merge values of the same shape into one array.
    array = np.empty(len(values), object)
    for i, value in enumerate(values):
        array[i] = value
    return array


def _unused(name: str, table: str, taken: Mapping[str, Any]) -> str:
    return _unused(f"{table}_{name}", table, taken) if name in taken else name
