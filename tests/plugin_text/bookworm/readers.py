"""Reads the formats in which collections for text retrieval are published."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import View
from dataset_assets.decoding import archive_members, json_lines
from dataset_assets.errors import DecodeError


def documents(archive: BinaryIO, below: str) -> Iterator[dict[str, str]]:
    """Yield the documents in JSON lines, which lie in a folder of an archive."""
    for member in archive_members(archive, "*.jsonl", below=below, unwrap=True):
        for document in json_lines(member):
            yield {name: document[name] for name in ("id", "title", "text")}


def queries(table: BinaryIO) -> Iterator[dict[str, str]]:
    """Yield the queries of a file that has a number, a tab and a text in each line."""
    for number, line in enumerate(table, 1):
        name, tab, text = line.decode().rstrip("\n").partition("\t")
        if not (name and tab and text and line.endswith(b"\n")):
            raise DecodeError(f"Line {number} is {line[:80]!r}, not a number, a tab and a text.")
        yield {"id": name, "text": text}


def judgements(qrels: BinaryIO, known: View, parts: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the judgements of some queries from a file as TREC writes it: query, iteration, document, grade."""
    names = {sample["id"] for sample in known.only("id")}
    for number, line in enumerate(qrels, 1):
        fields = line.decode().split()
        if len(fields) != 4 or not fields[3].isdecimal() or not line.endswith(b"\n"):
            raise DecodeError(f"Line {number} is {line[:80]!r}, not a query, an iteration, a document and a grade.")
        if fields[2] not in names:
            raise DecodeError(f"Line {number} judges {fields[2]!r}, which is not a document of the collection.")
        if fields[0] in parts:
            yield {"query": fields[0], "document": fields[2], "grade": int(fields[3])}
