"""Eight short fables, queries for them in two languages, and which fables answer which query."""

from typing import Any, Literal

from bookworm.readers import documents, judgements, queries
from dataset_assets import Array, Dataset, Family, RemoteFile, Split, SplitOf, Text

PREFIX = "org.example.bookworm"
GRADES = ("no", "partly", "fully")


def file(name: str) -> RemoteFile:
    """Return a file that this package carries."""
    return RemoteFile(f"package://bookworm/data/{name}")


def about(**more: Any) -> dict[str, Any]:
    """Return the facts that all three have."""
    facts = {"license": "CC0-1.0", "citation": "Nobody. Fables that were told again. 2026.", "tags": ("text", "fables")}
    return {**facts, "homepage": "https://example.org/bookworm", "tasks": ("retrieval",), **more}


fables = Dataset(
    name=f"{PREFIX}.fables",
    summary="Eight short fables.",
    streams={"id": Text(), "title": Text(), "text": Text()},
    splits={"all": Split(documents, archive=file("fables.zip"), below="documents")},
    **about(sample="text", tag="id"),
)


def questions(lang: Literal["en", "de"] = "en") -> Dataset:
    """Return the queries in one language."""
    return Dataset(
        name=f"{PREFIX}.queries",
        summary=f"Four queries for the fables, in the language {lang}.",
        streams={"id": Text(), "text": Text()},
        splits={"all": Split(queries, table=file(f"queries.{lang}.tsv"))},
        **about(sample="text", tag="id"),
    )


query_family = Family(f"{PREFIX}.queries", "Four queries for the fables, in two languages.", questions)

judged = Dataset(
    name=f"{PREFIX}.judgements",
    summary="How well fables answer four queries: three for training, one for testing.",
    streams={"query": Text(), "document": Text(), "grade": Array("uint8", classes=GRADES)},
    splits={
        split: Split(judgements, qrels=file("fables.qrels"), known=SplitOf(fables.name, "all"), parts=parts)
        for split, parts in {"train": ["q1", "q2", "q3"], "test": ["q4"]}.items()
    },
    **about(sample="document", target="grade", tag="query"),
)
