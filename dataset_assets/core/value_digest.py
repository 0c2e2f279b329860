"""A digest of values by content: numbers, text, arrays, tables, pictures, and collections of them.

Values of different types have different digests: a list differs from a tuple, and "1" from 1.
"""

import array
import collections
import datetime
import decimal
import fractions
import hashlib
import pathlib
import sys
from collections.abc import Mapping
from types import EllipsisType, NoneType
from typing import Any, Callable

import numpy as np

# The repr of these values is complete.
_WRITTEN = frozenset((
    NoneType, EllipsisType, bool, int, float, complex, str, bytes, range, slice, decimal.Decimal, fractions.Fraction,
    datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone,
    pathlib.PosixPath, pathlib.WindowsPath, pathlib.PurePosixPath, pathlib.PureWindowsPath,
))  # fmt: skip
# Of these, too. Their modules are imported by who has such values, and not here, which would take time.
_WRITTEN_LATER = (("uuid", "UUID"), ("zoneinfo", "ZoneInfo"))
_PANDAS = ("Timestamp", "Timedelta", "Period", "Interval", "NaTType", "NAType")
_COLLECTIONS = ("builtins", "collections", "types")

Other = Callable[[Any], Any]


class NoDigest(Exception):
    """A value has no digest, because its content cannot be read."""


def no_other(value: Any) -> Any:
    """Raise `NoDigest`: the value is not data."""
    raise NoDigest(f"a {type(value).__module__}.{type(value).__qualname__}")


def digest_of_value(value: Any, other: Other = no_other) -> str:
    """Return the sha256 of a value; `other` returns data for values that are not data. Raises `NoDigest`."""
    found = hashlib.sha256()
    try:
        add(found, value, other)
    except RecursionError:
        raise NoDigest(f"a {type(value).__qualname__} that holds itself, or is nested too deeply") from None
    except (NoDigest, MemoryError):
        raise
    # The methods of a user's class may raise anything.
    except Exception as error:
        raise NoDigest(f"a value that raises {type(error).__name__} when it is read") from error
    return found.hexdigest()


def add(found: Any, value: Any, other: Other = no_other) -> None:
    """Add a value to a digest, with its type and length."""
    kind = type(value)
    if isinstance(value, np.generic) or _is_written(kind):
        text = value if kind is bytes else repr(value).encode("utf-8", "surrogatepass")
        found.update(f"{kind.__name__}{len(text)}:".encode() + text)
    elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
        _add_array(found, value)
    elif kind is tuple:
        add_all(found, "(", value, other)
    elif kind is list or isinstance(value, np.ndarray):
        # A mapping is added as a list of its pairs.
        pairs = len(value) > 0 and all(type(item) is list and len(item) == 2 for item in value)
        add_all(found, "pairs[" if pairs else "[", value, other)
    elif kind in (set, frozenset):
        add_all(found, "{", sorted(digest_of_value(item, other) for item in value), other)
    elif isinstance(value, Mapping) and kind.__module__ in _COLLECTIONS:
        add_all(found, "[" if value else "{}", [[key, item] for key, item in value.items()], other)
    elif kind.__module__.startswith("pyarrow") and hasattr(value, "to_pylist"):
        add(found, value.to_pylist(), other)
    else:
        found.update(b"<")
        known = _known(value)
        add(found, other(value) if known is None else known, other)


def _is_written(kind: type) -> bool:
    return kind in _WRITTEN or any(kind is getattr(sys.modules.get(at), name, None) for at, name in _WRITTEN_LATER)


def add_all(found: Any, opening: str, items: Any, other: Other) -> None:
    """Add a collection to a digest: its opening mark, length and items."""
    found.update(f"{opening}{len(items)}".encode())
    for item in items:
        add(found, item, other)


def _add_array(found: Any, value: Any) -> None:
    if isinstance(value, np.ma.MaskedArray):
        found.update(b"masked")
        _add_array(found, np.ma.getmaskarray(value))
        value = value.filled(0) if value.dtype.kind in "biufc" else value.filled()
    fields = f"{value.dtype.descr}" if value.dtype.names else ""
    found.update(f"{value.dtype.str}{fields}{value.shape}".encode())
    # As bytes: the buffer protocol does not support dates.
    found.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data if value.size else b"")


def _known(value: Any) -> Any:
    """Return data for a value of another library, or None for an unknown type."""
    kind = type(value)
    if isinstance(value, (bytearray, memoryview)):
        return [kind.__name__, bytes(value)]
    if kind in (collections.deque, array.array):
        return [kind.__name__, getattr(value, "maxlen", None) or getattr(value, "typecode", None), list(value)]
    if isinstance(value, np.dtype):
        return ["dtype", str(value.descr if value.names else value.str)]
    # A value cannot come from a library that is not imported.
    if (torch := sys.modules.get("torch")) and isinstance(value, torch.Tensor):
        return _tensor(value, torch)
    if (pillow := sys.modules.get("PIL.Image")) and isinstance(value, pillow.Image):
        return ["picture", value.mode, value.size, value.tobytes(), value.getpalette()]
    if (pandas := sys.modules.get("pandas")) and kind.__module__.startswith("pandas"):
        return _of_pandas(value, pandas)
    if kind.__module__.startswith("pyarrow") and hasattr(value, "as_py"):
        return ["scalar", str(value.type), value.as_py()]
    return None


def _tensor(value: Any, torch: Any) -> Any:
    if value.is_sparse or value.is_quantized or value.device.type == "meta":
        return None
    # As bytes, because numpy has no bfloat16.
    flat = value.detach().cpu().contiguous().reshape(-1)
    return ["tensor", str(value.dtype), tuple(value.shape), flat.view(torch.uint8).numpy() if flat.numel() else None]


def _of_pandas(value: Any, pandas: Any) -> Any:
    if isinstance(value, pandas.DataFrame):
        return ["frame", list(value.columns), value.index, [value.iloc[:, k] for k in range(value.shape[1])]]
    if isinstance(value, pandas.Series):
        return ["series", value.name, str(value.dtype), value.index, _values(value)]
    if isinstance(value, pandas.Index):
        return ["index", list(value.names), str(value.dtype), _values(value)]
    return [type(value).__name__, repr(value)] if type(value).__name__ in _PANDAS else None


def _values(series: Any) -> Any:
    plain = isinstance(series.dtype, np.dtype) and series.dtype.kind in "biufcmM"
    return series.to_numpy() if plain else list(series)
