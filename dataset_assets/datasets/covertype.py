"""Covertype: the trees on 581,012 patches of forest."""

from typing import Any, BinaryIO, Iterator

import numpy as np
from numpy.typing import NDArray

from dataset_assets import Array, Columns, Dataset, RemoteFile, Split
from dataset_assets.decoding import csv_blocks
from dataset_assets.errors import DecodeError

# The digest is the one that scikit-learn publishes for this URL (datasets/_covtype.py).
TABLE = RemoteFile(
    "covtype.data.gz",
    mirrors=("https://ndownloader.figshare.com/files/5976039",),
    digest="sha256:614360d0257557dd1792834a85a1cdebfadc3c4f30b011d56afee7ffb5b15771",
)
# According to the file's description, the first 11,340 rows are for training and the next 3,780 for validation.
VALIDATION, TEST = 11_340, 15_120
STREAMS = {
    "terrain": Array("int16", (10,)),
    "wilderness": Array("uint8", classes=("Rawah", "Neota", "Comanche Peak", "Cache la Poudre")),
    "soil": Array("uint8", classes=tuple(f"soil type {number}" for number in range(1, 41))),
    "cover": Array(
        "uint8",
        classes=(
            "spruce/fir", "lodgepole pine", "ponderosa pine", "cottonwood/willow", "aspen", "Douglas-fir", "krummholz",
        ),
    ),
}  # fmt: skip


def patches(table: BinaryIO, first: int, last: int | None) -> Iterator[Columns]:
    """Yield the patches from row `first` to before row `last`; the file is read to its end."""
    at = 0
    for block in csv_blocks(table, header=False, types="int16", rows=100_000):
        rows = block.to_tensor(row_major=True).to_numpy()
        part = rows[max(first - at, 0) : None if last is None else max(last - at, 0)]
        at += len(rows)
        area, soil = _chosen(part[:, 10:14]), _chosen(part[:, 14:54])
        yield Columns(terrain=part[:, :10], wilderness=area, soil=soil, cover=part[:, 54] - 1)


def _chosen(columns: NDArray[Any]) -> NDArray[np.uint8]:
    """Return which of the columns is 1 in each row; the others are 0."""
    if not np.isin(columns, (0, 1)).all() or (columns.sum(1) != 1).any():
        raise DecodeError("A row has not just one 1 among zeros where it names its wilderness or its soil.")
    chosen: NDArray[np.uint8] = columns.argmax(1).astype(np.uint8)
    return chosen


covertype = Dataset(
    name="edu.uci.ics.covertype",
    summary="581,012 patches of forest in Colorado, 30 x 30 m each: terrain, soil, and the trees that cover them.",
    streams=STREAMS,
    splits={
        "train": Split(patches, table=TABLE, first=0, last=VALIDATION),
        "validation": Split(patches, table=TABLE, first=VALIDATION, last=TEST),
        "test": Split(patches, table=TABLE, first=TEST, last=None),
    },
    sample="terrain",
    target="cover",
    license="CC-BY-4.0",
    citation="J. A. Blackard, D. J. Dean. Comparative accuracies of artificial neural networks and discriminant "
    "analysis in predicting forest cover types. Computers and Electronics in Agriculture 24(3), 1999.",
    homepage="https://archive.ics.uci.edu/dataset/31/covertype",
    # Different patches may have the same ten rounded measurements.
    checks={"leakage": "warn"},
    tags=("table", "forest"),
    tasks=("classification",),
)
