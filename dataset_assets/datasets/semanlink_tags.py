"""Semanlink tags: the documents to be found for the papers of `net.semanlink.papers`."""

import json
from typing import Any, BinaryIO, Iterator

from dataset_assets import Dataset, Split, Table, Text
from dataset_assets.datasets.published import published
from dataset_assets.decoding import tar_members
from dataset_assets.errors import DecodeError

# PyPI states the digest: https://pypi.org/project/cherche/2.2.1/#files
ARCHIVE = published(
    "e6/49/f33984b81c3acfbeff2278f26fced217ace2b8410ba22f70b3b81d773913/cherche-2.2.1.tar.gz",
    "7984a88f0bf9349cd08907baefc2527deaacea95d3acf5f4a1692896c507fe34",
)
CITATION = (
    "R. Sourty, J. G. Moreno, L. Tamine, F.-P. Servant. CHERCHE: a new tool to rapidly implement pipelines in "
    "information retrieval. SIGIR, 2022. Carried by cherche 2.2.1."
)
LISTED = "list<item: string>"
BROADER = "broader_prefLabel"


def content(archive: BinaryIO, name: str) -> Any:
    """Return a JSON file of the archive. Raises `DecodeError` if it is not there, or is not JSON."""
    [found] = [member.read() for member in tar_members(archive, f"*/cherche/data/semanlink/{name}.json")]
    try:
        return json.loads(found)
    except ValueError as error:
        raise DecodeError(f"{name}.json is not JSON: {error}. Retrieve the file again.") from error


def tags(archive: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield each tag: its address, its name, other names for it, and the names of the tags above it."""
    for address, tag in content(archive, "tags").items():
        about = {name: list(tag[field]) for name, field in (("other_names", "altLabel"), ("broader", BROADER))}
        yield {"tag": address, "name": " ".join(tag["prefLabel"]), "about": about}


semanlink_tags = Dataset(
    name="net.semanlink.tags",
    summary="4,603 tags of a library on the semantic web and machine learning, with other names and broader tags.",
    streams={"tag": Text(), "name": Text(), "about": Table({"other_names": LISTED, "broader": LISTED})},
    splits={"all": Split(tags, archive=ARCHIVE)},
    sample="name",
    tag="tag",
    license="MIT",  # the license of the package that has the file
    citation=CITATION,
    homepage="http://www.semanlink.net/",
    tags=("text", "retrieval", "documents"),
    tasks=("retrieval",),
)
