"""Converts views to numpy arrays."""

from typing import Any

import numpy as np

from dataset_assets.reading.convert.tables import is_rounded, objects
from dataset_assets.reading.views.blocks import owned
from dataset_assets.reading.views.view import View


def to_numpy(view: View) -> dict[str, Any]:
    """Return an array for each stream: of objects for text and ragged values, one for each field of a table."""
    return {name: _array(block) for name, block in view.rows(slice(0, len(view))).items()}


def _array(block: Any) -> Any:
    if isinstance(block, np.ndarray):
        return owned(block)
    if isinstance(block, list):
        return objects(owned(block))
    return {field: _field(block.column(field)) for field in block.column_names}


def _field(column: Any) -> Any:
    return objects(column.to_pylist()) if is_rounded(column) else owned(column.to_numpy())
