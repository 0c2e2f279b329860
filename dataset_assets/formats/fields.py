"""The fields of a table: their Arrow types, and casts between types that lose nothing.

Arrow's own casts would store 2.5 in a column of integers as 2, a time as its date, and numbers as text.
"""

import datetime
import decimal
import re
from typing import Any, Sequence

import numpy as np

from dataset_assets.errors import DefinitionError
from dataset_assets.formats.format import Misfit

KINDS = {
    bool: "boolean", int: "number", float: "number", decimal.Decimal: "number", str: "text", bytes: "bytes",
    bytearray: "bytes", memoryview: "bytes", datetime.datetime: "timestamp", datetime.date: "date",
    datetime.time: "time", datetime.timedelta: "duration",
}  # fmt: skip
NUMPY_KINDS = {"b": "boolean", "i": "number", "u": "number", "f": "number", "U": "text", "S": "bytes", "M": "timestamp",
               "m": "duration"}  # fmt: skip


def type_named(name: str) -> Any:
    """Return the Arrow type for a name in a definition or in an index (which writes `str(type)`).

    Raises `DefinitionError` for an unknown name.

    >>> str(type_named("list<item: struct<x: double, y: timestamp[us, tz=UTC]>>"))
    'list<item: struct<x: double, y: timestamp[us, tz=UTC]>>'
    """
    try:
        return _parsed(name.strip())
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise DefinitionError(
            f"{name!r:.200} is not an Arrow type ({error}). Write types as Arrow does: 'double', 'int64', 'string', "
            "'bool'."
        ) from error


def _parsed(name: str) -> Any:
    import pyarrow

    if zoned := re.fullmatch(r"timestamp\[(s|ms|us|ns), tz=(.+)\]", name):
        return pyarrow.timestamp(zoned[1], zoned[2])
    if exact := re.fullmatch(r"decimal128\((\d+), (-?\d+)\)", name):
        return pyarrow.decimal128(int(exact[1]), int(exact[2]))
    if width := re.fullmatch(r"fixed_size_binary\[(\d+)\]", name):
        return pyarrow.binary(int(width[1]))
    if items := re.fullmatch(r"(?:fixed_size_)?list<\w+: (.+)>(?:\[(\d+)\])?", name):
        return pyarrow.list_(_parsed(items[1]), int(items[2] or -1))
    if fields := re.fullmatch(r"struct<(.*)>", name):
        pairs = [part.split(": ", 1) for part in _parts(fields[1])]
        return pyarrow.struct([(field, _parsed(kind)) for field, kind in pairs])
    return plain(pyarrow.type_for_alias(name))


def _parts(text: str) -> list[str]:
    """Split a text at the commas outside of brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "<[(") - (character in ">])")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def plain(kind: Any) -> Any:
    """Return the type in which values of a type are stored, the same for every library that produced them.

    For example, pandas' strings are "large" or not, depending on its version.
    """
    import pyarrow
    from pyarrow import types

    if isinstance(kind, pyarrow.BaseExtensionType):
        return plain(kind.storage_type)
    if types.is_dictionary(kind):
        return plain(kind.value_type)
    if str(kind) in ("large_string", "string_view"):
        return pyarrow.string()
    if str(kind) in ("large_binary", "binary_view"):
        return pyarrow.binary()
    if types.is_list(kind) or types.is_large_list(kind):
        return pyarrow.list_(plain(kind.value_type))
    if types.is_fixed_size_list(kind):
        return pyarrow.list_(plain(kind.value_type), kind.list_size)
    if types.is_struct(kind):
        return pyarrow.struct([(kind.field(k).name, plain(kind.field(k).type)) for k in range(kind.num_fields)])
    return kind


def column_of(values: Sequence[Any], expected: Any = None) -> Any:
    """Return Python values as an Arrow array of their own type. Raises `Misfit` if they have different types."""
    import pyarrow

    kinds = {kind: _kind(kind) for kind in set(map(type, values)) - {type(None)}}
    if len(set(kinds.values())) > 1:
        first = next(kinds[type(value)] for value in values if value is not None)
        at, wrong = next((at, v) for at, v in enumerate(values) if v is not None and kinds[type(v)] != first)
        raise Misfit(
            at,
            f"a {type(wrong).__name__} ({wrong!r:.40}), expected {first} as in the samples before it. "
            "Convert it in the split function.",
        )
    if "timestamp" in kinds.values() and len({getattr(v, "tzinfo", None) is None for v in values if v is not None}) > 1:
        raise Misfit(None, "some times have a time zone and some have none. Give all of them one, or none of them.")
    if expected == pyarrow.uint64() and set(kinds) <= {int}:
        # By default Arrow uses int64, which does not hold the upper half of uint64.
        return pyarrow.array(values, expected)
    return pyarrow.array(values)


def cast_column(column: Any, kind: Any) -> Any:
    """Return a column in a different type of the same family. Raises `Misfit` or ArrowInvalid if a value changes."""
    import pyarrow
    import pyarrow.compute as compute
    from pyarrow import types

    if isinstance(column.type, pyarrow.BaseExtensionType) or types.is_dictionary(column.type):
        column = column.cast(plain(column.type))
    if column.type == kind:
        return column
    if not types.is_null(column.type) and _family(plain(column.type)) != _family(kind):
        raise Misfit(
            None, f"values are Arrow's {column.type}, expected {kind}. Cast them, or declare the field with this type."
        )
    cast = column.cast(kind)
    floats = types.is_floating(kind) and types.is_floating(column.type)
    if floats and compute.sum(compute.is_inf(cast)) != compute.sum(compute.is_inf(column)):
        raise Misfit(None, f"a number is too large for {kind}. Declare the field as 'double'.")
    return cast


def _kind(kind: type) -> str:
    if issubclass(kind, np.generic):
        return NUMPY_KINDS.get(np.dtype(kind).kind, kind.__name__)
    return next((name for base, name in KINDS.items() if issubclass(kind, base)), kind.__name__)


def _family(kind: Any) -> str:
    from pyarrow import types

    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_timestamp(kind):
        return "timestamp with zone" if kind.tz else "timestamp"
    for check, name in ((types.is_date, "date"), (types.is_time, "time"), (types.is_duration, "duration")):
        if check(kind):
            return name
    # A nested type has further types inside; Arrow decides which of these it can cast.
    return re.split(r"[<\[(]", str(kind))[0]
