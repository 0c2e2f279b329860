"""Semanlink papers: queries, and by a person's judgement which of `net.semanlink.tags` are relevant to each."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Dataset, Split, Table, Text
from dataset_assets.datasets.semanlink_tags import ARCHIVE, CITATION, LISTED, content


def papers(archive: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield each paper, with the addresses of the tags that it was given."""
    for paper in content(archive, "arxiv"):
        yield {
            "paper": paper["arxiv_num"],
            "title": paper["arxiv_title"],
            "abstract": paper["arxiv_summary"],
            "relevant": {"tags": list(paper["tag"])},
        }


semanlink_papers = Dataset(
    name="net.semanlink.papers",
    summary="314 papers of arXiv as queries, and the 1,315 judgements which of net.semanlink.tags are relevant.",
    streams={"paper": Text(), "title": Text(), "abstract": Text(), "relevant": Table({"tags": LISTED})},
    splits={"all": Split(papers, archive=ARCHIVE)},
    sample="title",
    target="relevant",
    tag="paper",
    license="MIT",  # the license of the package that has the file
    citation=CITATION,
    homepage="http://www.semanlink.net/",
    tags=("text", "retrieval", "queries", "judgements"),
    tasks=("retrieval", "tagging"),
)
