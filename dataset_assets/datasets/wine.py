"""Wine: thirteen measurements of 178 wines from three growers."""

from dataset_assets import Array, Dataset, Split, Table
from dataset_assets.datasets.iris import carried, measured

FIELDS = (
    "alcohol",
    "malic_acid",
    "ash",
    "alcalinity_of_ash",
    "magnesium",
    "total_phenols",
    "flavanoids",
    "nonflavanoid_phenols",
    "proanthocyanins",
    "color_intensity",
    "hue",
    "od280_od315_of_diluted_wines",
    "proline",
)

wine = Dataset(
    name="org.scikit_learn.wine",
    summary="A chemical analysis of 178 wines of one region, from three growers.",
    streams={
        "measurements": Table(dict.fromkeys(FIELDS, "double")),
        "label": Array("uint8", classes=("class_0", "class_1", "class_2")),
    },
    splits={"all": Split(measured, table=carried("data/wine_data.csv"), fields=list(FIELDS))},
    sample="measurements",
    target="label",
    license="CC-BY-4.0",  # that of the UCI repository, whose table the package copied
    citation="S. Aeberhard, M. Forina. Wine. UCI Machine Learning Repository, 1991.",
    homepage="https://scikit-learn.org/stable/datasets/toy_dataset.html#wine-recognition-dataset",
    tags=("table", "chemistry"),
    tasks=("classification",),
)
