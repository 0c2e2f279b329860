"""Encodes dates and times as numbers: parts of the calendar, also on a circle, and days since 1970."""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from dataset_assets.encoding.encoder import Values, check_choice, encoder
from dataset_assets.encoding.values import is_arrow
from dataset_assets.errors import SchemaError, UsageError

Times = NDArray[np.datetime64]
_DAY = 86_400


def _since(times: Times, unit: str, within: str) -> NDArray[np.float64]:
    """Return how many units have passed since the year, month or day of each time began."""
    passed = times.astype(f"M8[{unit}]") - times.astype(f"M8[{within}]").astype(f"M8[{unit}]")
    return np.asarray(passed.astype(np.float64))


PARTS: Mapping[str, Callable[[Times], NDArray[np.float64]]] = {
    "year": lambda times: times.astype("M8[Y]").astype(np.float64) + 1970,
    "month": lambda times: _since(times, "M", "Y") + 1,
    "day": lambda times: _since(times, "D", "M") + 1,
    "weekday": lambda times: (times.astype("M8[D]").astype(np.float64) + 3) % 7,
    "day_of_year": lambda times: _since(times, "D", "Y") + 1,
    "hour": lambda times: _since(times, "h", "D"),
    "minute": lambda times: _since(times, "m", "h"),
    "second": lambda times: _since(times, "us", "m") / 1e6,
    "days": lambda times: times.astype("M8[us]").astype(np.float64) / (_DAY * 1e6),
}
"""What each part is; a weekday is 0 for Monday, and `days` have passed since 1970, with a fraction."""
PERIODS = {"month": 12, "day": 31, "weekday": 7, "day_of_year": 365.25, "hour": 24, "minute": 60, "second": 60}
"""How long the parts are that return; `month_sin` and `month_cos` are their places on a circle."""
NAMES = (*PARTS, *(f"{part}_{way}" for part in PERIODS for way in ("sin", "cos")))


@encoder("dates")
@dataclass(frozen=True)
class Dates:
    """Numbers of dates and times: `Dates(("year", "month", "weekday"))`. There is nothing to learn.

    Values are numpy's or Arrow's dates and times, Python's, or text in ISO 8601; a time with a zone is taken in UTC.
    A missing value (None, NaT) raises `SchemaError`; with "keep" its numbers are NaN.
    """

    parts: tuple[str, ...] = ("year", "month", "day", "weekday")
    missing: Literal["error", "keep"] = "error"

    name: ClassVar[str]

    def __post_init__(self) -> None:
        if isinstance(self.parts, str) or not self.parts:
            raise UsageError(f"parts={self.parts!r} are not a list of parts. Give some of {', '.join(PARTS)}.")
        object.__setattr__(self, "parts", tuple(self.parts))
        for part in self.parts:
            check_choice("part", part, NAMES)
        check_choice("missing", self.missing, ("error", "keep"))

    def learn(self, known: Any, values: Values) -> Any:
        """Check the values of a block."""
        self.apply(values)
        return known

    def learnt(self, known: Any) -> "Dates":
        """Return itself."""
        return self

    def apply(self, values: Values) -> NDArray[np.float32]:
        """Return a row of numbers for each date.

        >>> Dates(("year", "month", "weekday")).apply(["2026-11-30"])
        array([[2.026e+03, 1.100e+01, 0.000e+00]], dtype=float32)
        """
        times = _times_of(values)
        there = ~np.isnat(times)
        if self.missing == "error" and not there.all():
            raise SchemaError("A date is missing. Use missing='keep', or drop the sample.")
        found = np.full((len(times), len(self.parts)), np.nan, np.float32)
        for at, part in enumerate(self.parts):
            found[there, at] = _numbers(times[there], part)
        return found


def _numbers(times: Times, part: str) -> NDArray[np.float64]:
    if part in PARTS:
        return PARTS[part](times)
    name, _, way = part.rpartition("_")
    # Months and days count from 1, and the circle from their beginning.
    first = 1 if name in ("month", "day", "day_of_year") else 0
    angle = (PARTS[name](times) - first) * (2 * np.pi / PERIODS[name])
    return np.sin(angle) if way == "sin" else np.cos(angle)


def _times_of(values: Values) -> Times:
    """Return values as times in microseconds. Raises `SchemaError` for what is no date."""
    try:
        if is_arrow(values):
            values = _of_arrow(values)
        if isinstance(values, np.ndarray) and values.dtype.kind == "M":
            times = values
        else:
            times = np.array([_time(value) for value in values], "M8[us]")
        if times.dtype.kind != "M" or times.ndim != 1:
            raise TypeError(f"they are {times.dtype} of shape {times.shape[1:]}")
        return _in_microseconds(times)
    # Arrow refuses a cast with an error of either class.
    except (TypeError, ValueError, OverflowError, NotImplementedError) as error:
        raise SchemaError(f"The values are not dates ({error}). Convert them with view.map first.") from error


def _of_arrow(values: Any) -> Any:
    """Return numpy's times of Arrow's, with zones in UTC; texts and all else as a list."""
    import pyarrow

    if pyarrow.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pyarrow.types.is_null(values.type):
        values = values.cast(pyarrow.timestamp("us"))
    dated = pyarrow.types.is_timestamp(values.type) or pyarrow.types.is_date(values.type)
    return values.to_numpy(zero_copy_only=False) if dated else values.to_pylist()


def _in_microseconds(times: Any) -> Times:
    """Return times in microseconds. Raises `OverflowError` for a year that does not fit, which numpy would wrap."""
    made = np.asarray(times).astype("M8[us]")
    beyond = (made.astype("M8[Y]") != np.asarray(times).astype("M8[Y]")) & ~np.isnat(times)
    if beyond.any():
        raise OverflowError("one is further from 1970 than microseconds in 64 bits reach")
    return made


def _time(value: Any) -> Any:
    if isinstance(value, (np.datetime64, datetime.date)) and value != value:
        return None  # NaT, of numpy or of pandas
    if isinstance(value, np.datetime64):
        return _in_microseconds(value)[()]
    if value is None or isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value
    text = value if isinstance(value, str) else None
    time = datetime.datetime.fromisoformat(text) if text is not None else value
    if not isinstance(time, datetime.datetime):
        raise TypeError(f"one is a {type(value).__name__}")
    return time.astimezone(datetime.UTC).replace(tzinfo=None) if time.tzinfo else time
