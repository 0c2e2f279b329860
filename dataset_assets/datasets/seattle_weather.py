"""Seattle weather: four years of days, 2012 to 2015."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Array, Dataset, Split, Table, Text
from dataset_assets.datasets.published import member, published
from dataset_assets.decoding import csv_rows

FIELDS = {
    "precipitation_mm": "precipitation",
    "most_celsius": "temp_max",
    "least_celsius": "temp_min",
    "wind_metres_a_second": "wind",
}
WEATHER = ("drizzle", "fog", "rain", "snow", "sun")


def days(wheel: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a day per row, in the order of time."""
    for row in csv_rows(member(wheel, "vega_datasets/_data/seattle-weather.csv")):
        measured = {name: float(row[column]) for name, column in FIELDS.items()}
        yield {"date": row["date"].replace("/", "-"), "day": measured, "weather": WEATHER.index(row["weather"])}


seattle_weather = Dataset(
    name="gov.noaa.seattle_weather",
    summary="Rain, temperatures, wind and weather of each of the 1,461 days of 2012 to 2015 in Seattle.",
    streams={
        "date": Text(),
        "day": Table(dict.fromkeys(FIELDS, "double")),
        "weather": Array("uint8", classes=WEATHER),
    },
    splits={
        "all": Split(
            days,
            # PyPI states the digest: https://pypi.org/project/vega-datasets/0.9.0/#files
            wheel=published(
                "e6/9f/ca52771fe972e0dcc5167fedb609940e01516066938ff2ee28b273ae4f29/"
                "vega_datasets-0.9.0-py3-none-any.whl",
                "3d7c63917be6ca9b154b565f4779a31fedce57b01b5b9d99d8a34a7608062a1d",
            ),
        )
    },
    sample="day",
    target="weather",
    tag="date",
    license="public domain",  # as the package says of this file
    citation="National Weather Service, NOAA. Days of Seattle. Carried by vega_datasets 0.9.0.",
    homepage="https://github.com/vega/vega-datasets",
    tags=("table", "time-series", "climate"),
    tasks=("forecasting", "classification"),
)
