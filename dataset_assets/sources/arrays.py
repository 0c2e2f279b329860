"""Infers streams from blocks of numpy arrays."""

from typing import Any, Iterable

from dataset_assets.errors import UsageError, nearest
from dataset_assets.formats import Array, Text
from dataset_assets.sources.columns import Found, stream_names


def streams_of_arrays(blocks: Iterable[Any], target: str | None) -> list[Found]:
    """Return a stream for each array: the first block has its dtype and shape. Raises `UsageError`."""
    first = next(iter(blocks), None)
    if first is None:
        return []
    if target is not None and target not in first:
        raise UsageError(f"There is no array {target!r}, which should be the target.{nearest(target, first)}")
    names = stream_names(first)
    return [_found(names[name], name, rows) for name, rows in first.items()]


def _found(name: str, array: str, rows: Any) -> Found:
    if isinstance(rows, list):
        return Found(name, Text(), {"from": array, "as": "text"}, "text")
    if rows.dtype.kind not in "biufcM":
        raise UsageError(f"The array {array!r} holds {rows.dtype}. Give numbers, booleans or times.")
    form = Array(rows.dtype.newbyteorder("=").name, tuple(rows.shape[1:]))
    why = f"{rows.dtype} of shape {rows.shape[1:]}"
    return Found(name, form, {"from": array, "as": "numbers", "dtype": form.dtype}, why)
