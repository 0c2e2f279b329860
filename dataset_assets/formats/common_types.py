"""The Arrow type that the parts of a stream have in common: the same one in whatever order and groups they are joined.

A stream that is written at once goes by its first rows: `fields.widened` keeps their order of keys and their time zone.
"""

from typing import Any

from dataset_assets.formats.fields import (
    TIME_UNITS,
    check_keys,
    common_decimal,
    family,
    inside,
    struct_keys,
    wider_number,
)
from dataset_assets.formats.format import Misfit


def common_type(first: Any, second: Any) -> Any:
    """Return the type that holds values of two types. Raises `Misfit` if there is none.

    Equal keys in two orders take the order that comes first in the alphabet, times of two zones are in UTC, and lists
    of two fixed lengths are lists of any length.
    """
    import pyarrow
    from pyarrow import types

    if first == second or types.is_null(second):
        return first
    if types.is_null(first):
        return second
    if family(first) != family(second) or types.is_decimal(first) != types.is_decimal(second):
        raise Misfit(None, f"values are {second} in one part and {first} in another.")
    if types.is_struct(first):
        return _struct(first, second)
    if family(first) == "list":
        size = _size(first) if _size(first) == _size(second) else -1
        return pyarrow.list_(_inside("[]", first.value_type, second.value_type), size)
    if types.is_map(first):
        pair = [_inside("{}", first.key_type, second.key_type), _inside("{}", first.item_type, second.item_type)]
        return pyarrow.map_(*pair, first.keys_sorted and second.keys_sorted)
    if types.is_decimal(first):
        return common_decimal(first, second)
    return _common_leaf(first, second)


def _common_leaf(first: Any, second: Any) -> Any:
    import pyarrow
    from pyarrow import types

    if family(first) == "number":
        return wider_number(first, second)
    if family(first) == "binary":
        return pyarrow.binary()
    if types.is_date(first):
        return pyarrow.date64()
    if not (hasattr(first, "unit") and hasattr(second, "unit")):
        raise Misfit(None, f"values are {second} in one part and {first} in another.")
    wider = max((first, second), key=lambda kind: TIME_UNITS.index(kind.unit))
    if types.is_timestamp(first) and first.tz != second.tz:
        return pyarrow.timestamp(wider.unit, "UTC")
    return wider


def _struct(first: Any, second: Any) -> Any:
    import pyarrow

    keys, others = struct_keys(first), struct_keys(second)
    check_keys(others, keys)
    kinds = {key: _inside(f".{key}", first.field(key).type, second.field(key).type) for key in keys}
    return pyarrow.struct([(key, kinds[key]) for key in min(keys, others)])


def _size(kind: Any) -> int:
    """Return the length of lists of one length, and -1 for lists of any length."""
    from pyarrow import types

    return kind.list_size if types.is_fixed_size_list(kind) else -1


def _inside(part: str, first: Any, second: Any) -> Any:
    with inside(part):
        return common_type(first, second)
