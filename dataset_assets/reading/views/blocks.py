"""Converts blocks of a view's values to samples, samples to blocks, and blocks to memory that the caller owns."""

import sys
from copy import copy
from typing import Any, Callable, Iterable, Mapping, Sequence

import numpy as np

from dataset_assets.errors import SchemaError, UsageError
from dataset_assets.formats.columns import Columns, Indices, values_of

PYTHON_NUMBERS = (bool, int, float, complex)
_SCALARS = (np.generic, str, bytes, *PYTHON_NUMBERS)


def as_samples(columns: Columns) -> list[dict[str, Any]]:
    """Return a block as a list of samples."""
    names, values = list(columns), [values_of(column) for column in columns.values()]
    # Most datasets have two streams, and a dict display takes a third of the time.
    if len(names) == 2:
        first, second = names
        return [{first: one, second: other} for one, other in zip(*values)]
    return [dict(zip(names, row)) for row in zip(*values)]


def as_columns(
    samples: Sequence[Any],
    streams: Iterable[str] = (),
    block: "Callable[[str, list[Any]], Any]" = lambda name, values: stacked(values),
) -> Columns:
    """Return samples as a block: stacks numbers and arrays of one shape, and puts other values into lists.

    `streams` are the streams of an empty block. `block` makes the block of a stream.
    """
    if not samples:
        return Columns({name: [] for name in streams})
    first = samples[0]
    for sample in samples:
        if with_streams(sample).keys() != first.keys():
            raise SchemaError(
                f"Samples have different streams: {', '.join(first)}, then {', '.join(sample)}. Give all the same ones."
            )
    return Columns({name: block(name, [sample[name] for sample in samples]) for name in first})


def with_streams(sample: Any) -> Mapping[str, Any]:
    """Return a sample. Raises `UsageError` for one that is no mapping."""
    if not isinstance(sample, Mapping):
        raise UsageError(
            f"A sample is a {type(sample).__name__}, which has no streams, so samples cannot be read in blocks. "
            "Return a mapping from the function, or batch before it: view.batch(n).map(function)."
        )
    return sample


def stacked(values: list[Any]) -> Any:
    """Return values as one array if that changes none of them, otherwise as they are.

    >>> stacked([1, 2, 3]), stacked([1, 0.5]), stacked([1, "a"]), stacked([1, True]), stacked([2**60 + 1, 0.5])
    (array([1, 2, 3]), array([1. , 0.5]), [1, 'a'], [1, True], [1152921504606846977, 0.5])
    """
    if (torch := sys.modules.get("torch")) is not None and isinstance(values[0], torch.Tensor):
        same = all(isinstance(value, torch.Tensor) and _kind(value) == _kind(values[0]) for value in values)
        return torch.stack(values) if same else values
    if isinstance(values[0], np.ndarray):
        if any(isinstance(value, np.ma.MaskedArray) for value in values):
            values = [not_masked(value) for value in values]
        same = all(isinstance(value, np.ndarray) and _kind(value) == _kind(values[0]) for value in values)
        return np.stack(values) if same and not values[0].dtype.hasobject else values
    if not all(isinstance(value, (np.generic, *PYTHON_NUMBERS)) for value in values):
        return values
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, OverflowError):
        return values
    if array.ndim != 1 or array.dtype.hasobject:
        return values
    kinds = set(map(type, values))
    if array.dtype != bool and not kinds.isdisjoint((bool, np.bool_)):
        return values
    if all(issubclass(kind, (int, np.integer)) for kind in kinds):
        return array if array.dtype.kind in "biu" else values
    if len(kinds) == 1:
        return array
    # Numbers of numpy compare as floats, which do not tell large whole numbers apart.
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    return array if all(a == b or a != a and b != b for a, b in zip(array.tolist(), plain)) else values


def not_masked(value: Any) -> Any:
    """Return a value. Raises `SchemaError` for an array with masked values, which would be read as numbers."""
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.is_masked(value):
            raise SchemaError(
                "An array has masked values, which would be read as numbers. Fill them, such as array.filled(0), or "
                "give a list with None for each."
            )
        return value.data
    return value


def owned(block: Any) -> Any:
    """Return a block that the caller may write to: it shares no memory with the storage or another block."""
    if isinstance(block, np.ndarray):
        return block if block.flags.owndata and block.flags.writeable else block.copy()
    if isinstance(block, list):
        # Ragged arrays in a list are views of the stored bytes.
        return type(block)([value.copy() if isinstance(value, np.ndarray) else value for value in block])
    return block


def owned_in(value: Any) -> Any:
    """Return a value with copies of its read-only arrays: to write into stored bytes through torch ends the process."""
    if type(value) is dict:
        return {key: _owned(item) for key, item in value.items()}
    return _owned(value)


def _owned(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value if value.flags.writeable else value.copy()
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, dict):
        mine = copy(value)
        mine.update({key: _owned(item) for key, item in value.items()})
        return mine
    if isinstance(value, tuple) and hasattr(value, "_make"):
        return value._make(map(_owned, value))
    return type(value)(map(_owned, value)) if type(value) in (tuple, list) else value


def bytes_of(block: Any) -> int:
    """Return the approximate size of a block in bytes."""
    if isinstance(block, list):
        return sum(_bytes_of_value(value) for value in block)
    return int(block.nbytes)


def some_of(sample: Any, streams: Sequence[str]) -> dict[str, Any]:
    """Return some streams of a sample."""
    try:
        return {name: sample[name] for name in streams}
    except (KeyError, TypeError, IndexError) as error:
        own = f"has the streams {', '.join(map(str, sample))}" if isinstance(sample, Mapping) else "is no mapping"
        raise SchemaError(
            f"A sample {own}, expected the streams {', '.join(streams)} as in the first one. Return the same streams "
            "for each sample."
        ) from error


def numbers_in(where: "slice | Indices") -> Sequence[int]:
    """Return the numbers of some rows."""
    return range(where.start, where.stop) if isinstance(where, slice) else where.tolist()


def _bytes_of_value(value: Any) -> int:
    size = getattr(value, "nbytes", None)
    if size is not None:
        return int(size)
    if isinstance(value, Mapping):
        return sum(map(_bytes_of_value, value.values()))
    if isinstance(value, (list, tuple)):
        return sum(map(_bytes_of_value, value))
    return len(value) if isinstance(value, (str, bytes)) else 32


def _kind(value: Any) -> Any:
    return value.dtype, value.shape
