"""What blocks of a stream hold, field by field: their numbers, and how many of their values are missing."""

from typing import Any, Iterator

import numpy as np
from numpy.typing import NDArray

from dataset_assets.reading.views import View

BLOCK_BYTES = 8 << 20


def blocks_of(view: View, stream: str) -> Iterator[Any]:
    """Yield the values of a stream in blocks of some megabytes, as they are stored."""
    only = view.only(stream)
    step = max(1, int(BLOCK_BYTES / (only.row_bytes() + 1))) if len(view) else 1
    for lo in range(0, len(view), step):
        yield only.rows(slice(lo, min(lo + step, len(view))))[stream]


def numbers_in(block: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the numbers of a block with the name of their field; "" for an array. What is missing is NaN."""
    if isinstance(block, np.ndarray) and block.dtype.kind in "biuf" and len(block) and block[0].size:
        yield "", block
    for name, field in zip(getattr(block, "column_names", ()), getattr(block, "columns", ())):
        if is_number(field.type) and len(field):
            yield name, field.to_numpy()


def missing_in(block: Any) -> Iterator[tuple[str, int, int]]:
    """Yield the name of each field, how many of its values are missing, and how many there are."""
    if hasattr(block, "column_names"):
        for name, field in zip(block.column_names, block.columns):
            nan = int(np.isnan(field.to_numpy()).sum()) if is_float(field.type) else field.null_count
            yield name, nan, len(field)
    elif isinstance(block, np.ndarray) and block.dtype.kind != "O":
        yield "", _missing(block), block.size
    else:
        values = block.to_pylist() if hasattr(block, "to_pylist") else list(block)
        yield "", sum(map(_is_missing, values)), len(values)


def is_number(kind: Any) -> bool:
    """Say whether a type of Arrow is one of numbers."""
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind))


def is_float(kind: Any) -> bool:
    """Say whether a type of Arrow has a NaN."""
    from pyarrow import types

    return bool(types.is_floating(kind))


def _is_missing(value: Any) -> bool:
    return value is None or value is np.ma.masked or isinstance(value, (float, np.floating)) and value != value


def _missing(values: NDArray[Any]) -> int:
    masked = int(np.ma.getmaskarray(values).sum())
    if values.dtype.kind in "fc":
        return masked + int(np.isnan(np.ma.compressed(values) if masked else values).sum())
    return masked + (int(np.isnat(values).sum()) if values.dtype.kind in "mM" else 0)
