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
from dataset_assets.definition.plain_splits import file_samples, is_junk, named_file_samples
from dataset_assets.errors import UsageError
from dataset_assets.retrieval.bucket import is_several, objects_below
from dataset_assets.retrieval.local import path_of
from dataset_assets.sources.folders import Inferred, files_in
from dataset_assets.storage.outside import SCHEMES, look, opened
from dataset_assets.storage.placed import CONTENT, FILE, FILES, FOLDER, TEXT

AT_ONCE = 16
"""The most objects that are looked at at a time."""
MOST_FILES = 100_000
"""An index names each file; of more it would be too long."""
WHOLE = ("parquet", "webdataset")
"""The decoders of objects that hold several samples each."""


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
    """Return what was inferred, with splits that name their objects.

    Raises `UsageError` for any but Parquet files, WebDataset archives that are not compressed, and folders of files.
    """
    return found._replace(splits={name: _split(split) for name, split in found.splits.items()})


def _split(split: Split) -> Split:
    if split.function is file_samples and (files := _files(split)) is not None:
        columns = {name: _column(said) for name, said in split.plain["streams"].items()}
        return _placed(FILES, columns, files)
    if split.function is named_file_samples and split.each is not None:
        columns = {name: _column(said) for name, said in split.plain["streams"].items()}
        return _placed(FILES, columns, [_named(file.urls[0]) for file in split.each[1].files])
    plain = split.plain
    if split.function is not column_samples or plain["read"] not in WHOLE or plain["options"]:
        raise UsageError(
            "Only Parquet files, WebDataset archives (.tar) and folders of files can stay where they are, read without "
            "options. For all else, use copy=True."
        )
    given = [split.arguments[name].urls[0] for name in sorted(split.files)]
    packed = [url for url in given if plain["read"] == "webdataset" and not urlsplit(url).path.lower().endswith(".tar")]
    if packed:
        raise UsageError(f"{redacted(packed[0])} is compressed, so it cannot be read in parts. Use copy=True.")
    urls = [*map(_settled, given)]
    return _placed(plain["read"], plain["streams"], [(url, {}) for url in urls])


def _placed(read: str, columns: Mapping[str, Any], found: list[tuple[str, dict[str, str]]]) -> Split:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        states = [*pool.map(look, [url for url, _ in found])]
    objects = [{"url": url, **state._asdict(), **more} for (url, more), state in zip(found, states)]
    return Split(objects_in_place, read=read, columns=columns, objects=objects)


def _files(split: Split) -> list[tuple[str, dict[str, str]]] | None:
    """Return the URLs of the files of a split, with their paths below its folder; None if they lie in an archive."""
    url, below = split.arguments["archive"].urls[0], split.plain["below"]
    prefix = f"{below}/" if below else ""
    if urlsplit(url).scheme == "file":
        folder = path_of(url)
        if not folder.is_dir():
            return None
        found = {path: _settled((folder / path).as_uri()) for path in files_in(folder)}
    elif is_several(url):
        found = {one.path: one.url for one in objects_below(url)}
    else:
        return None
    inside = [(path, place) for path, place in found.items() if path.startswith(prefix)]
    chosen = [(place, {"path": path[len(prefix) :]}) for path, place in inside if not is_junk(path)]
    if len(chosen) > MOST_FILES:
        raise UsageError(
            f"{redacted(url)} has {len(chosen)} files, and at most {MOST_FILES} can stay where they are one by one. "
            "Pack them as WebDataset archives, or use copy=True."
        )
    return chosen


def _named(url: str) -> tuple[str, dict[str, str]]:
    """Return the URL of a file, and its path below the folder above its own."""
    return _settled(url), {"path": "/".join(unquote(urlsplit(url).path).split("/")[-2:])}


def _column(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return how the values of a stream of files are read where they are."""
    if said["from"] == "folder":
        return {"from": FOLDER, "as": "classes", "dtype": _dtype(said["classes"]), "classes": said["classes"]}
    return {"text": {"from": TEXT, "as": "text"}, "files": {"from": FILE, "as": "file"}}.get(
        said["format"], {"from": CONTENT, "as": "file"}
    )


def _dtype(classes: list[str]) -> str:
    return "uint8" if len(classes) <= 256 else "int64"


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
