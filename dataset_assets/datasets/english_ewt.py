"""English Web Treebank: sentences from the web, their words, and the dependencies between the words."""

from typing import Any, BinaryIO, Iterator

import numpy as np

from dataset_assets import Dataset, Ragged, RemoteFile, Split, Table, Text

FOLDER = "https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/r2.15/"
TAGS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM",
    "VERB", "X",
)  # fmt: skip
"""The parts of speech; the stream `tags` holds their indices."""


def sentences(treebank: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a sentence from each block of lines; a blank line ends one, and the last may have none.

    Of a word's ten fields these are its form, its part of speech, and the number of the word that it depends on (0 for
    none) with the relation. Lines such as `1-2` (a contraction) and `8.1` (a word left out) are no words.
    """
    text, words = "", []
    for line in treebank:
        line = line.strip()
        if line.startswith(b"# text = "):
            text = line[len(b"# text = ") :].decode()
        elif line and not line.startswith(b"#"):
            fields = line.decode().split("\t")
            words += [fields] if fields[0].isdigit() else []
        elif not line and words:
            yield _sentence(text, words)
            text, words = "", []
    if words:
        yield _sentence(text, words)


def _sentence(text: str, words: list[list[str]]) -> dict[str, Any]:
    return {
        "text": text,
        "words": {"form": [word[1] for word in words], "relation": [word[7] for word in words]},
        "tags": np.array([TAGS.index(word[3]) for word in words], np.uint8),
        "heads": np.array([int(word[6]) for word in words], np.int16),
    }


# No digest of these files is published; the first retrieval records them.
english_ewt = Dataset(
    name="org.universaldependencies.english_ewt",
    summary="16,622 English sentences from the web in Universal Dependencies: words, parts of speech and dependencies.",
    streams={
        "text": Text(),
        "words": Table({"form": "list<item: string>", "relation": "list<item: string>"}),
        "tags": Ragged("uint8"),
        "heads": Ragged("int16"),
    },
    splits={
        split: Split(sentences, treebank=RemoteFile(f"{FOLDER}en_ewt-ud-{split}.conllu"))
        for split in ("train", "dev", "test")
    },
    sample="text",
    target="tags",
    roles={"heads": "heads"},
    license="CC-BY-SA-4.0",
    citation=(
        "N. Silveira, T. Dozat, M.-C. de Marneffe, S. Bowman, M. Connor, J. Bauer, C. D. Manning. A gold standard "
        "dependency corpus for English. LREC, 2014."
    ),
    homepage="https://universaldependencies.org/treebanks/en_ewt/",
    # The splits share some short sentences, as the publisher's change log says (v1.3).
    checks={"leakage": "warn"},
    tags=("text", "sequence", "web"),
    tasks=("sequence labelling", "parsing"),
)
