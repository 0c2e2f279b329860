"""Auto MPG: the fuel consumption of 398 cars of 1970 to 1982."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Array, Dataset, RemoteFile, Split, Table

FIELDS = {
    "cylinders": "int64",
    "displacement": "double",
    "horsepower": "double",
    "weight": "double",
    "acceleration": "double",
    "model_year": "int64",
    "origin": "string",
    "name": "string",
}
ORIGINS = {"1": "USA", "2": "Europe", "3": "Japan"}


def cars(table: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a car per line: numbers in columns, a tab, and the quoted name; what is not known is None."""
    for line in table:
        if not line.strip():
            continue
        numbers, name = line.decode().strip().split("\t")
        mpg, cylinders, displacement, horsepower, weight, acceleration, year, origin = numbers.split()
        car = {
            "cylinders": int(cylinders),
            "displacement": float(displacement),
            "horsepower": None if horsepower == "?" else float(horsepower),
            "weight": float(weight),
            "acceleration": float(acceleration),
            "model_year": 1900 + int(year),
            "origin": ORIGINS[origin],
            "name": name.strip('"'),
        }
        yield {"car": car, "mpg": float(mpg)}


# No digest of this file is published; the first retrieval records one.
auto_mpg = Dataset(
    name="edu.uci.ics.auto_mpg",
    summary="398 cars of the model years 1970 to 1982, and the miles that they go on a gallon in the city.",
    streams={"car": Table(FIELDS), "mpg": Array("float64")},
    splits={
        "all": Split(
            cars,
            table=RemoteFile("https://archive.ics.uci.edu/ml/machine-learning-databases/auto-mpg/auto-mpg.data"),
        )
    },
    sample="car",
    target="mpg",
    license="CC-BY-4.0",
    citation=(
        "R. Quinlan. Combining instance-based and model-based learning. Proceedings of the Tenth International "
        "Conference of Machine Learning, 1993."
    ),
    homepage="https://archive.ics.uci.edu/dataset/9/auto+mpg",
    tags=("table", "cars"),
    tasks=("regression",),
)
