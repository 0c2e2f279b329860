"""Palmer penguins: sizes of 344 penguins of three species."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Array, Dataset, RemoteFile, Split, Table
from dataset_assets.decoding import csv_rows

SPECIES = ("Adelie", "Chinstrap", "Gentoo")
FIELDS = {
    "island": "string",
    "bill_length_mm": "double",
    "bill_depth_mm": "double",
    "flipper_length_mm": "int64",
    "body_mass_g": "int64",
    "sex": "string",
    "year": "int64",
}
READ = {"string": str, "double": float, "int64": int}


def birds(table: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a row per penguin; what was not measured is None."""
    for row in csv_rows(table):
        found = {name: None if row[name] == "NA" else READ[kind](row[name]) for name, kind in FIELDS.items()}
        yield {"bird": found, "species": SPECIES.index(row["species"])}


penguins = Dataset(
    name="io.github.allisonhorst.penguins",
    summary="Sizes, sex and island of 344 penguins of three species in the Palmer archipelago, 2007 to 2009.",
    streams={"bird": Table(FIELDS), "species": Array("uint8", classes=SPECIES)},
    splits={"all": Split(birds, table=RemoteFile("package://palmerpenguins/data/penguins.csv"))},
    sample="bird",
    target="species",
    license="CC0-1.0",
    citation=(
        "A. M. Horst, A. P. Hill, K. B. Gorman. palmerpenguins: Palmer Archipelago penguin data, 2020. "
        "doi:10.5281/zenodo.3960218"
    ),
    homepage="https://allisonhorst.github.io/palmerpenguins/",
    tags=("table", "biology"),
    tasks=("classification",),
)
