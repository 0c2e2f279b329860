"""Pandas values as arrays: frames, series and indexes come back with every dtype, name and index as they were."""

from typing import Any, Callable

import numpy as np
import pandas

from dataset_assets.errors import SchemaError

# Its type stubs lack some of its functions.
_INDEXES: Any = pandas
Register = Callable[[type, str, Callable[[Any], Any], Callable[[Any], Any]], None]


def register(add: Register) -> None:
    """Register the kinds of pandas."""
    add(pandas.DataFrame, "pandas.DataFrame", _frame, _frame_from)
    add(pandas.Series, "pandas.Series", _series, _series_from)
    for kind in (
        pandas.Index, pandas.DatetimeIndex, pandas.TimedeltaIndex, pandas.PeriodIndex, pandas.IntervalIndex,
        pandas.CategoricalIndex, pandas.RangeIndex, pandas.MultiIndex,
    ):  # fmt: skip
        add(kind, "pandas.Index", _index, _index_from)
    add(pandas.Timestamp, "pandas.Timestamp", _stamp, _stamp_from)
    add(pandas.Timedelta, "pandas.Timedelta", lambda v: v.asm8.reshape(()), lambda s: pandas.Timedelta(s[()]))
    add(
        pandas.Period,
        "pandas.Period",
        lambda v: [v.ordinal, v.freqstr],
        lambda s: pandas.Period(ordinal=s[0], freq=s[1]),
    )
    add(pandas.Interval, "pandas.Interval", lambda v: [v.left, v.right, v.closed], lambda s: pandas.Interval(*s))
    add(type(pandas.NaT), "pandas.NaT", lambda value: None, lambda stored: pandas.NaT)
    add(type(pandas.NA), "pandas.NA", lambda value: None, lambda stored: pandas.NA)
    for extension in (pandas.Categorical, pandas.arrays.DatetimeArray, pandas.arrays.IntegerArray):
        add(extension, "pandas.array", _array, lambda stored: pandas.array(_array_from(stored), copy=False))


def _frame(value: Any) -> dict[str, Any]:
    columns = [_array(value.iloc[:, k].array) for k in range(value.shape[1])]
    return {"columns": value.columns, "index": value.index, "data": columns, "attrs": dict(value.attrs)}


def _frame_from(stored: Any) -> Any:
    data = {k: _column(one) for k, one in enumerate(stored["data"])}
    found = pandas.DataFrame(data, index=pandas.RangeIndex(len(stored["index"])), copy=False)
    found.index, found.columns, found.attrs = stored["index"], stored["columns"], stored["attrs"]
    return found


def _series(value: Any) -> dict[str, Any]:
    return {"name": value.name, "index": value.index, "data": _array(value.array), "attrs": dict(value.attrs)}


def _series_from(stored: Any) -> Any:
    found = pandas.Series(_column(stored["data"]), copy=False)
    found.index, found.name, found.attrs = stored["index"], stored["name"], stored["attrs"]
    return found


def _column(stored: Any) -> Any:
    """Return a column for a frame or series: pandas would infer another dtype of Python objects."""
    found = _array_from(stored)
    if isinstance(found, np.ndarray) and found.dtype.hasobject:
        return pandas.Series(found, dtype=object, copy=False)
    return found


def _index(value: Any) -> dict[str, Any]:
    if isinstance(value, pandas.MultiIndex):
        return {
            "levels": list(value.levels),
            "codes": [np.asarray(code) for code in value.codes],
            "names": list(value.names),
        }
    if isinstance(value, pandas.RangeIndex):
        return {"range": [value.start, value.stop, value.step], "name": value.name}
    freq = value.freq if isinstance(value, (pandas.DatetimeIndex, pandas.TimedeltaIndex)) else None
    return {"data": _array(value.array), "name": value.name, "freq": None if freq is None else _freq_name(freq)}


def _freq_name(freq: Any) -> str:
    name = str(freq.freqstr)
    try:
        if pandas.tseries.frequencies.to_offset(name) == freq:
            return name
    except ValueError:
        pass
    raise SchemaError(f"has the frequency {freq!r:.80}, which its name does not describe. Set index.freq = None")


def _index_from(stored: Any) -> Any:
    if "levels" in stored:
        return pandas.MultiIndex(stored["levels"], stored["codes"], names=stored["names"])
    if "range" in stored:
        start, stop, step = stored["range"]
        return pandas.RangeIndex(start, stop, step, name=stored["name"])
    data = _array_from(stored["data"])
    plain = isinstance(data, np.ndarray) and data.dtype.hasobject
    found = pandas.Index(data, dtype=object, name=stored["name"]) if plain else pandas.Index(data, name=stored["name"])
    if stored["freq"] is not None:
        found.freq = stored["freq"]
    return found


def _stamp(value: Any) -> list[Any]:
    return [value.tz_localize(None).asm8.reshape(()) if value.tz is None else value.asm8.reshape(()), _zone(value)]


def _zone(value: Any) -> str | None:
    return None if value.tz is None else _zone_name(value.tz)


def _stamp_from(stored: Any) -> Any:
    moment = pandas.Timestamp(stored[0][()])
    return moment if stored[1] is None else moment.tz_localize("UTC").tz_convert(_checked_zone(stored[1]))


def _zone_name(zone: Any) -> str:
    try:
        name = _checked_zone(str(zone))
        if pandas.DatetimeTZDtype("ns", name).tz == zone and name != "tzlocal()":
            return name
    # ZoneInfo raises KeyError for a name that it does not know.
    except (ValueError, LookupError):
        pass
    raise SchemaError(f"has the time zone {zone!r:.80}. Use the name of a zone")


def _checked_zone(name: Any) -> str:
    # Pandas would open the file that such a name names.
    if not isinstance(name, str) or name.startswith(("dateutil/", "tzfile(")):
        raise ValueError(f"{name!r:.80} is not the name of a time zone")
    return name


def _array(value: Any) -> dict[str, Any]:
    """Return the values of a column, and what its dtype needs beside them."""
    if isinstance(value, pandas.arrays.NumpyExtensionArray):
        value = value.to_numpy()
    dtype = value.dtype
    for test, reduce in _REDUCED:
        if test(dtype):
            found: dict[str, Any] = reduce(value, dtype)
            return found
    raise SchemaError(f"has the dtype {dtype}, which no codec writes. Convert it, for example with astype")


def _objects(value: Any, dtype: Any) -> dict[str, Any]:
    items = [*value]
    if items and {*map(type, items)} == {str} and all(map(_is_plain_text, items)):
        import pyarrow

        return {"kind": "text", "values": pyarrow.array(items, pyarrow.large_string())}
    return {"kind": "object", "values": items}


def _is_plain_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _string(value: Any, dtype: Any) -> dict[str, Any]:
    import pyarrow

    texts = pyarrow.array(value.to_numpy(dtype=object, na_value=None), pyarrow.large_string(), from_pandas=True)
    return {"kind": "string", "values": texts, "storage": dtype.storage, "nan": dtype.na_value is not pandas.NA}


def _nullable(value: Any, dtype: Any) -> dict[str, Any]:
    values = value.to_numpy(dtype=dtype.numpy_dtype, na_value=dtype.numpy_dtype.type(0))
    return {"kind": "nullable", "values": values, "missing": np.asarray(value.isna())}


def _arrow(value: Any, dtype: Any) -> dict[str, Any]:
    import pyarrow

    return {"kind": "arrow", "values": pyarrow.chunked_array(value.__arrow_array__())}


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda dtype: isinstance(dtype, kind)


def _is_nullable(dtype: Any) -> bool:
    return (
        isinstance(getattr(dtype, "numpy_dtype", None), np.dtype)
        and hasattr(dtype, "na_value")
        and dtype.kind in "biuf"
    )


_REDUCED: tuple[tuple[Callable[[Any], bool], Callable[[Any, Any], dict[str, Any]]], ...] = (
    (lambda dtype: isinstance(dtype, np.dtype) and dtype.hasobject, _objects),
    (_is(np.dtype), lambda values, dtype: {"kind": "numpy", "values": np.asarray(values)}),
    (_is(pandas.StringDtype), _string),
    (
        _is(pandas.CategoricalDtype),
        lambda v, d: {"kind": "category", "codes": v.codes, "categories": v.categories, "ordered": bool(v.ordered)},
    ),
    (
        _is(pandas.DatetimeTZDtype),
        lambda v, d: {"kind": "zoned", "values": np.asarray(v.tz_convert(None)), "zone": _zone_name(d.tz)},
    ),
    (_is(pandas.PeriodDtype), lambda v, d: {"kind": "period", "values": v.asi8, "freq": str(d)[7:-1]}),
    (
        _is(pandas.IntervalDtype),
        lambda v, d: {"kind": "interval", "left": v.left, "right": v.right, "closed": v.closed},
    ),
    (_is(pandas.ArrowDtype), _arrow),
    (_is_nullable, _nullable),
)


def _array_from(stored: Any) -> Any:
    return _RESTORED[stored["kind"]](stored)


def _objects_from(stored: Any) -> Any:
    values = stored["values"]
    found = np.empty(len(values), object)
    found[:] = values if isinstance(values, list) else values.to_pylist()
    return found


def _listed(stored: Any) -> Any:
    found = np.empty(len(stored["values"]), object)
    for k, item in enumerate(stored["values"]):
        found[k] = item
    return found


def _string_from(stored: Any) -> Any:
    import pyarrow

    dtype = pandas.StringDtype(stored["storage"], na_value=np.nan if stored["nan"] else pandas.NA)
    return dtype.__from_arrow__(pyarrow.chunked_array([stored["values"]]))  # type: ignore[attr-defined]


def _nullable_from(stored: Any) -> Any:
    values, missing = stored["values"], stored["missing"]
    kinds = {"b": pandas.arrays.BooleanArray, "f": pandas.arrays.FloatingArray}
    return kinds.get(values.dtype.kind, pandas.arrays.IntegerArray)(values, missing)


_RESTORED: dict[str, Callable[[Any], Any]] = {
    "numpy": lambda stored: stored["values"],
    "text": _objects_from,
    "object": _listed,
    "string": _string_from,
    "category": lambda s: pandas.Categorical.from_codes(s["codes"], s["categories"], ordered=s["ordered"]),
    "zoned": lambda s: pandas.DatetimeIndex(s["values"]).tz_localize("UTC").tz_convert(_checked_zone(s["zone"])).array,
    "period": lambda s: _INDEXES.PeriodIndex.from_ordinals(s["values"], freq=s["freq"]).array,
    "interval": lambda s: pandas.arrays.IntervalArray.from_arrays(s["left"], s["right"], closed=s["closed"]),
    "arrow": lambda s: pandas.arrays.ArrowExtensionArray(s["values"]),
    "nullable": _nullable_from,
}
