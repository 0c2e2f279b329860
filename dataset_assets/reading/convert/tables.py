"""What a block of streams is in one table: its columns, and values that have no dtype."""

from typing import Any, Mapping

import numpy as np


def column_names(blocks: Mapping[str, Any]) -> dict[str, tuple[str, str | None]]:
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


def objects(values: list[Any]) -> Any:
    """Return values as an array of objects."""
    # Filled by hand: numpy would make one array of values that happen to have one shape.
    found = np.empty(len(values), object)
    for i, value in enumerate(values):
        found[i] = value
    return found


def _unused(name: str, table: str, taken: Mapping[str, Any]) -> str:
    return _unused(f"{table}_{name}", table, taken) if name in taken else name
