"""The files of each split of a source: where they are read now, and their URLs."""

import glob
import os
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Mapping, Sequence
from urllib.parse import unquote, urlsplit

from dataset_assets.core.patterns import alternatives
from dataset_assets.errors import UsageError, nearest
from dataset_assets.retrieval.listed import Listed
from dataset_assets.retrieval.local import path_of
from dataset_assets.sources.dividing import WHOLE
from dataset_assets.sources.folders import SPLITS, tables_in
from dataset_assets.sources.in_memory import WHAT, is_in_memory, is_saved, kept_table, loaded
from dataset_assets.sources.kinds import PICTURES, SOUNDS, TABLES, TEXTS, ending


@dataclass
class Part:
    """The files of a split: where they are read now, their URLs, and the classes that their source names."""

    paths: list[Path]
    urls: list[str]
    classes: Mapping[str, list[str]]
    stated: Mapping[str, Listed] = field(default_factory=dict)
    """What a source says of the bytes at each URL."""

    @staticmethod
    def listed(found: Sequence[Listed]) -> "Part":
        return Part([Path(one.path) for one in found], [one.url for one in found], {}, {one.url: one for one in found})


def parts_in(source: Any) -> dict[str, Part]:
    """Return the files of each split of a source."""
    if isinstance(source, Mapping) and source and all(map(_is_source, source.values())):
        _check_names(source)
        every = {split: parts_in(each) for split, each in source.items()}
        if several := next((split for split, parts in every.items() if [*parts] != [WHOLE]), None):
            raise UsageError(
                f"The source of split {several!r} has splits itself. Give a file or a table for each split."
            )
        return {split: parts[WHOLE] for split, parts in every.items()}
    if is_in_memory(source):
        path, classes = kept_table(source)
        return {WHOLE: Part([path], [path.as_uri()], classes)}
    if isinstance(source, (list, tuple)) and source and all(isinstance(each, (str, os.PathLike)) for each in source):
        paths = [path for each in source for path in _local(each)]
        return {WHOLE: Part(paths, [path.as_uri() for path in paths], {})}
    if not isinstance(source, (str, os.PathLike)):
        raise UsageError(f"{source!r:.200} is nothing that a dataset can be made from: {WHAT}")
    if is_url(source):
        parts = urlsplit(os.fsdecode(source))
        name = f"{parts.netloc}.parquet" if parts.scheme == "sql" else unquote(parts.path)
        return {WHOLE: Part([Path(name)], [os.fsdecode(source)], {})}
    paths = _local(source)
    if len(paths) == 1 and is_saved(paths[0]):
        return parts_in(loaded(paths[0]))
    if len(paths) == 1 and paths[0].is_dir() and (tables := tables_in(paths[0])):
        return {split: Part(some, [path.as_uri() for path in some], {}) for split, some in tables.items()}
    return {WHOLE: Part(paths, [path.as_uri() for path in paths], {})}


def _check_names(source: Mapping[str, Any]) -> None:
    """Raise `UsageError` for lists of files that may be columns: those of pictures and masks, for example."""
    named = [name for name, each in source.items() if isinstance(each, (list, tuple)) and name.lower() not in SPLITS]
    if named:
        raise UsageError(
            f"{named[0]!r} is a list of files. If it is a split, give it as a pattern, such as 'folder/*.csv', or call "
            "it train, test or validation. Of files that belong together, write a split function: "
            "dataset-assets new NAME"
        )


def _is_source(each: Any) -> bool:
    if isinstance(each, (list, tuple)) and each:
        return all(isinstance(one, os.PathLike) or (isinstance(one, str) and _is_named(one)) for one in each)
    return isinstance(each, (str, os.PathLike)) or (is_in_memory(each) and not isinstance(each, Mapping))


def _is_named(text: str) -> bool:
    """Say whether a text is rather the name of a file than a text."""
    return os.path.isfile(text) or (ending(text) in {*TABLES, *PICTURES, *SOUNDS, *TEXTS} and " " not in text)


def _local(source: "str | os.PathLike[str]") -> list[Path]:
    """Return the paths that a path or a pattern names. Raises `UsageError` if there are none."""
    text = os.fsdecode(source)
    path = path_of(text) if text.startswith("file:") else Path(text).expanduser().absolute()
    if path.exists():
        return [path]
    if any(mark in text for mark in "*?[{") and (found := sorted({*chain(*map(_matching, alternatives(str(path))))})):
        if lost := next((one for one in found if not os.path.exists(one)), None):
            raise UsageError(f"{lost:.200} is a link that leads nowhere. Correct it, or remove it.")
        return [Path(one) for one in found]
    there = [*path.parent.iterdir()] if path.parent.is_dir() and "*" not in path.name else []
    written = os.path.dirname(text)
    near = nearest(text, [os.path.join(written, one.name) for one in there], listed=False)
    raise UsageError(
        f"{text:.200} is not there.{near} Write the path of a file or a folder, a pattern such as data/*.csv, or a URL."
    )


def _matching(pattern: str) -> list[str]:
    return glob.glob(pattern, recursive=True)


def is_url(source: Any) -> bool:
    """Say whether a source is a URL of something that is not on this machine."""
    return isinstance(source, str) and urlsplit(source).scheme in ("http", "https", "s3", "gs", "az", "doi", "sql")
