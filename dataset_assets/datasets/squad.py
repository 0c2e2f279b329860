"""SQuAD 1.1: questions about paragraphs of Wikipedia; the answer is a part of the paragraph."""

import json
from typing import Any, BinaryIO, Iterator

from dataset_assets import Dataset, RemoteFile, Split, Table, Text
from dataset_assets.errors import DecodeError

FOLDER = "https://rajpurkar.github.io/SQuAD-explorer/dataset/"


def questions(articles: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield each question, with its paragraph and with the answers that people gave."""
    try:
        content = json.load(articles)
    except ValueError as error:
        raise DecodeError(f"The articles are not JSON: {error}. Retrieve the file again.") from error
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                answers = question["answers"]
                yield {
                    "id": question["id"],
                    "title": article["title"],
                    "context": paragraph["context"],
                    "question": question["question"],
                    "answers": {
                        "text": [answer["text"] for answer in answers],
                        "start": [answer["answer_start"] for answer in answers],
                    },
                }


# The digests are those that TensorFlow Datasets publishes for these URLs (url_checksums/squad.txt).
squad = Dataset(
    name="io.github.rajpurkar.squad",
    summary="98,169 questions on paragraphs of Wikipedia, and where in the paragraph the answer is, in characters.",
    streams={
        "id": Text(),
        "title": Text(),
        "context": Text(),
        "question": Text(),
        "answers": Table({"text": "list<item: string>", "start": "list<item: int32>"}),
    },
    splits={
        "train": Split(
            questions,
            articles=RemoteFile(
                FOLDER + "train-v1.1.json",
                digest="sha256:3527663986b8295af4f7fcdff1ba1ff3f72d07d61a20f487cb238a6ef92fd955",
            ),
        ),
        "dev": Split(
            questions,
            articles=RemoteFile(
                FOLDER + "dev-v1.1.json",
                digest="sha256:95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9",
            ),
        ),
    },
    # The splits share no article, so no paragraph. Two paragraphs may have the same short question.
    sample="context",
    target="answers",
    tag="id",
    roles={"question": "question"},
    license="CC-BY-SA-4.0",
    citation=(
        "P. Rajpurkar, J. Zhang, K. Lopyrev, P. Liang. SQuAD: 100,000+ questions for machine comprehension of text. "
        "EMNLP, 2016. arXiv:1606.05250"
    ),
    homepage="https://rajpurkar.github.io/SQuAD-explorer/",
    tags=("text", "wikipedia"),
    tasks=("question answering",),
)
