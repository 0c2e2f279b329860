"""One stream of two versions, read once: the hash of each value, and how its numbers are distributed."""

from typing import Any, Mapping

import numpy as np
from numpy.typing import NDArray

from dataset_assets.checks.duplicates import MIX, Hashes, Rows, block_hashes, blocks
from dataset_assets.checks.numbers import is_number, numbers_in
from dataset_assets.formats.columns import Column

MOST_VALUES = 1 << 22
"""How many numbers of a stream are looked at: of a larger one, those of evenly spaced samples."""
BINS = 20

Numbers = dict[str, NDArray[np.float64]]


def hashes_in(column: Column, numbered: bool = True) -> tuple[Hashes, Numbers]:
    """Return the hash of each value of a column, and its numbers: one array, or one for each field of a table."""
    hashes = np.empty(len(column), np.uint64)
    kept: dict[str, list[NDArray[np.float64]]] = {}
    at = step = 0
    for block in blocks(column):
        hashes[at : at + len(block)] = hashes_of(block)
        if numbered:
            numbers = dict(numbers_in(block))
            width = sum(values[0].size for values in numbers.values())
            step = step or max(1, -(-len(column) * width // MOST_VALUES))
            for name, values in numbers.items():
                kept.setdefault(name, []).append(values[-at % step :: step].astype(np.float64).reshape(-1))
        at += len(block)
    return hashes, {name: np.concatenate(parts) for name, parts in kept.items()}


def hashes_at(column: Column, rows: Rows) -> Hashes:
    """Return the hash of each value at these rows, which are read in the order of the column."""
    order = np.argsort(rows, kind="stable")
    hashes, at = np.empty(len(rows), np.uint64), 0
    for block in blocks(column, rows[order]):
        hashes[order[at : at + len(block)]] = hashes_of(block)
        at += len(block)
    return hashes


def hashes_of(block: Any) -> Hashes:
    """Return a hash of each value of a block. The fields of a table are hashed one by one, which is much faster."""
    if not hasattr(block, "column_names"):
        return block_hashes(block)
    total = np.zeros(len(block), np.uint64)
    for name, field in zip(block.column_names, block.columns):
        values = _array_of(field)
        found = block_hashes(field.to_pylist() if values is None else values)
        # Zero stands for a value that is missing, so which ones are is hashed too.
        missing = block_hashes(field.is_null().to_numpy()) if field.null_count else np.uint64(0)
        total = total * MIX + found + missing + np.uint64(len(name))
    return total


def compared_numbers(stream: str, old: Numbers, new: Numbers) -> dict[str, Any]:
    """Return the distributions of the numbers that a stream has on both sides, by stream or `stream.field`."""
    return {f"{stream}.{name}" if name else stream: _compared(old[name], new[name]) for name in old if name in new}


def _array_of(field: Any) -> NDArray[Any] | None:
    """Return a field of numbers as an array, or None for any other field."""
    if not is_number(field.type):
        return None
    found: NDArray[Any] = (field.fill_null(0) if field.null_count else field).to_numpy()
    return found


def _compared(old: NDArray[np.float64], new: NDArray[np.float64]) -> dict[str, Any]:
    finite = [values[np.isfinite(values)] for values in (old, new)]
    found = {"a": _facts(old, finite[0]), "b": _facts(new, finite[1])}
    return {**found, "histogram": _histogram(*finite)}


def _facts(values: NDArray[np.float64], finite: NDArray[np.float64]) -> dict[str, Any]:
    named: Mapping[str, Any] = {"min": np.min, "max": np.max, "mean": np.mean, "std": np.std}
    with np.errstate(over="ignore", invalid="ignore"):
        facts = {name: _plain(of(finite)) if len(finite) else None for name, of in named.items()}
    return {"values": len(values), "not_finite": len(values) - len(finite), **facts}


def _plain(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _histogram(old: NDArray[np.float64], new: NDArray[np.float64]) -> dict[str, Any] | None:
    """Return the counts of both sides in equal bins; None without numbers, or if they span more than floats can."""
    both = [values for values in (old, new) if len(values)]
    if not both:
        return None
    low, high = min(float(values.min()) for values in both), max(float(values.max()) for values in both)
    if not np.isfinite(high - low):
        return None
    # Neighbouring floats leave no room for several bins.
    bins = BINS if (np.diff(np.linspace(low, high, BINS + 1)) > 0).all() else 1
    counted = {side: np.histogram(values, bins, (low, high)) for side, values in (("a", old), ("b", new))}
    return {"edges": counted["a"][1].tolist(), **{side: counts.tolist() for side, (counts, _) in counted.items()}}
