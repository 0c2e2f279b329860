"""AG News: 127,600 news articles on four topics."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Array, Dataset, RemoteFile, Split, Text
from dataset_assets.decoding import csv_rows

FOLDER = "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv/"


def articles(table: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield an article per row; its topic is a number from 1 on."""
    for row in csv_rows(table, columns=["topic", "title", "description"], header=False):
        yield {"title": row["title"], "description": row["description"], "topic": int(row["topic"]) - 1}


# The digests are those that torchtext publishes for these URLs (torchtext/datasets/ag_news.py).
ag_news = Dataset(
    name="it.unipi.di.ag_news",
    summary="127,600 news articles, title and first lines, on four topics.",
    streams={
        "title": Text(),
        "description": Text(),
        "topic": Array("uint8", classes=("World", "Sports", "Business", "Sci/Tech")),
    },
    splits={
        "train": Split(articles, table=RemoteFile(FOLDER + "train.csv", digest="md5:b1a00f826fdfbd249f79597b59e1dc12")),
        "test": Split(articles, table=RemoteFile(FOLDER + "test.csv", digest="md5:d52ea96a97a2d943681189a97654912d")),
    },
    sample="description",
    target="topic",
    license="for research and other non-commercial activity",
    citation=(
        "X. Zhang, J. Zhao, Y. LeCun. Character-level convolutional networks for text classification. Advances in "
        "Neural Information Processing Systems 28, 2015. The corpus is A. Gulli's."
    ),
    homepage="http://www.di.unipi.it/~gulli/AG_corpus_of_news_articles.html",
    # Not tested on the publisher's files. Agencies send the same lines more than once, and the split is random.
    checks={"leakage": "warn"},
    tags=("text", "news"),
    tasks=("classification",),
)
