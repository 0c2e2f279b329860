"""Six birds that came to a birdhouse, in a table of a SQLite database."""

from pathlib import Path
from typing import Any, BinaryIO, Iterator

from birdhouse.json_lines import Json
from dataset_assets import Array, Dataset, RemoteFile, Split
from dataset_assets.decoding import decoder

SPECIES = ("great tit", "house sparrow", "robin")
TABLE = RemoteFile(f"sqlitetable://{Path(__file__).with_name('birds.db')}?table=birds", identifier="birds_csv")


def visits(table: BinaryIO, years: list[int]) -> Iterator[dict[str, Any]]:
    """Yield the birds that came in some years."""
    for row in decoder("typed_rows")(table):
        if row["year"] in years:
            seen = {"grams": row["grams"], "when": [row["year"], row["month"]], "note": row["note"]}
            yield {"bird": seen, "species": SPECIES.index(row["species"])}


birds = Dataset(
    name="org.example.birdhouse.birds",
    summary="Six visits of three species of birds to one birdhouse.",
    streams={"bird": Json(), "species": Array("uint8", classes=SPECIES)},
    splits={"train": Split(visits, table=TABLE, years=[2021, 2022]), "test": Split(visits, table=TABLE, years=[2023])},
    sample="bird",
    target="species",
    license="CC0-1.0",
    citation="Nobody. Birds that were made up. 2023.",
    homepage="https://example.org/birdhouse",
    tags=("table", "biology"),
    tasks=("classification",),
)
