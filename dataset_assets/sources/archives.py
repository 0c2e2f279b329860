"""Archives as sources: zip and tar files of pictures, texts or sounds, and those of WebDataset."""

import re
from collections import Counter
from pathlib import Path

from dataset_assets.decoding import archive_members
from dataset_assets.definition.plain_splits import is_junk
from dataset_assets.errors import UsageError

_ARCHIVE = re.compile(r".*\.(zip|tar|tgz|tbz2|txz|tar\.(gz|bz2|xz|zst))", re.IGNORECASE)
_NAME = re.compile(r"((?:.*/)?[^./]+)\.[^/]+")


def is_archive(name: str) -> bool:
    """Say whether a file with this name is an archive.

    >>> is_archive("texts.tar.gz"), is_archive("texts.csv.gz")
    (True, False)
    """
    return bool(_ARCHIVE.fullmatch(name))


def members_of(path: Path) -> list[str] | None:
    """Return the paths of the files of an archive; None if it is one of WebDataset: several files of each name."""
    with path.open("rb") as file:
        found = [member.name for member in archive_members(file) if not is_junk(member.name)]
    if not found:
        raise UsageError(f"{path.name} has no files. Name an archive with data.")
    keys = Counter(named[1] for one in found if (named := _NAME.fullmatch(one)))
    is_zip = path.name.lower().endswith(".zip")
    return None if not is_zip and keys.total() == len(found) and min(keys.values()) > 1 else found
