"""Linnerud: exercises and measurements of twenty men."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Dataset, Split, Table
from dataset_assets.datasets.iris import carried
from dataset_assets.decoding import csv_rows
from dataset_assets.errors import DecodeError

EXERCISE = {"chins": "Chins", "situps": "Situps", "jumps": "Jumps"}
BODY = {"weight_pounds": "Weight", "waist_inches": "Waist", "pulse": "Pulse"}


def men(exercise: BinaryIO, body: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a man from the same row of both tables."""
    done, measured = _rows(exercise, EXERCISE), _rows(body, BODY)
    if len(done) != len(measured):
        raise DecodeError(f"The tables have {len(done)} and {len(measured)} rows. Retrieve both files again.")
    for first, second in zip(done, measured):
        yield {"exercise": first, "body": second}


def _rows(table: BinaryIO, columns: dict[str, str]) -> list[dict[str, int]]:
    rows = csv_rows(table, columns=[*columns.values()], delimiter=" ")
    return [{name: int(row[column]) for name, column in columns.items()} for row in rows]


linnerud = Dataset(
    name="org.scikit_learn.linnerud",
    summary="Three exercises of 20 middle-aged men in a fitness club, and their weight, waist and pulse.",
    streams={"exercise": Table(dict.fromkeys(EXERCISE, "int64")), "body": Table(dict.fromkeys(BODY, "int64"))},
    splits={
        "all": Split(
            men,
            exercise=carried("data/linnerud_exercise.csv"),
            body=carried("data/linnerud_physiological.csv"),
        )
    },
    sample="exercise",
    target="body",
    license="BSD-3-Clause",  # the license of the package that has the files
    citation="M. Tenenhaus. La régression PLS: théorie et pratique. Editions Technip, 1998.",
    homepage="https://scikit-learn.org/stable/datasets/toy_dataset.html#linnerrud-dataset",
    tags=("table", "sports"),
    tasks=("regression",),
)
