"""Tree crowns: three pictures of forests from an aeroplane, with a box around each tree."""

from typing import Any, BinaryIO, Iterator

import numpy as np

from dataset_assets import Dataset, Image, Ragged, Split, Text
from dataset_assets.datasets.published import member, published
from dataset_assets.decoding import csv_rows
from dataset_assets.errors import DecodeError

KINDS = ("Tree", "Alive", "Dead")
"""What is in a box; the stream `kinds` holds their indices. A `Tree` may be alive or dead."""
CORNERS = ("xmin", "ymin", "xmax", "ymax")
PICTURES = {
    "OSBS_029.png": "testfile_deepforest.csv",
    "SOAP_061.png": "testfile_multi.csv",
    "2019_YELL_2_541000_4977000_image_crop.png": "example.csv",
}
"""The picture -> the table of its boxes."""


def forests(wheel: BinaryIO, pictures: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield each picture as the PNG file that it is, with the corners of its boxes and what is in them."""
    for name, table in pictures.items():
        rows = list(csv_rows(member(wheel, f"deepforest/data/{table}")))
        if {row["image_path"] for row in rows} != {name}:
            raise DecodeError(f"{table} has boxes of other pictures than {name}. Check what its source is.")
        yield {
            "picture": member(wheel, f"deepforest/data/{name}").read(),
            "boxes": np.array([[int(row[corner]) for corner in CORNERS] for row in rows], np.int32),
            "kinds": np.array([KINDS.index(row["label"]) for row in rows], np.uint8),
            "name": name,
        }


tree_crowns = Dataset(
    name="io.github.weecology.tree_crowns",
    summary="Three aerial pictures of forests, and 177 boxes around trees as xmin, ymin, xmax, ymax in pixels.",
    streams={"picture": Image("RGB"), "boxes": Ragged("int32", (4,)), "kinds": Ragged("uint8"), "name": Text()},
    splits={
        "all": Split(
            forests,
            # PyPI states the digest: https://pypi.org/project/deepforest/2.1.0/#files
            wheel=published(
                "b7/a8/67e66685c81ec070372db546f933312c6d7401f845e200e5d900107ff51e/deepforest-2.1.0-py3-none-any.whl",
                "8c2798d8e9be7f0004b194fe207b76c1d9fff6e711b3db67b9508dcd5d00ae54",
            ),
            pictures=PICTURES,
        )
    },
    sample="picture",
    target="boxes",
    tag="name",
    roles={"kinds": "kinds"},
    license="MIT",  # the license of the package that has the files
    citation=(
        "B. G. Weinstein, S. Marconi, M. Aubry-Kientz, G. Vincent, H. Senyondo, E. P. White. DeepForest: a Python "
        "package for RGB deep learning tree crown delineation. Methods in Ecology and Evolution 11, 2020. Pictures by "
        "the National Ecological Observatory Network. Carried by deepforest 2.1.0."
    ),
    homepage="https://deepforest.readthedocs.io/",
    tags=("image", "photograph", "boxes", "forest"),
    tasks=("detection",),
)
