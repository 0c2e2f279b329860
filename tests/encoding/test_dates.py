"""Dates and times as numbers, compared with the standard library's own."""

import datetime
from typing import Any

import numpy as np
import pandas
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataset_assets import view_of
from dataset_assets.encoding import Dates, Fitted
from dataset_assets.encoding.dates import NAMES
from dataset_assets.errors import SchemaError, UsageError

DAYS = [datetime.date(2026, 11, 30), datetime.date(2024, 2, 29), datetime.date(1969, 12, 31)]
WAYS = [
    list,
    lambda days: np.array(days, "M8[D]"),
    lambda days: np.array(days, "M8[ns]"),
    lambda days: pa.array(days),
    lambda days: pa.chunked_array([pa.array(days, pa.date64()), pa.array([], pa.date64())]),
    lambda days: [day.isoformat() for day in days],
    lambda days: [datetime.datetime(day.year, day.month, day.day) for day in days],
]


@pytest.mark.parametrize("way", WAYS)
def test_dates_of_every_kind_have_the_same_parts(way: Any) -> None:
    found = Dates(("year", "month", "day", "weekday", "day_of_year")).apply(way(DAYS)).tolist()
    assert found == [[d.year, d.month, d.day, d.weekday(), d.timetuple().tm_yday] for d in DAYS]


@settings(max_examples=60, deadline=None)
@given(st.datetimes(datetime.datetime(1000, 1, 1), datetime.datetime(3000, 1, 1)))
@example(datetime.datetime(1969, 12, 31, 23, 59, 59, 999999))
def test_parts_of_a_time_are_those_of_the_standard_library(time: datetime.datetime) -> None:
    [found] = Dates(("hour", "minute", "second", "days", "hour_sin", "hour_cos")).apply([time])
    days = (time - datetime.datetime(1970, 1, 1)) / datetime.timedelta(days=1)
    angle = 2 * np.pi * time.hour / 24
    expected = [time.hour, time.minute, time.second + time.microsecond / 1e6, days, np.sin(angle), np.cos(angle)]
    np.testing.assert_allclose(found, np.array(expected), rtol=1e-6, atol=1e-6)


def test_a_zone_is_taken_in_utc_and_a_missing_date_is_kept_or_refused() -> None:
    assert Dates(("hour",)).apply(["2026-01-01T01:00:00+02:00"]).tolist() == [[23]]
    assert np.isnan(Dates(("hour",), missing="keep").apply([None, "2026-01-01"])).ravel().tolist() == [True, False]
    for missing in ([None], np.array(["NaT"], "M8[D]"), pa.array([None], pa.date32())):
        with pytest.raises(SchemaError, match="missing='keep'"):
            Dates().apply(missing)


TEXTS = ["2026-01-01T00:30:00+02:00", None, "20260101", "2026-01-01 05:00", "2026-01-01T00:00:00.123456Z"]


@pytest.mark.parametrize(
    "way",
    [
        pa.array,
        lambda texts: pa.array(texts, pa.large_string()),
        lambda texts: pa.array(texts).dictionary_encode(),
        lambda texts: pa.chunked_array([texts[:2], texts[2:]]),
        lambda texts: np.array(texts, object),
    ],
)
def test_texts_of_arrow_are_read_as_those_of_a_list(way: Any) -> None:
    dates = Dates(("year", "hour", "days"), missing="keep")
    np.testing.assert_array_equal(dates.apply(way(TEXTS)), dates.apply(TEXTS))


@pytest.mark.parametrize("nothing", [pandas.NaT, np.datetime64("NaT"), np.datetime64("NaT", "D"), None])
def test_a_missing_date_of_any_kind_is_missing(nothing: Any) -> None:
    found = Dates(("year",), missing="keep").apply([nothing, pandas.Timestamp("2020-01-01")])
    assert np.isnan(found[0, 0]) and found[1, 0] == 2020


FAR = [np.array([300_000 * 366], "M8[D]"), np.array([2**62], "M8[s]"), np.array([-(2**40)], "M8[Y]")]
FAR_OF_ARROW = [pa.array([2**62], pa.timestamp("s")), pa.array([2**30], pa.date32())]


@pytest.mark.parametrize("far", [*FAR, *map(list, FAR), *FAR_OF_ARROW])
def test_a_year_that_microseconds_do_not_reach_is_refused(far: Any) -> None:
    with pytest.raises(SchemaError, match="further from 1970 than microseconds"):
        Dates(("year",)).apply(far)
    assert Dates(("year",)).apply(np.array(["290000", "-290000"], "M8[Y]")).ravel().tolist() == [290_000, -290_000]


WRONG = [["tomorrow"], [3], [b"2026"], np.arange(3), pa.array([1.5]), pa.array([3]), np.zeros((2, 2), "M8[D]")]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_date_is_refused(wrong: Any) -> None:
    with pytest.raises(SchemaError, match="not dates"):
        Dates().apply(wrong)


def test_wrong_parts_name_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'month'|Did you mean month"):
        Dates(("moth",))
    with pytest.raises(UsageError, match="not a list of parts"):
        Dates("year")  # type: ignore[arg-type]
    assert len(NAMES) == 9 + 14


def test_a_view_is_encoded_and_the_encoder_is_saved() -> None:
    view = view_of(day=np.array(DAYS, "M8[D]"), n=np.arange(3))
    fitted = view.fit_encoders({"day": Dates(("year", "weekday"))})
    again = Fitted.from_json(fitted.to_json())
    assert view.encode(again).to_numpy()["day"].tolist() == [[2026, 0], [2024, 3], [1969, 2]]
