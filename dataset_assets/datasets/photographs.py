"""Two photographs in scikit-learn: a temple in China, and a flower."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Dataset, Image, Split, Text
from dataset_assets.datasets.iris import carried

# The credits are from the README beside the files.
CREDITS = {
    "china": "https://www.flickr.com/photos/danielbuechele/6061409035/",
    "flower": "https://www.flickr.com/photos/vultilion/6056698931/",
}


def pictures(credits: dict[str, str], **files: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield each picture as the JPEG file that it is."""
    for name, file in files.items():
        yield {"picture": file.read(), "credit": credits[name]}


photographs = Dataset(
    name="org.scikit_learn.photographs",
    summary="Two photographs of 427 x 640 pixels, as JPEG files.",
    streams={"picture": Image("RGB", (427, 640)), "credit": Text()},
    splits={
        "all": Split(pictures, credits=CREDITS, china=carried("images/china.jpg"), flower=carried("images/flower.jpg"))
    },
    sample="picture",
    tag="credit",
    license="CC-BY-2.0",
    citation="F. Pedregosa et al. Scikit-learn: machine learning in Python. JMLR 12, 2011.",
    homepage="https://scikit-learn.org/stable/datasets/loading_other_datasets.html#sample-images",
    tags=("image", "photograph"),
    tasks=("compression",),
)
