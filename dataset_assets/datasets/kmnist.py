"""Kuzushiji-MNIST: 70,000 cursive Japanese characters."""

from dataset_assets import Array, Dataset, RemoteFile, Split
from dataset_assets.datasets.mnist import digits

FOLDER = "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"


# The digests are those that TensorFlow Datasets publishes for these URLs (url_checksums/kmnist.txt).
def file(name: str, digest: str) -> RemoteFile:
    """Return one of the four files."""
    return RemoteFile(FOLDER + name, digest=digest)


kmnist = Dataset(
    name="jp.ac.rois.codh.kmnist",
    summary="70,000 cursive Japanese characters of ten kinds, 28 x 28 grey pixels, in the files and sizes of MNIST.",
    streams={
        "image": Array(),
        "label": Array(classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")),
    },
    splits={
        "train": Split(
            digits,
            images=file(
                "train-images-idx3-ubyte.gz", "sha256:51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"
            ),
            labels=file(
                "train-labels-idx1-ubyte.gz", "sha256:e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"
            ),
        ),
        "test": Split(
            digits,
            images=file(
                "t10k-images-idx3-ubyte.gz", "sha256:edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"
            ),
            labels=file(
                "t10k-labels-idx1-ubyte.gz", "sha256:20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"
            ),
        ),
    },
    sample="image",
    target="label",
    license="CC-BY-SA-4.0",
    citation=(
        "T. Clanuwat, M. Bober-Irizar, A. Kitamoto, A. Lamb, K. Yamamoto, D. Ha. Deep learning for classical Japanese "
        "literature. arXiv:1812.01718, 2018. KMNIST Dataset (created by CODH), doi:10.20676/00000341"
    ),
    homepage="https://github.com/rois-codh/kmnist",
    # Not tested on the publisher's files. If the splits share pictures, they were published that way.
    checks={"leakage": "warn"},
    tags=("image", "characters"),
    tasks=("classification",),
)
