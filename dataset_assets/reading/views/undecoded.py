"""Reads streams of pictures or sounds as their encoded bytes, or skips damaged values.

Apply these functions directly to a view from `load`; shuffle, slice and batch after that.
"""

from typing import Any, Iterable, Mapping

import numpy as np

from dataset_assets.errors import DecodeError, UnknownStream, UsageError, nearest
from dataset_assets.formats.decoded import DecodedColumn
from dataset_assets.reading.views import Stored, View


def encoded(view: View, *streams: str) -> View:
    """Return the view with the stored bytes of these streams, by default of all streams that are decoded.

    Raises `UsageError` for a view that is not from `load`, `UnknownStream` for a stream that is not decoded.
    """
    columns = _decoded(view, streams)
    return _with(view, {name: column.encoded for name, column in columns.items()}, encoded, tuple(columns))


def lenient(view: View, *streams: str, limit: int | None = None) -> View:
    """Return the view with None for each value that cannot be decoded; all samples keep their places.

    `skipped(view)` returns these values. More than `limit` in a stream raise `DecodeError`; None means no limit. To
    leave them out of a loader's batches, use `Loader(lenient(train), 256, collate=present)`.
    """
    columns = {name: column.lenient(limit) for name, column in _decoded(view, streams).items()}
    return _with(view, columns, _lenient, tuple(columns), limit)


def skipped(view: View) -> dict[str, dict[int, str]]:
    """Return for each stream the rows that could not be decoded so far, with the reasons. Accepts a stack of views."""
    while not isinstance(view, Stored):
        view = view.parents[0]
    columns = {name: column for name, column in view.columns.items() if isinstance(column, DecodedColumn)}
    return {name: dict(sorted(column.skipped.items())) for name, column in columns.items()}


def facts_of(view: View, i: int) -> dict[str, str]:
    """Return the facts in the headers of a sample's encoded values as text, without decoding the values."""
    columns = view.columns if isinstance(view, Stored) else {}
    return {name: _facts_of(column, i) for name, column in columns.items() if isinstance(column, DecodedColumn)}


def _facts_of(column: DecodedColumn, i: int) -> str:
    try:
        return str(column.facts(i))
    except DecodeError as error:
        return f"cannot be decoded: {str(error).removeprefix(column.place)}"


def present(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Drop samples with a missing value, and stack the rest where shapes match.

    >>> batch = present({"image": [np.zeros((2, 2, 1)), None], "label": np.array([7, 8])})
    >>> batch["image"].shape, batch["label"]
    ((1, 2, 2, 1), array([7]))
    """
    holed = [values for values in batch.values() if isinstance(values, list) and any(v is None for v in values)]
    if holed:
        kept = [k for k in range(len(holed[0])) if all(values[k] is not None for values in holed)]
        batch = {name: _some(values, kept) for name, values in batch.items()}
    # Also stacked without missing values: the batch may be cut from a block with some.
    return {name: _stacked(values) for name, values in batch.items()}


def _some(values: Any, kept: list[int]) -> Any:
    if isinstance(values, list):
        return [values[k] for k in kept]
    return values[kept] if hasattr(values, "shape") and hasattr(values, "dtype") else values.take(kept)


def _stacked(values: Any) -> Any:
    if not isinstance(values, list) or not values:
        return values
    same = all(isinstance(value, np.ndarray) and value.shape == values[0].shape for value in values)
    return np.stack(values) if same else values


def _decoded(view: View, streams: Iterable[str]) -> dict[str, DecodedColumn]:
    if not isinstance(view, Stored):
        raise UsageError(
            f"A {type(view).__name__} has no stored streams. Call this on the view from load, before other operations."
        )
    columns = {name: column for name, column in view.columns.items() if isinstance(column, DecodedColumn)}
    for name in streams:
        if name not in columns:
            raise UnknownStream(f"{view.dataset} {view.split} has no decoded stream {name!r}.{nearest(name, columns)}")
    return {name: columns[name] for name in streams or columns}


def _with(view: View, columns: Mapping[str, Any], again: Any, *arguments: Any) -> View:
    assert isinstance(view, Stored)
    return Stored(view.origin, {**view.columns, **columns}, view.opener, (_again, (again, view, *arguments)))


def _again(change: Any, view: View, streams: tuple[str, ...], *arguments: Any) -> View:
    """Repeat the change on a pickled view in another process."""
    changed: View = change(view, *streams) if not arguments else change(view, streams, *arguments)
    return changed


def _lenient(view: View, streams: tuple[str, ...], limit: int | None) -> View:
    return lenient(view, *streams, limit=limit)
