"""Reads whole columns, for views whose order depends on all values: sorted, filtered, split by class."""

import operator
from typing import Any, Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import SchemaError, UnknownStream, UsageError, nearest
from dataset_assets.formats.columns import Indices
from dataset_assets.reading.views.node import Node

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
MEMBERSHIPS = ("in", "not in")


def column_of(view: Node, name: str) -> Any:
    """Return all values of a stream, or of a table's field as "stream.field": an array or a list."""
    stream, _, field = name.partition(".")
    view._stream(stream)
    block = view.rows_of((stream,), slice(0, len(view)))[stream]
    if not hasattr(block, "column_names"):
        if field:
            raise SchemaError(
                f"Stream {stream} of {view.dataset} {view.split} is not a table, so it has no field {field}. Name the "
                "stream alone."
            )
        return block
    if field not in block.column_names:
        raise UnknownStream(
            f"Stream {stream} of {view.dataset} {view.split} is a table: name one of its fields, as {stream}."
            f"{block.column_names[0]}.{nearest(field, block.column_names)}"
        )
    column = block.column(field)
    return _plain_values(column)


def labels_of(view: Node, name: str) -> NDArray[Any]:
    """Return a column as an array of labels, a number or text for each sample. Raises `SchemaError` for others."""
    values = column_of(view, name)
    labels = values if isinstance(values, np.ndarray) else _array_of(values)
    if labels.ndim != 1 or labels.dtype.kind not in "biufUS":
        raise SchemaError(
            f"{name} of {view.dataset} {view.split} is not a single number or text for each sample, all of one type. "
            "Split by a different column."
        )
    return labels


def target_of(view: Node) -> str:
    """Return the stream that is the target."""
    if "target" not in view.roles:
        *_, last = (*view.streams, *view.classes)
        raise UsageError(
            f"{view.dataset} {view.split} has no target stream. Name the stream to split by, such as by={last!r}."
        )
    return view.roles["target"]


def sorted_rows(values: Any, reverse: bool) -> Indices:
    """Return the order that sorts values, ascending or descending. The sort is stable; None comes last."""
    if isinstance(values, np.ndarray) and values.ndim == 1:
        if not reverse:
            return np.argsort(values, kind="stable")
        return len(values) - 1 - np.argsort(values[::-1], kind="stable")[::-1]
    there = [i for i, value in enumerate(values) if value is not None]
    try:
        there.sort(key=lambda i: values[i], reverse=reverse)
    except (TypeError, ValueError) as error:
        raise SchemaError(f"The values cannot be sorted: {error}. Sort by a function: sort_by(function).") from error
    order = [*there, *(i for i, value in enumerate(values) if value is None)]
    return np.array(order, np.intp)


def truths(view: Node, where: "Callable[[Any], Any] | tuple[Any, ...]", column: str | None) -> NDArray[np.bool_]:
    """Return for each sample whether a function or a comparison keeps it."""
    if column is None:
        if not callable(where):
            raise UsageError(f"{where!r} is a comparison, which needs a column: filter({where!r}, column=...).")
        return np.fromiter((bool(where(sample)) for sample in view), bool, len(view))
    values = column_of(view, column)
    if not callable(where) and isinstance(values, np.ndarray) and values.ndim != 1:
        raise SchemaError(
            f"{column} holds arrays of shape {values.shape[1:]}, and {where!r:.60} compares single numbers or texts. "
            "Choose before it is encoded or mapped to arrays, or give a function that returns a boolean for each array."
        )
    if not callable(where):
        where = _in_numbers(view, column, values, where)
    kept = np.asarray(where(values) if callable(where) else _compared(values, where))
    if kept.dtype.kind != "b" or kept.shape != (len(view),):
        raise SchemaError(
            f"The filter on {column} returned {kept.dtype} of shape {kept.shape}. Return a boolean for each of the "
            f"{len(view)} values."
        )
    return kept


def class_numbers(view: Node, column: str, given: Sequence[Any]) -> list[Any]:
    """Return names of classes of a stream as their numbers, and all else as it is. Raises `UsageError`."""
    names = view.classes.get(column, ())
    for one in given:
        if isinstance(one, str) and one not in names:
            what = f"no class {one!r:.80}.{nearest(one, names)}" if names else f"numbers, and {one!r:.80} is a text."
            raise UsageError(f"{column} of {view.dataset} {view.split} has {what}")
    return [names.index(one) if isinstance(one, str) else one for one in given]


def _in_numbers(view: Node, column: str, values: Any, where: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a comparison of numbers with names of classes as one with the numbers of the classes."""
    if len(where) != 2 or not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        return where
    how, given = where
    if how in ("==", "!=") and isinstance(given, str):
        return how, *class_numbers(view, column, [given])
    if how in MEMBERSHIPS and isinstance(given, (list, tuple)):
        return how, class_numbers(view, column, [*given])
    return where


def _compared(values: Any, where: tuple[Any, ...]) -> Any:
    if len(where) != 2 or where[0] not in (*COMPARISONS, *MEMBERSHIPS):
        raise UsageError(
            f"{where!r} is not a comparison. Use one of {', '.join((*COMPARISONS, *MEMBERSHIPS))} with a value, as in "
            '("<", 5).'
        )
    how, value = where
    if how in MEMBERSHIPS:
        wanted = np.isin(values, value) if isinstance(values, np.ndarray) else [item in value for item in values]
        return np.asarray(wanted, bool) == (how == "in")
    compare = COMPARISONS[how]
    if isinstance(values, np.ndarray):
        return compare(values, value)
    # None is neither less nor more than any value.
    return np.array([bool(compare(v, value)) for v in values] if how in ("==", "!=") else
                    [v is not None and bool(compare(v, value)) for v in values], bool)  # fmt: skip


def _array_of(values: Sequence[Any]) -> NDArray[Any]:
    kinds = set(map(type, values))
    return np.array(values) if len(kinds) <= 1 and kinds <= {str, bytes, int, bool, float} else np.empty(0, object)


def _plain_values(column: Any) -> Any:
    """Return an Arrow column of numbers as an array, and any other column as a list."""
    from pyarrow import types

    number = types.is_integer(column.type) or types.is_floating(column.type)
    return column.to_numpy() if number and not column.null_count else column.to_pylist()
