"""Word analogies: Athens is to Greece as Baghdad is to Iraq."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Array, Dataset, RemoteFile, Split, Text
from dataset_assets.errors import DecodeError

KINDS = (
    "capital-common-countries", "capital-world", "currency", "city-in-state", "family", "gram1-adjective-to-adverb",
    "gram2-opposite", "gram3-comparative", "gram4-superlative", "gram5-present-participle",
    "gram6-nationality-adjective", "gram7-past-tense", "gram8-plural", "gram9-plural-verbs",
)  # fmt: skip
WORDS = ("first", "second", "third", "fourth")


def analogies(table: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield four words from each line; a line that begins with a colon names the kind of those after it."""
    kind = -1
    for number, line in enumerate(table, 1):
        words = line.decode().split()
        if words[:1] == [":"]:
            kind = KINDS.index(" ".join(words[1:]))
        elif words:
            if kind < 0 or len(words) != len(WORDS):
                raise DecodeError(
                    f"Line {number} has {len(words)} words: {words!r}. Expected 4, below a line ': kind'."
                )
            yield {**dict(zip(WORDS, words)), "kind": kind}


word_analogies = Dataset(
    name="com.google.word_analogies",
    summary="19,544 questions of 14 kinds: the second word is to the first as the fourth is to the third.",
    streams={**{word: Text() for word in WORDS}, "kind": Array("uint8", classes=KINDS)},
    splits={"all": Split(analogies, table=RemoteFile("package://gensim/test/test_data/questions-words.txt"))},
    sample="third",
    target="fourth",
    roles={"from": "first", "to": "second"},
    license="Apache-2.0",  # the license of word2vec, which the questions were published with
    citation=(
        "T. Mikolov, K. Chen, G. Corrado, J. Dean. Efficient estimation of word representations in vector space. 2013. "
        "arXiv:1301.3781"
    ),
    homepage="https://code.google.com/archive/p/word2vec/",
    tags=("text", "words"),
    tasks=("analogy", "similarity"),
)
