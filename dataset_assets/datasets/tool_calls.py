"""Tool calls: 300 conversations in which an assistant calls functions."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Dataset, Split, Table, Text
from dataset_assets.datasets.preferences import ARCHIVE, TURNS, records, turns


def conversations(archive: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a conversation, and the functions that may be called, as JSON."""
    for record in records(archive, "*/data/glaive_toolcall_en_demo.json"):
        yield {"conversation": turns(record["conversations"]), "tools": record["tools"]}


tool_calls = Dataset(
    name="io.github.hiyouga.tool_calls",
    summary="300 English conversations with an assistant that may call functions; the calls and results are turns.",
    streams={"conversation": Table(TURNS), "tools": Text()},
    splits={"all": Split(conversations, archive=ARCHIVE)},
    sample="conversation",
    roles={"tools": "tools"},
    license="Apache-2.0",  # the license of the package that has the file
    citation=(
        "Y. Zheng, R. Zhang, J. Zhang, Y. Ye, Z. Luo, Z. Feng, Y. Ma. LlamaFactory: unified efficient fine-tuning of "
        "100+ language models. ACL, 2024. A part of glaive-function-calling-v2. Carried by llamafactory 0.9.5."
    ),
    homepage="https://github.com/hiyouga/LLaMA-Factory/tree/main/data",
    tags=("text", "chat", "tools"),
    tasks=("dialogue", "tool use"),
)
