"""Archives as sources: zip and tar files of pictures, texts or sounds, and those of WebDataset."""

import re
from collections import Counter
from pathlib import Path

from dataset_assets.decoding import archive_members
from dataset_assets.definition.plain_splits import is_junk
from dataset_assets.errors import UsageError
from dataset_assets.sources.kinds import kind_of

_ARCHIVE = re.compile(r".*\.(zip|tar|tgz|tbz2|txz|tar\.(gz|bz2|xz|zst))", re.IGNORECASE)
_NAME = re.compile(r"((?:.*/)?([^./]+))\.[^/]+")


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
    return None if not path.name.lower().endswith(".zip") and _are_samples(found) else found


def _are_samples(paths: list[str]) -> bool:
    """Say whether files are those of WebDataset's samples: all have the name of another one, but another ending.

    Samples may lack a file, if those that are there are of several kinds: pictures and classes, for example.
    """
    named = [found for one in paths if (found := _NAME.fullmatch(one)) and not found[2].startswith("__")]
    keys = Counter(found[1] for found in named)
    if not keys or max(keys.values()) == 1:
        return False
    return (len(named) == len(paths) and min(keys.values()) > 1) or len({*map(kind_of, paths)}) > 1
