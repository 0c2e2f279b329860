"""Wine quality: eleven measurements of 6,497 Portuguese wines, and their scores by tasters."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Array, Dataset, RemoteFile, Split, Table
from dataset_assets.decoding import csv_rows

FOLDER = "https://archive.ics.uci.edu/ml/machine-learning-databases/wine-quality/"
COLUMNS = (
    "fixed acidity",
    "volatile acidity",
    "citric acid",
    "residual sugar",
    "chlorides",
    "free sulfur dioxide",
    "total sulfur dioxide",
    "density",
    "pH",
    "sulphates",
    "alcohol",
)


def wines(table: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a wine per row; the columns are found by their names."""
    for row in csv_rows(table, columns=[*COLUMNS, "quality"], delimiter=";"):
        measurements = {_field(name): float(row[name]) for name in COLUMNS}
        yield {"measurements": measurements, "quality": int(row["quality"])}


def _field(column: str) -> str:
    return column.replace(" ", "_").lower()


# No digest of these files is published; the first retrieval records them.
wine_quality = Dataset(
    name="edu.uci.ics.wine_quality",
    summary="Measurements of 1,599 red and 4,898 white wines of northern Portugal, and their quality from 0 to 10.",
    streams={"measurements": Table({_field(name): "double" for name in COLUMNS}), "quality": Array("uint8")},
    splits={
        "red": Split(wines, table=RemoteFile(FOLDER + "winequality-red.csv")),
        "white": Split(wines, table=RemoteFile(FOLDER + "winequality-white.csv")),
    },
    sample="measurements",
    target="quality",
    license="CC-BY-4.0",
    citation=(
        "P. Cortez, A. Cerdeira, F. Almeida, T. Matos, J. Reis. Modeling wine preferences by data mining from "
        "physicochemical properties. Decision Support Systems 47(4), 2009."
    ),
    homepage="https://archive.ics.uci.edu/dataset/186/wine+quality",
    tags=("table", "chemistry"),
    tasks=("regression", "classification"),
)
