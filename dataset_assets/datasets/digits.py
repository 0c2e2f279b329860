"""The 1,797 digits of 8 x 8 pixels in scikit-learn. This package carries a copy of their file."""

from dataset_assets import Array, Dataset, RemoteFile, Split
from dataset_assets.datasets.optdigits import small_digits

# sklearn/datasets/data/digits.csv.gz of scikit-learn 1.9.1, byte for byte; the digest is that of the file in its wheel.
TABLE = RemoteFile(
    "package://dataset_assets/datasets/data/digits.csv.gz",
    digest="sha256:09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
)

digits = Dataset(
    name="org.scikit_learn.digits",
    summary="1,797 handwritten digits, 8 x 8 grey pixels from 0 to 16: the test split of edu.uci.ics.optdigits.",
    streams={"image": Array("uint8", (8, 8)), "label": Array("uint8", classes=tuple("0123456789"))},
    splits={"all": Split(small_digits, table=TABLE)},
    sample="image",
    target="label",
    license="CC-BY-4.0",  # the license of the UCI repository, the source of the package's table
    citation=(
        "E. Alpaydin, C. Kaynak. Optical Recognition of Handwritten Digits. UCI Machine Learning Repository, 1998."
    ),
    homepage="https://scikit-learn.org/stable/datasets/toy_dataset.html#digits-dataset",
    tags=("image", "digits"),
    tasks=("classification",),
)
