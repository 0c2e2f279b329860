"""Iris: four measurements of 150 flowers of three species."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Array, Dataset, RemoteFile, Split, Table
from dataset_assets.decoding import csv_rows
from dataset_assets.errors import DecodeError

FIELDS = ("sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm")


def carried(name: str) -> RemoteFile:
    """Return a file that scikit-learn carries."""
    return RemoteFile(f"package://sklearn/datasets/{name}?pip=scikit-learn")


def measured(table: BinaryIO, fields: list[str]) -> Iterator[dict[str, Any]]:
    """Yield a row's measurements and its label; the file's first line begins with the number of rows."""
    announced, rows = table.readline().split(b",")[0], 0
    for row in csv_rows(table, columns=[*fields, "label"], header=False):
        yield {"measurements": {name: float(row[name]) for name in fields}, "label": int(row["label"])}
        rows += 1
    if announced.strip() != b"%d" % rows:
        raise DecodeError(f"The table has {rows} rows; its first line announces {announced!r}. Retrieve it again.")


iris = Dataset(
    name="org.scikit_learn.iris",
    summary="Lengths and widths of sepals and petals of 150 iris flowers, 50 of each of three species.",
    streams={
        "measurements": Table(dict.fromkeys(FIELDS, "double")),
        "label": Array("uint8", classes=("setosa", "versicolor", "virginica")),
    },
    splits={"all": Split(measured, table=carried("data/iris.csv"), fields=list(FIELDS))},
    sample="measurements",
    target="label",
    license="BSD-3-Clause",  # the license of the package, whose copy follows Fisher's paper, not the UCI repository
    citation="R. A. Fisher. The use of multiple measurements in taxonomic problems. Annals of Eugenics 7, 1936.",
    homepage="https://scikit-learn.org/stable/datasets/toy_dataset.html#iris-plants-dataset",
    tags=("table", "biology"),
    tasks=("classification",),
)
