"""CIFAR-10: 60,000 small colour photographs of ten kinds of things."""

from typing import BinaryIO, Iterator

import numpy as np

from dataset_assets import Array, Columns, Dataset, RemoteFile, Split
from dataset_assets.decoding import tar_members
from dataset_assets.errors import DecodeError

# The digest is from the publisher's homepage; torchvision's is of a different archive.
ARCHIVE = RemoteFile(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", digest="md5:c32a1d4ab5d03f1284b67883e8d87530"
)
PIXELS = 3 * 32 * 32


def photographs(archive: BinaryIO, batches: str) -> Iterator[Columns]:
    """Yield the photographs of each batch, the first batch first; the archive has them in another order.

    A row of a batch is a label, then the red, the green and the blue values.
    """
    for batch in sorted(tar_members(archive, f"cifar-10-batches-bin/{batches}.bin"), key=lambda member: member.name):
        values = np.frombuffer(batch.getbuffer(), np.uint8)
        if len(values) % (1 + PIXELS):
            raise DecodeError(f"{batch.name} has {len(values)} bytes, not so many times {1 + PIXELS}. Check the file.")
        rows = values.reshape(-1, 1 + PIXELS)
        yield Columns(image=rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), label=rows[:, 0])


cifar10 = Dataset(
    name="edu.toronto.cs.cifar10",
    summary="60,000 photographs of ten kinds of things, 32 x 32 pixels in colour.",
    streams={
        "image": Array("uint8", (32, 32, 3)),
        "label": Array(
            "uint8",
            classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        ),
    },
    splits={
        "train": Split(photographs, archive=ARCHIVE, batches="data_batch_*"),
        "test": Split(photographs, archive=ARCHIVE, batches="test_batch"),
    },
    sample="image",
    target="label",
    license="stated by nobody; the authors ask to be cited",
    citation="A. Krizhevsky. Learning multiple layers of features from tiny images. University of Toronto, 2009.",
    homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
    # Not tested on the publisher's files. The splits are known to share near copies, and may share equal ones.
    checks={"leakage": "warn"},
    tags=("image", "photograph"),
    tasks=("classification",),
)
