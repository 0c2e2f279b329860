"""Rossi: 432 people, watched for a year after their release from prison."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Array, Dataset, Split, Table
from dataset_assets.datasets.published import member, published
from dataset_assets.decoding import csv_rows

FIELDS = {
    "financial_aid": "fin",
    "age": "age",
    "race": "race",
    "work_experience": "wexp",
    "married": "mar",
    "parole": "paro",
    "convictions": "prio",
}


def people(wheel: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a person per row: the week of the arrest, or 52 without one."""
    for row in csv_rows(member(wheel, "lifelines/datasets/rossi.csv")):
        person = {name: int(row[column]) for name, column in FIELDS.items()}
        yield {"person": person, "week": int(row["week"]), "arrested": int(row["arrest"])}


rossi = Dataset(
    name="io.github.camdavidsonpilon.rossi",
    summary="432 people released from prisons of Maryland in the 1970s, and in which week of a year who was arrested.",
    streams={
        "person": Table(dict.fromkeys(FIELDS, "int64")),
        "week": Array("uint8"),
        "arrested": Array("uint8", classes=("no", "yes")),
    },
    splits={
        "all": Split(
            people,
            # PyPI states the digest: https://pypi.org/project/lifelines/0.30.3/#files
            wheel=published(
                "8a/fb/5ed80a8932630d4ae33af186a87008c9b48f02bc515380acc1a4b1fec162/lifelines-0.30.3-py3-none-any.whl",
                "44802480a28d6cb836c7fea4a54ec0ba220eb31c6d7444589637a8bd66066e8c",
            ),
        )
    },
    sample="person",
    target="arrested",
    roles={"time": "week"},
    license="MIT",  # the license of the package that has the file
    citation=(
        "P. H. Rossi, R. A. Berk, K. J. Lenihan. Money, work, and crime: some experimental results. Academic Press, "
        "1980. Carried by lifelines 0.30.3."
    ),
    homepage="https://lifelines.readthedocs.io/en/latest/lifelines.datasets.html",
    tags=("table", "sociology"),
    tasks=("survival analysis", "classification"),
)
