"""Kinds of values: how a value of a type becomes simpler values, and is restored from them."""

import datetime
import decimal
import uuid
import zoneinfo
from typing import Any, Callable, NamedTuple

import numpy as np

from dataset_assets.core.extras import needed
from dataset_assets.errors import SchemaError, UsageError
from dataset_assets.experiments.bunch import Bunch, held


class Kind(NamedTuple):
    """A type of values: its stored name, and functions to simpler values and back."""

    name: str
    reduce: Callable[[Any], Any]
    restore: Callable[[Any], Any]


KINDS: dict[type, Kind] = {}
"""The kinds by their exact type."""

NAMED: dict[str, Kind] = {}
"""The kinds by their stored name."""

_OWNERS: dict[str, str] = {}
"""The types that users registered, by the stored name."""

_RESERVED = {"blob", "folder", "int", "float", "tuple", "set", "frozenset", "dict", "scalar", "numpy"}
_BUILTIN = (type(None), bool, str, int, float, list, dict, tuple, set, frozenset, bytes, np.ndarray, np.memmap)
_FILES = ("pyarrow.lib.", "polars.dataframe.frame.", "torch.Tensor")


def codec(kind: type, name: str, reduce: Callable[[Any], Any], restore: Callable[[Any], Any]) -> None:
    """Register how values of your own type are stored, under a name that stays the same for ever.

    `reduce` returns simpler values, such as a dict with arrays; `restore` makes the value from them. Register it before
    values are written, and wherever they are read. Raises `UsageError` if the name or the type is taken; the same class
    may be registered again.

    >>> codec(fractions.Fraction, "fraction", lambda v: [v.numerator, v.denominator], lambda v: fractions.Fraction(*v))
    """
    if not isinstance(kind, type):
        raise UsageError(f"{kind!r:.80} is not a type. Give the class whose values are stored.")
    if not isinstance(name, str) or not name.isidentifier():
        raise UsageError(f"{name!r:.80} cannot name a codec. Use letters, digits and underscores.")
    _load(kind.__module__)
    owner = f"{kind.__module__}.{kind.__qualname__}"
    if name in _RESERVED or name in NAMED and _OWNERS.get(name) != owner:
        raise UsageError(f"The codec name {name!r} is taken{_by(name)}. Choose another name for {kind.__qualname__}.")
    ours = kind in _BUILTIN or issubclass(kind, np.generic) or owner.startswith(_FILES)
    if ours or kind in KINDS and KINDS[kind].name not in _OWNERS:
        raise UsageError(f"Values of {kind.__qualname__} are stored already. Register a codec for a class of your own.")
    _OWNERS[name] = owner
    _add(kind, name, reduce, restore)


def _by(name: str) -> str:
    return f" by {_OWNERS[name]}" if name in _OWNERS else ""


def _add(kind: type, name: str, reduce: Callable[[Any], Any], restore: Callable[[Any], Any]) -> None:
    KINDS[kind] = NAMED[name] = Kind(name, reduce, restore)


def kind_of(value: Any) -> Kind | None:
    """Return the kind of a value; None if no codec is registered for its type."""
    found = KINDS.get(type(value))
    if found is None and _load(type(value).__module__):
        found = KINDS.get(type(value))
    return found


def kind_named(name: str) -> Kind | None:
    """Return the kind with a stored name; None if it is not registered here."""
    if name not in NAMED:
        _load(name)
    return NAMED.get(name)


def _load(place: str) -> bool:
    """Register the kinds of a library, which is imported when a value of it is met; say whether there are any."""
    library = place.partition(".")[0]
    if library not in ("pandas", "polars"):
        return False
    needed(library, "all")
    if library == "pandas":
        from dataset_assets.experiments import pandas_kinds

        pandas_kinds.register(_add)
    else:
        import polars

        _add(polars.Series, "polars.Series", polars.Series.to_frame, lambda frame: frame.to_series())
    return True


def _zone(zone: Any) -> Any:
    if zone is None or isinstance(zone, zoneinfo.ZoneInfo) and zone.key:
        return zone and zone.key
    if type(zone) is datetime.timezone:
        return [zone.utcoffset(None) / datetime.timedelta(microseconds=1), zone.tzname(None)]
    raise SchemaError(f"has the time zone {zone!r:.80}. Use zoneinfo.ZoneInfo or datetime.timezone")


def _zone_from(stored: Any) -> Any:
    if stored is None or isinstance(stored, str):
        return stored and zoneinfo.ZoneInfo(stored)
    offset, name = datetime.timedelta(microseconds=stored[0]), stored[1]
    plain = datetime.timezone(offset)
    return plain if plain.tzname(None) == name else datetime.timezone(offset, name)


def _moment(value: Any) -> list[Any]:
    return [value.replace(tzinfo=None, fold=0).isoformat(), _zone(value.tzinfo), value.fold]


def _moment_of(kind: Any) -> Callable[[Any], Any]:
    return lambda stored: kind.fromisoformat(stored[0]).replace(tzinfo=_zone_from(stored[1]), fold=stored[2])


def _masked(value: Any) -> list[Any]:
    mask = np.ma.getmask(value)
    plain = mask is np.ma.nomask
    return [value.data, None if plain else mask, np.asarray(value.fill_value), bool(value.hardmask)]


def _masked_from(stored: Any) -> Any:
    data, mask, fill, hard = stored
    return np.ma.MaskedArray(data, np.ma.nomask if mask is None else mask, fill_value=fill[()], hard_mask=hard)


def _bunch(stored: Any) -> Bunch:
    # Earlier ones may have names that are not text.
    found = Bunch()
    held(found).update(stored)
    return found


def _bytearray(stored: Any) -> bytearray:
    # Of a number, bytearray would make as many bytes.
    return bytearray(memoryview(stored))


_add(Bunch, "bunch", dict, _bunch)
_add(uuid.UUID, "uuid", lambda value: value.hex, uuid.UUID)
_add(complex, "complex", lambda value: [value.real, value.imag], lambda stored: complex(*stored))
_add(decimal.Decimal, "decimal", str, decimal.Decimal)
_add(datetime.date, "date", datetime.date.isoformat, datetime.date.fromisoformat)
_add(datetime.datetime, "datetime", _moment, _moment_of(datetime.datetime))
_add(datetime.time, "time", _moment, _moment_of(datetime.time))
_add(
    datetime.timedelta,
    "timedelta",
    lambda value: [value.days, value.seconds, value.microseconds],
    lambda stored: datetime.timedelta(*stored),
)
_add(range, "range", lambda value: [value.start, value.stop, value.step], lambda stored: range(*stored))
_add(slice, "slice", lambda value: [value.start, value.stop, value.step], lambda stored: slice(*stored))
_add(bytearray, "bytearray", bytes, _bytearray)
_add(np.ma.MaskedArray, "numpy.masked", _masked, _masked_from)
