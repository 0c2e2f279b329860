"""QMNIST: a reconstruction of MNIST, with the 50,000 lost test digits and the writer of each digit."""

from typing import BinaryIO, Iterator

import numpy as np

from dataset_assets import Array, Columns, Dataset, RemoteFile, Split
from dataset_assets.decoding import idx

FOLDER = "https://raw.githubusercontent.com/facebookresearch/qmnist/master/"


# The digests are those that torchvision publishes for these URLs (torchvision/datasets/mnist.py).
def file(name: str, digest: str) -> RemoteFile:
    """Return one of the four files."""
    return RemoteFile(FOLDER + name, digest=digest)


def written(images: BinaryIO, labels: BinaryIO) -> Iterator[Columns]:
    """Yield all digits; a row of the labels is class, series and writer, and what else NIST has of a digit."""
    rows = idx(labels)
    yield Columns(image=idx(images), label=rows[:, 0].astype(np.uint8), writer=rows[:, 2], series=rows[:, 1])


qmnist = Dataset(
    name="io.github.facebookresearch.qmnist",
    summary="120,000 handwritten digits, 28 x 28 grey pixels, and who wrote them; 70,000 are those of MNIST.",
    streams={
        "image": Array("uint8", (28, 28)),
        "label": Array("uint8", classes=tuple("0123456789")),
        "writer": Array("int32"),
        "series": Array("int32"),
    },
    splits={
        "train": Split(
            written,
            images=file("qmnist-train-images-idx3-ubyte.gz", "md5:ed72d4157d28c017586c42bc6afe6370"),
            labels=file("qmnist-train-labels-idx2-int.gz", "md5:0058f8dd561b90ffdd0f734c6a30e5e4"),
        ),
        "test": Split(
            written,
            images=file("qmnist-test-images-idx3-ubyte.gz", "md5:1394631089c404de565df7b7aeaf9412"),
            labels=file("qmnist-test-labels-idx2-int.gz", "md5:5b5b05890a5e13444e108efe57b788aa"),
        ),
    },
    sample="image",
    target="label",
    roles={"group": "writer"},
    license="BSD-3-Clause",
    citation="C. Yadav, L. Bottou. Cold case: the lost MNIST digits. NeurIPS, 2019. arXiv:1905.10498",
    homepage="https://github.com/facebookresearch/qmnist",
    tags=("image", "digits"),
    tasks=("classification",),
)
