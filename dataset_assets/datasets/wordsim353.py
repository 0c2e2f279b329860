"""WordSimilarity-353: pairs of English words, and how similar people find them."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Array, Dataset, RemoteFile, Split, Text


def pairs(table: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield two words and the mean of their scores from each line that is no comment."""
    for line in table:
        text = line.decode().strip()
        if text and not text.startswith("#"):
            first, second, score = text.split("\t")
            yield {"first": first, "second": second, "score": float(score)}


wordsim353 = Dataset(
    name="il.ac.technion.wordsim353",
    summary="353 pairs of English words, and how related people find them, from 0 to 10.",
    streams={"first": Text(), "second": Text(), "score": Array("float64")},
    splits={"all": Split(pairs, table=RemoteFile("package://gensim/test/test_data/wordsim353.tsv"))},
    target="score",
    license="LGPL-2.1-only",  # the license of the package that has the file; the file itself states none
    citation=(
        "L. Finkelstein, E. Gabrilovich, Y. Matias, E. Rivlin, Z. Solan, G. Wolfman, E. Ruppin. Placing search in "
        "context: the concept revisited. ACM Transactions on Information Systems 20(1), 2002."
    ),
    homepage="https://gabrilovich.com/resources/data/wordsim353/wordsim353.html",
    tags=("text", "words"),
    tasks=("similarity",),
)
