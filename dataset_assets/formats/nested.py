"""Python values as Arrow arrays, level by level, so that nothing is converted, filled in or left out at any depth.

Arrow's own conversion gives mappings the union of all their keys, stores text among bytes as bytes, and cuts the
nanoseconds of pandas' times.
"""

import datetime
import decimal
from bisect import bisect_right
from itertools import accumulate, chain
from typing import Any, Mapping, Sequence

import numpy as np

from dataset_assets.formats.fields import cast_column, check_keys, decoded_column, family, inside, struct_keys
from dataset_assets.formats.format import Misfit

KINDS = {
    bool: "boolean", int: "number", float: "number", decimal.Decimal: "decimal", str: "text", bytes: "bytes",
    bytearray: "bytes", memoryview: "bytes", datetime.datetime: "timestamp", datetime.date: "date",
    datetime.time: "time", datetime.timedelta: "duration", Mapping: "mapping", list: "list", tuple: "list",
    np.ndarray: "list",
}  # fmt: skip
NUMPY_KINDS = {"b": "boolean", "i": "number", "u": "number", "f": "number", "U": "text", "S": "bytes", "M": "timestamp",
               "m": "duration"}  # fmt: skip
FAMILIES = {"boolean": "bool", "text": "string", "bytes": "binary", "mapping": "struct", "decimal": "number"}
"""The family of Arrow types for a kind of Python values, where the two words differ."""
MISSING = ("NAType", "NaTType")
"""The types of what pandas writes for a missing value."""
DAYS = np.dtype("M8[D]")
ADVICE = "Give its values one type in the split function, or declare Table(fields=...)."


def recast(column: Any, kind: Any) -> Any:
    """Return an Arrow column in a wider type, as if its values had that type from the start.

    Raises `Misfit` if a value changes.
    """
    if _has_only_nulls_inside(column.type) and _kind_of_type(kind):
        return column_of(column.to_pylist(), kind)
    return cast_column(column, kind)


def _has_only_nulls_inside(kind: Any) -> bool:
    """Return whether a type, at any depth, is that of nulls alone."""
    from pyarrow import types

    inner = [kind.field(k).type for k in range(kind.num_fields)] if types.is_nested(kind) else []
    return types.is_null(kind) or any(map(_has_only_nulls_inside, inner))


def column_of(values: Sequence[Any], expected: Any = None) -> Any:
    """Return Python values as an Arrow array: of the expected type, or of their own one.

    Raises `Misfit` if they have different types, or do not fit the expected one without a change.
    """
    import pyarrow
    from pyarrow import types

    if np.datetime64 in set(map(type, values)):
        values = _with_dates(values)
    kind = _kind_of_all(values, expected)
    # What lies below a null is the same whether or not a value is beside it.
    kind = kind or _kind_of_type(expected)
    if kind is None:
        return pyarrow.nulls(len(values), expected or pyarrow.null())
    if expected is not None and types.is_map(expected) and kind in ("mapping", "list"):
        return _maps(values, expected)
    if expected is not None and not isinstance(expected, pyarrow.BaseExtensionType):
        _check_family(values, kind, expected)
    if kind == "mapping":
        return _structs(values, expected)
    if kind == "list":
        return _lists(values, expected)
    return _leaves(values, kind, expected)


def _with_dates(values: Sequence[Any]) -> Sequence[Any]:
    """Return days of numpy as dates, which Arrow takes."""
    if not all(value is None or getattr(value, "dtype", None) == DAYS for value in values):
        return values
    dates = [None if value is None or np.isnat(value) else value.item() for value in values]
    for at, date in enumerate(dates):
        if isinstance(date, int):
            raise Misfit(at, f"the day {values[at]}, which is not in the years 1 to 9999 of Python's dates.")
    return dates


def _kind_of_all(values: Sequence[Any], expected: Any) -> str | None:
    """Return the word for the type of all values, or None if there are only nulls."""
    kinds = {kind: _kind(kind) for kind in set(map(type, values)) - {type(None)}}
    if missing := next((kind for kind in kinds if kind.__name__ in MISSING), None):
        at = next(at for at, value in enumerate(values) if type(value) is missing)
        raise Misfit(at, f"pandas' {values[at]}, expected None: write None if pandas.isna(value) else value.")
    if expected is not None:
        # A declared type of numbers holds decimals too.
        kinds = {kind: "number" if word == "decimal" else word for kind, word in kinds.items()}
    if len(set(kinds.values())) > 1:
        first = next(kinds[type(value)] for value in values if value is not None)
        at, wrong = next((at, v) for at, v in enumerate(values) if v is not None and kinds[type(v)] != first)
        raise Misfit(
            at,
            f"a {type(wrong).__name__} ({wrong!r:.40}), expected {first} as in the samples before it. "
            "Give the values one type.",
        )
    for kind, word in kinds.items():
        at = next(at for at, value in enumerate(values) if type(value) is kind)
        if word not in KINDS.values() and hasattr(values[at], "__iter__") and hasattr(values[at], "__len__"):
            raise Misfit(at, f"a {kind.__name__} ({values[at]!r:.40}), expected a list. Convert it with list(...).")
    return next(iter(kinds.values()), None)


def _kind_of_type(expected: Any) -> str | None:
    """Return the word for the values of a nested type; None for any other type."""
    from pyarrow import types

    if expected is None or not types.is_nested(expected) or types.is_union(expected):
        return None
    return "mapping" if types.is_struct(expected) or types.is_map(expected) else "list"


def _kind(kind: type) -> str:
    if issubclass(kind, np.generic):
        return NUMPY_KINDS.get(np.dtype(kind).kind, kind.__name__)
    return next((name for base, name in KINDS.items() if issubclass(kind, base)), kind.__name__)


def _check_family(values: Sequence[Any], kind: str, expected: Any) -> None:
    if family(expected).removesuffix(" with zone") != FAMILIES.get(kind, kind) and kind in KINDS.values():
        at, wrong = next((at, value) for at, value in enumerate(values) if value is not None)
        raise Misfit(
            at, f"a {type(wrong).__name__} ({wrong!r:.40}), expected {expected}. Convert it, or declare its own type."
        )


def _leaves(values: Sequence[Any], kind: str, expected: Any) -> Any:
    import pyarrow

    own = _type_of_times(values, kind) if kind in ("timestamp", "time", "duration") else None
    try:
        try:
            array = pyarrow.array(values, own)
        except OverflowError:
            # By default Arrow uses int64, which does not hold the upper half of uint64.
            array = pyarrow.array(values, pyarrow.uint64())
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
        for at, value in enumerate(values):
            if isinstance(value, decimal.Decimal) and not value.is_finite():
                raise Misfit(at, f"the decimal {value}, which Arrow does not hold. Use None, or floats.") from error
        raise Misfit(None, f"{error}. {ADVICE}") from error
    array = decoded_column(array)
    return array if expected is None else cast_column(array, expected)


def _type_of_times(values: Sequence[Any], kind: str) -> Any:
    """Return the type for times of which one has nanoseconds, which Arrow would cut; None for all others."""
    import pyarrow

    zones = [getattr(value, "tzinfo", None) for value in values if value is not None]
    if kind == "time" and any(zone is not None for zone in zones):
        raise Misfit(None, "a time of day has a time zone, which Arrow would drop. Remove it, or store it as text.")
    if kind == "timestamp" and len({zone is None for zone in zones}) > 1:
        raise Misfit(None, "some times have a time zone and some have none. Give all of them one, or none of them.")
    if not any(getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0) for value in values):
        return None
    if kind == "duration":
        return pyarrow.duration("ns")
    zone = pyarrow.array([next(value for value in values if value is not None)]).type.tz
    return pyarrow.timestamp("ns", zone)


def _structs(values: Sequence[Any], expected: Any) -> Any:
    import pyarrow

    present = [value for value in values if value is not None]
    keys = list(present[0]) if expected is None else struct_keys(expected)
    known = present[0].keys() if expected is None else set(keys)
    for at, value in enumerate(values):
        if value is not None and (value.keys() != known or not all(type(key) is str for key in value)):
            if wrong := [key for key in value if not isinstance(key, str)]:
                raise Misfit(at, f"a mapping has the key {wrong[0]!r:.40}, expected text. Convert it to text.")
            check_keys(list(value), keys, at)
    if not keys:
        return pyarrow.array(values, pyarrow.struct([]))
    inner = [None if expected is None else expected.field(k).type for k in range(len(keys))]
    children = [_child(values, present, key, kind) for key, kind in zip(keys, inner)]
    nulls = np.array([value is None for value in values], bool)
    if len(present) < len(values):
        rows = pyarrow.array(np.where(nulls, len(present), np.cumsum(~nulls) - 1))
        children = [pyarrow.concat_arrays([one, _empty_array(one.type)]).take(rows) for one in children]
    fields = [pyarrow.field(key, child.type) for key, child in zip(keys, children)]
    return pyarrow.StructArray.from_arrays(children, fields=fields, mask=pyarrow.array(nulls))


def _child(values: Sequence[Any], present: Sequence[Any], key: str, kind: Any) -> Any:
    """Return the values under a key of all mappings that are there."""
    with inside(f".{key}"):
        try:
            return column_of([value[key] for value in present], kind)
        except Misfit as misfit:
            if misfit.at is not None:
                misfit.at = [at for at, value in enumerate(values) if value is not None][misfit.at]
            raise


def _empty_array(kind: Any) -> Any:
    """Return one value of a type with nothing in it: what Arrow stores below a null."""
    import pyarrow

    return pyarrow.array([_empty(kind)], kind)


def _empty(kind: Any) -> Any:
    from pyarrow import types

    if types.is_null(kind):
        return None
    if types.is_struct(kind):
        return {name: _empty(kind.field(k).type) for k, name in enumerate(struct_keys(kind))}
    if types.is_fixed_size_list(kind):
        return [_empty(kind.value_type)] * kind.list_size
    if types.is_nested(kind):
        return []
    if types.is_fixed_size_binary(kind):
        return bytes(kind.byte_width)
    return np.float16(0) if types.is_float16(kind) else {"string": "", "binary": b"", "bool": False}.get(str(kind), 0)


def _lists(values: Sequence[Any], expected: Any) -> Any:
    import pyarrow
    from pyarrow import types

    lengths, borders = _borders(values)
    child = _items(values, lengths, None if expected is None else expected.value_type)
    lists = pyarrow.ListArray.from_arrays(borders, child)
    if expected is None or expected == lists.type:
        return lists
    if types.is_fixed_size_list(expected) and (
        wrong := [n for n in set(lengths) - {expected.list_size} if n is not None]
    ):
        raise Misfit(lengths.index(wrong[0]), f"a list has {wrong[0]} values, expected {expected.list_size}.")
    return lists.cast(expected)


def _borders(values: Sequence[Any]) -> tuple[list[int | None], Any]:
    """Return the lengths of lists, None for a null, and where each begins."""
    import pyarrow

    lengths = [None if value is None else _length(at, value) for at, value in enumerate(values)]
    ends = list(accumulate((length or 0 for length in lengths), initial=0))
    borders = [None if length is None else start for length, start in zip(lengths, ends)]
    return lengths, pyarrow.array([*borders, ends[-1]], pyarrow.int32())


def _length(at: int, value: Any) -> int:
    if isinstance(value, np.ndarray):
        if np.ma.is_masked(value):
            raise Misfit(at, "an array has masked values, which would be stored as numbers. Fill them, or use None.")
        if not value.ndim:
            raise Misfit(at, "an array has no axes, expected a list of values. Convert it with .item().")
    return len(value)


def _items(values: Sequence[Any], lengths: Sequence[int | None], inner: Any) -> Any:
    """Return the items of all lists as one array."""
    import pyarrow

    present = [value for value in values if value is not None and len(value)]
    arrays = all(type(value) is np.ndarray and value.ndim == 1 and value.dtype.kind in "biuf" for value in present)
    if present and arrays and len({value.dtype for value in present}) == 1:
        flat = np.concatenate(present)
        with inside("[]"):
            items = pyarrow.array(flat.astype(flat.dtype.newbyteorder("="), copy=False))
            return items if inner is None else cast_column(items, inner)
    try:
        return column_of(list(chain.from_iterable(present)), inner)
    except Misfit as misfit:
        if misfit.at is None:
            misfit.path = "[]" + misfit.path
            raise
        starts = list(accumulate((length or 0 for length in lengths), initial=0))
        row = bisect_right(starts, misfit.at) - 1
        raise Misfit(row, misfit.why, f"[{misfit.at - starts[row]}]{misfit.path}") from misfit


def _maps(values: Sequence[Any], expected: Any) -> Any:
    """Return mappings, or lists of pairs, as Arrow's maps."""
    import pyarrow

    pairs = [list(value.items()) if isinstance(value, Mapping) else value for value in values]
    for at, entries in enumerate(pairs):
        for entry in entries or ():
            if not isinstance(entry, tuple | list) or len(entry) != 2 or entry[0] is None:
                raise Misfit(at, f"{entry!r:.40} in a map, expected a pair of a key and a value.")
    lengths, borders = _borders(pairs)
    keys, items = (
        _items([None if one is None else [pair[k] for pair in one] for one in pairs], lengths, inner)
        for k, inner in enumerate((expected.key_type, expected.item_type))
    )
    return pyarrow.MapArray.from_arrays(borders, keys, items).cast(expected)
