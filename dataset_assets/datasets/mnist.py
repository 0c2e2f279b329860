"""MNIST: 70,000 handwritten digits."""

from typing import BinaryIO, Iterator

from dataset_assets import Array, Columns, Dataset, RemoteFile, Split
from dataset_assets.decoding import idx

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")


# The digests are those that TensorFlow Datasets publishes for the second mirror (url_infos, mnist/checksums.tsv).
def file(name: str, digest: str) -> RemoteFile:
    """Return one of the four files."""
    return RemoteFile(name, mirrors=MIRRORS, digest=digest)


def digits(images: BinaryIO, labels: BinaryIO) -> Iterator[Columns]:
    """Yield all digits of one pair of IDX files."""
    yield Columns(image=idx(images), label=idx(labels))


mnist = Dataset(
    name="com.lecun.mnist",
    summary="70,000 handwritten digits, each 28 x 28 grey pixels.",
    streams={"image": Array(), "label": Array(classes=tuple("0123456789"))},
    splits={
        "train": Split(
            digits,
            images=file(
                "train-images-idx3-ubyte.gz", "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
            ),
            labels=file(
                "train-labels-idx1-ubyte.gz", "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
            ),
        ),
        "test": Split(
            digits,
            images=file(
                "t10k-images-idx3-ubyte.gz", "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
            ),
            labels=file(
                "t10k-labels-idx1-ubyte.gz", "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
            ),
        ),
    },
    sample="image",
    target="label",
    license="CC-BY-SA-3.0",
    citation=(
        "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner. Gradient-based learning applied to document recognition. "
        "Proceedings of the IEEE 86(11), 1998."
    ),
    homepage="http://yann.lecun.com/exdb/mnist/",
    # Not tested on the publisher's files. If the splits share pictures, they were published that way.
    checks={"leakage": "warn"},
    tags=("image", "digits"),
    tasks=("classification",),
)
