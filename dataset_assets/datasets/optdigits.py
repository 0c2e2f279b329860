"""Optical recognition of handwritten digits: 5,620 digits of 8 x 8 grey pixels."""

from typing import BinaryIO, Iterator

from dataset_assets import Array, Columns, Dataset, RemoteFile, Split
from dataset_assets.decoding import csv_blocks

FOLDER = "https://archive.ics.uci.edu/ml/machine-learning-databases/optdigits/"


def small_digits(table: BinaryIO) -> Iterator[Columns]:
    """Yield the digits of a table of 64 pixels, from 0 to 16, and a label in each row."""
    for block in csv_blocks(table, header=False, types="uint8", rows=1000):
        rows = block.to_tensor(row_major=True).to_numpy()
        yield Columns(image=rows[:, :-1].reshape(-1, 8, 8), label=rows[:, -1])


# No digest of these files is published; the first retrieval records them.
optdigits = Dataset(
    name="edu.uci.ics.optdigits",
    summary="5,620 handwritten digits of 43 people, 8 x 8 grey pixels from 0 to 16; those for testing by other people.",
    streams={"image": Array("uint8", (8, 8)), "label": Array("uint8", classes=tuple("0123456789"))},
    splits={
        "train": Split(small_digits, table=RemoteFile(FOLDER + "optdigits.tra")),
        "test": Split(small_digits, table=RemoteFile(FOLDER + "optdigits.tes")),
    },
    sample="image",
    target="label",
    license="CC-BY-4.0",
    citation=(
        "E. Alpaydin, C. Kaynak. Optical Recognition of Handwritten Digits. UCI Machine Learning Repository, 1998."
    ),
    homepage="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
    tags=("image", "digits"),
    tasks=("classification",),
)
