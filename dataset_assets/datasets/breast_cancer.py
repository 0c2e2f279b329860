"""Breast cancer Wisconsin (diagnostic): thirty measurements of cell nuclei in 569 biopsies."""

from dataset_assets import Array, Dataset, Split, Table
from dataset_assets.datasets.iris import carried, measured

FEATURES = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave_points",
    "symmetry",
    "fractal_dimension",
)
FIELDS = tuple(f"{statistic}_{feature}" for statistic in ("mean", "error", "worst") for feature in FEATURES)

breast_cancer = Dataset(
    name="org.scikit_learn.breast_cancer",
    summary="Mean, standard error and worst of ten measurements of the cell nuclei in 569 biopsies, and the diagnosis.",
    streams={
        "measurements": Table(dict.fromkeys(FIELDS, "double")),
        "label": Array("uint8", classes=("malignant", "benign")),
    },
    splits={"all": Split(measured, table=carried("data/breast_cancer.csv"), fields=list(FIELDS))},
    sample="measurements",
    target="label",
    license="CC-BY-4.0",  # the license of the UCI repository, the source of the package's table
    citation=(
        "W. N. Street, W. H. Wolberg, O. L. Mangasarian. Nuclear feature extraction for breast tumor diagnosis. "
        "SPIE 1905, 1993."
    ),
    homepage="https://scikit-learn.org/stable/datasets/toy_dataset.html#breast-cancer-wisconsin-diagnostic-dataset",
    tags=("table", "medicine"),
    tasks=("classification",),
)
