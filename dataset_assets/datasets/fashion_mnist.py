"""Fashion-MNIST: 70,000 pictures of clothes."""

from dataset_assets import Array, Dataset, RemoteFile, Split
from dataset_assets.datasets.mnist import digits

MIRRORS = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)


# The digests are from the README of the publisher's repository, zalandoresearch/fashion-mnist.
def file(name: str, digest: str) -> RemoteFile:
    """Return one of the four files."""
    return RemoteFile(name, mirrors=MIRRORS, digest=digest)


fashion_mnist = Dataset(
    name="com.zalando.fashion_mnist",
    summary="70,000 pictures of clothes, each 28 x 28 grey pixels, in the files and sizes of MNIST.",
    streams={
        "image": Array(),
        "label": Array(
            classes=(
                "t-shirt/top",
                "trouser",
                "pullover",
                "dress",
                "coat",
                "sandal",
                "shirt",
                "sneaker",
                "bag",
                "ankle boot",
            )
        ),
    },
    splits={
        "train": Split(
            digits,
            images=file("train-images-idx3-ubyte.gz", "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            labels=file("train-labels-idx1-ubyte.gz", "md5:25c81989df183df01b3e8a0aad5dffbe"),
        ),
        "test": Split(
            digits,
            images=file("t10k-images-idx3-ubyte.gz", "md5:bef4ecab320f06d8554ea6380940ec79"),
            labels=file("t10k-labels-idx1-ubyte.gz", "md5:bb300cfdad3c16e7a12a480ee83cd310"),
        ),
    },
    sample="image",
    target="label",
    license="MIT",
    citation=(
        "H. Xiao, K. Rasul, R. Vollgraf. Fashion-MNIST: a novel image dataset for benchmarking machine learning "
        "algorithms. arXiv:1708.07747, 2017."
    ),
    homepage="https://github.com/zalandoresearch/fashion-mnist",
    # Not tested on the publisher's files. If the splits share pictures, they were published that way.
    checks={"leakage": "warn"},
    tags=("image", "clothes"),
    tasks=("classification",),
)
