"""Italy power demand: days of 24 hours, to be told apart by the half of the year."""

from typing import Any, BinaryIO, Iterator

import numpy as np

from dataset_assets import Array, Dataset, Split
from dataset_assets.datasets.published import member, published
from dataset_assets.errors import DecodeError

# PyPI states the digest: https://pypi.org/project/aeon/1.6.0/#files
WHEEL = published(
    "7d/49/034d8d142106e035fce019d8ee6f04d3ac8842490cd33f811d4df8e15da3/aeon-1.6.0-py3-none-any.whl",
    "d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409",
)


def series(wheel: BinaryIO, problem: str, part: str, classes: list[str]) -> Iterator[dict[str, Any]]:
    """Yield a series (times, dimensions) and its label from each line below `@data` of a file in the format .ts.

    The dimensions are separated by colons, the values of one by commas; the label is last.
    """
    begun = False
    for line in member(wheel, f"aeon/datasets/data/{problem}/{problem}_{part}.ts"):
        text = line.decode().strip()
        if begun and text:
            *dimensions, label = text.split(":")
            values = [np.array(dimension.split(","), np.float64) for dimension in dimensions]
            yield {"series": np.stack(values, 1), "label": classes.index(label)}
        begun = begun or text.lower() == "@data"
    if not begun:
        raise DecodeError(f"{problem}_{part}.ts has no line '@data'. Check what its source is.")


def days(wheel: BinaryIO, part: str, classes: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the demand of each hour of a day, scaled to mean 0 and deviation 1."""
    for day in series(wheel, "ItalyPowerDemand", part, classes):
        yield {**day, "series": day["series"][:, 0]}


italy_power_demand = Dataset(
    name="com.timeseriesclassification.italy_power_demand",
    summary="Power demand of Italy by the hour on 1,096 days, scaled; a label tells October to March from the rest.",
    streams={"series": Array("float64", (24,)), "label": Array("uint8", classes=("1", "2"))},
    splits={part.lower(): Split(days, wheel=WHEEL, part=part, classes=["1", "2"]) for part in ("TRAIN", "TEST")},
    sample="series",
    target="label",
    license="BSD-3-Clause",  # the license of the package that has the files; the archive of the series states none
    citation=(
        "E. Keogh, L. Wei, X. Xi, S. Lonardi, J. Shieh, S. Sirowy. Intelligent icons: integrating lite-weight data "
        "mining and visualization into GUI operating systems. ICDM, 2006. Carried by aeon 1.6.0."
    ),
    homepage="https://www.timeseriesclassification.com/description.php?Dataset=ItalyPowerDemand",
    tags=("time-series", "energy"),
    tasks=("classification", "time series classification"),
)
