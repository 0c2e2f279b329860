"""Cora: 2,708 papers on machine learning, their words, and their citations."""

from collections import defaultdict
from typing import Any, BinaryIO, Iterator

import numpy as np

from dataset_assets import Array, Dataset, Ragged, RemoteFile, Split

FOLDER = "https://raw.githubusercontent.com/tkipf/pygcn/master/data/cora/"
TOPICS = (
    "Case_Based",
    "Genetic_Algorithms",
    "Neural_Networks",
    "Probabilistic_Methods",
    "Reinforcement_Learning",
    "Rule_Learning",
    "Theory",
)


def papers(content: BinaryIO, citations: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a paper per line of the content; what it cites are the numbers of other samples.

    A line of the citations names the cited paper first.
    """
    lines = [line for line in content if line.strip()]
    numbers = {line.split(maxsplit=1)[0]: number for number, line in enumerate(lines)}
    cites: dict[int, list[int]] = defaultdict(list)
    for line in citations:
        if line.strip():
            cited, citing = line.split()
            cites[numbers[citing]].append(numbers[cited])
    for number, line in enumerate(lines):
        paper, *words, topic = line.split()
        yield {
            "paper": int(paper),
            "words": np.array(words).astype(np.uint8),
            "cites": np.array(cites[number], np.int32),
            "topic": TOPICS.index(topic.decode()),
        }


# No digest of these files is published; the first retrieval records them.
cora = Dataset(
    name="org.linqs.cora",
    summary="2,708 papers on machine learning: which of 1,433 words are in each, its topic, and the papers it cites.",
    streams={
        "paper": Array("int64"),
        "words": Array("uint8"),
        "cites": Ragged("int32"),
        "topic": Array("uint8", classes=TOPICS),
    },
    splits={
        "all": Split(papers, content=RemoteFile(FOLDER + "cora.content"), citations=RemoteFile(FOLDER + "cora.cites"))
    },
    sample="words",
    target="topic",
    tag="paper",
    roles={"edges": "cites"},
    license="MIT",  # the license of the repository that has the files; their own README states none
    citation=(
        "P. Sen, G. Namata, M. Bilgic, L. Getoor, B. Gallagher, T. Eliassi-Rad. Collective classification in network "
        "data. AI Magazine 29(3), 2008."
    ),
    homepage="https://linqs.org/datasets/",
    tags=("graph", "text", "citations"),
    tasks=("node classification",),
)
