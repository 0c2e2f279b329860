"""Semeion: 1,593 handwritten digits of 16 x 16 black or white pixels."""

from typing import Any, BinaryIO, Iterator

import numpy as np

from dataset_assets import Array, Dataset, RemoteFile, Split
from dataset_assets.errors import DecodeError

# The digest is the one that torchvision publishes for this file (torchvision/datasets/semeion.py).
TABLE = RemoteFile(
    "https://archive.ics.uci.edu/ml/machine-learning-databases/semeion/semeion.data",
    digest="md5:cb545d371d2ce14ec121470795a77432",
)


def scans(table: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a digit per line: 256 pixels, then ten numbers of which the one at its place is 1."""
    for number, line in enumerate(table, 1):
        values = np.array(line.split(), np.float32)
        if len(values):
            if len(values) != 266 or values[256:].sum() != 1:
                raise DecodeError(f"Line {number} is not 256 pixels and a class. Retrieve the file again.")
            yield {"image": values[:256].astype(np.uint8).reshape(16, 16), "label": int(values[256:].argmax())}


semeion = Dataset(
    name="edu.uci.ics.semeion",
    summary="1,593 handwritten digits of about 80 people, 16 x 16 black or white pixels.",
    streams={"image": Array("uint8", (16, 16)), "label": Array("uint8", classes=tuple("0123456789"))},
    splits={"all": Split(scans, table=TABLE)},
    sample="image",
    target="label",
    license="CC-BY-4.0",
    citation="Semeion Research Center of Sciences of Communication, Rome. Semeion Handwritten Digit. UCI Machine "
    "Learning Repository, 1998.",
    homepage="https://archive.ics.uci.edu/dataset/178/semeion+handwritten+digit",
    tags=("image", "digits"),
    tasks=("classification",),
)
