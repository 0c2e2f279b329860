"""Large Movie Review Dataset: 50,000 film reviews from IMDb, positive or negative."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Array, Dataset, RemoteFile, Split, Text
from dataset_assets.decoding import tar_members

OPINIONS = ("neg", "pos")

# The digest is the one that TensorFlow Datasets publishes for this URL (url_checksums/imdb_reviews.txt).
ARCHIVE = RemoteFile(
    "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
    digest="sha256:c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
)


def reviews(archive: BinaryIO, folder: str) -> Iterator[dict[str, Any]]:
    """Yield a review per file, in the archive's order; its path says its opinion, its number and its stars."""
    for review in tar_members(archive, f"aclImdb/{folder}/*/*_*.txt"):
        *_, opinion, file = review.name.split("/")
        if opinion in OPINIONS:
            number, stars = file.removesuffix(".txt").split("_")
            yield {
                "text": review.read().decode(),
                "opinion": OPINIONS.index(opinion),
                "stars": int(stars),
                "id": f"{folder}/{opinion}/{number}",
            }


imdb = Dataset(
    name="edu.stanford.ai.imdb",
    summary="50,000 film reviews from IMDb, half for training, half for testing; half like the film, half do not.",
    streams={
        "text": Text(),
        "opinion": Array("uint8", classes=OPINIONS),
        "stars": Array("uint8"),
        "id": Text(),
    },
    splits={
        "train": Split(reviews, archive=ARCHIVE, folder="train"),
        "test": Split(reviews, archive=ARCHIVE, folder="test"),
    },
    sample="text",
    target="opinion",
    tag="id",
    license="stated by nobody; the authors ask to be cited",
    citation=(
        "A. L. Maas, R. E. Daly, P. T. Pham, D. Huang, A. Y. Ng, C. Potts. Learning word vectors for sentiment "
        "analysis. ACL, 2011."
    ),
    homepage="https://ai.stanford.edu/~amaas/data/sentiment/",
    # The splits share no film, but a few short reviews of different films are the same.
    checks={"leakage": "warn"},
    tags=("text", "films"),
    tasks=("classification", "regression"),
)
