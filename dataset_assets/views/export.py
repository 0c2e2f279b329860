"""Views as numpy arrays and as a pandas DataFrame."""

from typing import Any

import numpy as np

from dataset_assets.views.view import View, owned


def to_numpy(view: View) -> dict[str, Any]:
    """Return every stream as an array of its own; text and ragged values as objects, a table as a dict of arrays."""
    return {name: _array(block) for name, block in view.rows(slice(0, len(view))).items()}


def to_pandas(view: View) -> Any:
    """Return a DataFrame with a column per stream, and one per field of a table."""
    import pandas

    columns: dict[str, Any] = {}
    for name, block in view.rows(slice(0, len(view))).items():
        if hasattr(block, "to_pandas"):
            frame = block.to_pandas()
            columns |= {field if field not in columns else f"{name}_{field}": frame[field] for field in frame}
        elif isinstance(block, np.ndarray) and block.ndim > 1:
            columns[name] = list(block.copy())
        else:
            columns[name] = owned(block)
    return pandas.DataFrame(columns)


def _array(block: Any) -> Any:
    if isinstance(block, np.ndarray):
        return owned(block)
    if isinstance(block, list):
        # Filled by hand: numpy would make one array of values that happen to have one shape.
        found = np.empty(len(block), object)
        for i, value in enumerate(block):
            found[i] = value
        return found
    return {field: block.column(field).to_numpy() for field in block.column_names}
