"""Japanese vowels: two vowels by nine speakers, as twelve coefficients a frame."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Array, Dataset, Ragged, Split
from dataset_assets.datasets.italy_power_demand import WHEEL, series

SPEAKERS = tuple("123456789")


def vowels(wheel: BinaryIO, part: str, speakers: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the coefficients (frames, 12) of a recording, and who speaks."""
    return series(wheel, "JapaneseVowels", part, speakers)


japanese_vowels = Dataset(
    name="edu.uci.ics.japanese_vowels",
    summary="640 recordings of the vowels 'ae' by nine men, 12 coefficients of linear prediction a frame.",
    streams={"series": Ragged("float64", (12,)), "label": Array("uint8", classes=SPEAKERS)},
    splits={part.lower(): Split(vowels, wheel=WHEEL, part=part, speakers=list(SPEAKERS)) for part in ("TRAIN", "TEST")},
    sample="series",
    target="label",
    license="CC-BY-4.0",  # the license of the UCI repository, the source of the package's files
    citation=(
        "M. Kudo, J. Toyama, M. Shimbo. Multidimensional curve classification using passing-through regions. Pattern "
        "Recognition Letters 20, 1999. Carried by aeon 1.6.0."
    ),
    homepage="https://archive.ics.uci.edu/dataset/128/japanese+vowels",
    tags=("time-series", "audio", "speech"),
    tasks=("classification", "speaker recognition"),
)
