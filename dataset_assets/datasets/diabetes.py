"""Diabetes: ten measurements of 442 patients, and the progression of the disease."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Array, Dataset, Split, Table
from dataset_assets.datasets.iris import carried
from dataset_assets.decoding import csv_rows

FIELDS = {
    "age": "int64",
    "sex": "int64",
    "body_mass_index": "double",
    "blood_pressure": "double",
    "total_cholesterol": "double",
    "low_density_lipoproteins": "double",
    "high_density_lipoproteins": "double",
    "cholesterol_ratio": "double",
    "log_triglycerides": "double",
    "blood_sugar": "double",
}
READ = {"int64": int, "double": float}


def patients(table: BinaryIO, targets: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a patient from each pair of rows; the two files have as many."""
    rows = csv_rows(table, columns=list(FIELDS), delimiter=" ", header=False)
    later = csv_rows(targets, columns=["progression"], header=False)
    for row, target in zip(rows, later, strict=True):
        patient = {name: READ[kind](row[name]) for name, kind in FIELDS.items()}
        yield {"patient": patient, "progression": float(target["progression"])}


diabetes = Dataset(
    name="org.scikit_learn.diabetes",
    summary="Ten measurements of 442 diabetes patients, not scaled, and the progression of the disease a year later.",
    streams={"patient": Table(FIELDS), "progression": Array("float64")},
    splits={
        "all": Split(
            patients, table=carried("data/diabetes_data_raw.csv.gz"), targets=carried("data/diabetes_target.csv.gz")
        )
    },
    sample="patient",
    target="progression",
    license="BSD-3-Clause",  # the license of the package that has the files; their authors state none
    citation="B. Efron, T. Hastie, I. Johnstone, R. Tibshirani. Least angle regression. Annals of Statistics 32, 2004.",
    homepage="https://scikit-learn.org/stable/datasets/toy_dataset.html#diabetes-dataset",
    tags=("table", "medicine"),
    tasks=("regression",),
)
