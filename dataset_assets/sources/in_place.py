"""Sources that stay where they are: their splits name objects, and how each was when it was looked at."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Mapping
from urllib.parse import unquote, urlsplit

from dataset_assets.core.redact import redacted
from dataset_assets.core.roots import is_below, root_of
from dataset_assets.decoding.column_samples import column_samples
from dataset_assets.definition.dataset import Split
from dataset_assets.definition.in_place import objects_in_place
from dataset_assets.errors import UsageError
from dataset_assets.sources.folders import Inferred
from dataset_assets.storage.outside import SCHEMES, look, opened

AT_ONCE = 16
"""The most objects that are looked at at a time."""


class OutsidePath:
    """An object that is looked at where it is, as if it were a path."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(unquote(urlsplit(self.url).path)).name

    def open(self, mode: str) -> BinaryIO:
        """Open the object as it is now."""
        return opened(self.url, look(self.url))


def check_stays(source: Any) -> None:
    """Raise `UsageError` for a source that cannot be read where it is."""
    if isinstance(source, (list, tuple)) or (isinstance(source, Mapping) and source):
        for one in source.values() if isinstance(source, Mapping) else source:
            check_stays(one)
        return
    text = os.fsdecode(source) if isinstance(source, (str, os.PathLike)) else None
    scheme = urlsplit(text).scheme if text and "://" in text else "file"
    if text is None or scheme not in SCHEMES or text.startswith(("doi:", "sql:")):
        shown = "What is in memory" if text is None else redacted(text)
        raise UsageError(f"{shown:.200} cannot stay where it is: only files and objects of buckets can. Use copy=True.")


def in_place(found: Inferred) -> Inferred:
    """Return what was inferred, with splits that name their objects. Raises `UsageError` for any but Parquet files."""
    return found._replace(splits={name: _split(split) for name, split in found.splits.items()})


def _split(split: Split) -> Split:
    plain = split.plain
    if split.function is not column_samples or plain["read"] != "parquet" or plain["options"]:
        raise UsageError(
            "Only Parquet files can stay where they are yet, read without options. For all else, use copy=True."
        )
    urls = [_settled(split.arguments[name].urls[0]) for name in sorted(split.files)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        states = [*pool.map(look, urls)]
    objects = [{"url": url, **state._asdict()} for url, state in zip(urls, states)]
    return Split(objects_in_place, read=plain["read"], columns=plain["streams"], objects=objects)


def _settled(url: str) -> str:
    """Return the URL of a file without `..`; of a link out of its folder, the URL of the file that it leads to."""
    if urlsplit(url).scheme != "file":
        return url
    path = Path(unquote(urlsplit(url).path))
    plain = Path(os.path.abspath(path))
    is_same = plain.exists() and plain.samefile(path)  # `..` after a link leads elsewhere
    if is_same and is_below(plain.as_uri(), root_of([plain.as_uri()])):
        return plain.as_uri()
    return path.resolve().as_uri()
