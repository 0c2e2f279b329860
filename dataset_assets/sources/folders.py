"""Infers a dataset from a folder: splits and classes from the names of folders, streams from the kind of its files."""

import logging
import re
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path, PurePosixPath
from typing import Any, Mapping, NamedTuple

from dataset_assets.core.folder_tree import entries
from dataset_assets.core.names import identifier_from
from dataset_assets.definition.dataset import RemoteFile, Split
from dataset_assets.definition.plain_splits import CONTENT, FOLDER, file_samples, is_junk
from dataset_assets.errors import UsageError
from dataset_assets.formats import Array, Audio, Files, Format, Image, Text
from dataset_assets.sources.kinds import (
    CONVERT,
    OTHER_PICTURES,
    SPLIT_FUNCTION,
    TABLES,
    check_options,
    ending,
    kind_of,
)
from dataset_assets.sources.options import in_options

log = logging.getLogger(__name__)

SPLITS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval", "unlabeled"})
"""Names of folders and files that are taken for splits, whatever their case."""

_FORMATS: dict[str, Format] = {"image": Image(), "text": Text(), "audio": Audio(), "file": Files()}


class Inferred(NamedTuple):
    """What was inferred of a source: streams, splits, the streams of the roles, and what was guessed of each."""

    streams: dict[str, Format]
    splits: dict[str, Split]
    sample: str | None
    target: str | None
    why: dict[str, str]
    tally: Mapping[Any, int] | None = None
    """How many samples each value of the target has, if there are few."""


def of_paths(
    where: str, paths: list[str], tree: RemoteFile, options: Mapping[str, Any], is_archive: bool = False
) -> Inferred:
    """Infer a dataset from the paths of the pictures, texts, sounds or other files of a tree.

    Folders such as `train` and `test` are splits; folders below them are classes. One folder that all files are in is
    looked through. `options` are those of the format of the files. Raises `UsageError` for files of several kinds, and
    for tables that are not read as such.
    """
    first, kind = _kind_of(where, paths)
    if first == "file":
        _check_not_tables(where, paths, is_archive)
    kind = _with_options(where, kind, options)
    top = _common(paths, is_archive)
    places = {path: PurePosixPath(path).parts[len(top) :] for path in paths}
    tops = {parts[0] for parts in places.values() if len(parts) > 1}
    has_splits = bool(tops) and {top.lower() for top in tops} <= SPLITS and all(len(p) > 1 for p in places.values())
    depth = 1 if has_splits else 0
    folders = {parts[depth] for parts in places.values() if len(parts) > depth + 1}
    classes = sorted(folders) if folders and all(len(parts) == depth + 2 for parts in places.values()) else None
    plain: dict[str, dict[str, Any]] = {first: _plain("files" if first == "file" else first, CONTENT, None)}
    streams: dict[str, Format] = {first: kind}
    lost = [*_unread(paths), *_lost(places, has_splits, bool(folders) and not classes)]
    why = {first: ". ".join([f"{len(paths)} files, such as {paths[0]}", *lost])}
    for each in lost:
        log.warning("%s: %s. To read it in another way, %s", where, each, SPLIT_FUNCTION)
    if classes:
        streams["label"] = Array("uint8" if len(classes) <= 256 else "int64", classes=tuple(classes))
        plain["label"] = _plain("array", FOLDER, classes)
        why["label"] = "the folder of each file"
    parts = {identifier_from(name, "split"): (*top, name) for name in sorted(tops)} if has_splits else {"all": top}
    splits = {
        split: Split(file_samples, archive=tree, streams=plain, members="*", below="/".join(below), unwrap=False)
        for split, below in parts.items()
    }
    tally = Counter(parts[depth] for parts in places.values()) if classes else None
    return Inferred(streams, splits, first, "label" if classes else None, why, tally)


def _common(paths: list[str], is_archive: bool) -> tuple[str, ...]:
    """Return the folders that all files are in and that are no split.

    Of an archive, the first is left out whatever is in it; any other only if it has folders, because it may be a class.
    """
    top: tuple[str, ...] = ()
    while True:
        rest = [PurePosixPath(path).parts[len(top) :] for path in paths]
        tops, deepest = {parts[0] for parts in rest}, max(map(len, rest))
        is_shared = len(tops) == 1 and min(map(len, rest)) > 1 and not {each.lower() for each in tops} <= SPLITS
        if not is_shared or (deepest < 3 and (top or not is_archive)):
            return top
        top = (*top, *tops)


def _with_options(where: str, kind: Format, options: Mapping[str, Any]) -> Format:
    """Return a format with options. Raises `UsageError` for one that it does not have."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # all formats are dataclasses
    check_options(options, names, f"{where} holds files of the format {type(kind).__name__}, which")
    with in_options(names):
        return replace(kind, **options)  # type: ignore[type-var]


def _unread(paths: list[str]) -> list[str]:
    """Say that files are pictures that are stored as they are, because they cannot be read."""
    picture = next((path for path in paths if ending(path) in OTHER_PICTURES), None)
    return [f"Files, not pictures, because {picture} is of a kind that is not read. {CONVERT[:-1]}"] if picture else []


def _lost(places: Mapping[str, tuple[str, ...]], has_splits: bool, lacks_classes: bool) -> list[str]:
    """Say which folders are taken neither for splits nor for classes, and why."""
    named = sorted({parts[0] for parts in places.values() if len(parts) > 1 and parts[0].lower() in SPLITS})
    if named and not has_splits:
        odd = next(path for path, parts in places.items() if len(parts) == 1 or parts[0].lower() not in SPLITS)
        return [f"Not divided into {', '.join(named)}, because {odd} is in none of these folders"]
    if not lacks_classes:
        return []
    shallow, deep = (pick(places, key=lambda path: len(places[path])) for pick in (min, max))
    return [f"No labels, because not every file is directly in the folder of a class: {shallow}, {deep}"]


def _check_not_tables(where: str, paths: list[str], is_archive: bool) -> None:
    """Raise `UsageError` for files that are tables, beside which there may be some without an ending."""
    tables = [path for path in paths if ending(path)]
    kinds = sorted({ending(path) for path in tables})
    if not kinds or not {*kinds} <= {*TABLES}:
        return
    if is_archive:
        do = "Unpack it, and give the folder of the tables, or one of them, to dataset_from()"
    elif len(kinds) > 1:
        do = f"Give files of one kind, such as {where.rstrip('/')}/**/*{kinds[0]}"
    else:
        do = f"Give the tables alone, such as {where.rstrip('/')}/**/*{kinds[0]}"
    raise UsageError(f"{where} holds tables, such as {tables[0]}, which are not read from there. {do}.")


def files_in(folder: Path) -> list[str]:
    """Return the files of a folder as paths from it, but those that file managers leave behind."""
    found = [entry.path for entry in entries(folder, follow=True) if not entry.is_folder and not is_junk(entry.path)]
    if not found:
        raise UsageError(f"{folder} has no files. Name a folder with data.")
    return found


def _kind_of(where: str, paths: list[str]) -> tuple[str, Format]:
    """Return the name and the format of the stream that holds the files."""
    names = {path: kind_of(path) for path in paths}
    counts = Counter(names.values())
    if len(counts) > 1:
        main, rare = counts.most_common()[0][0], counts.most_common()[-1][0]
        odd = next(path for path, name in names.items() if name == rare)
        if picture := next((path for path in paths if ending(path) in OTHER_PICTURES), None):
            raise UsageError(f"{where} holds {picture}, a picture of a kind that is not read. {CONVERT}")
        raise UsageError(
            f"{where} holds files of several kinds: {counts[main]} of {main}, and {odd}. Move the others, or "
            f"{SPLIT_FUNCTION}"
        )
    (name,) = counts
    return name, _FORMATS[name]


def tables_in(folder: Path) -> dict[str, list[Path]] | None:
    """Return the files of rows of a folder, by split, if it holds nothing else; the split is in a folder or a name."""
    paths = files_in(folder)
    kinds = {ending(path) for path in paths}
    if len(kinds) != 1 or not kinds <= {*TABLES}:
        return None
    return {split: [folder / path for path in some] for split, some in by_split(paths).items()}


def by_split(paths: list[str]) -> dict[str, list[str]]:
    """Group the paths of files by split: of a folder, or of a word of a name such as train-00000-of-00002.

    >>> by_split(["train-0.parquet", "train-1.parquet", "test.parquet"])
    {'test': ['test.parquet'], 'train': ['train-0.parquet', 'train-1.parquet']}
    """
    found: dict[str, list[str]] = {}
    for path in sorted(paths):
        words = [*PurePosixPath(path).parts[:-1], *re.split(r"[-._ 0-9]+", PurePosixPath(path).name)]
        split = next((word for word in words if word.lower() in SPLITS), None)
        found.setdefault(identifier_from(split, "split") if split else "all", []).append(path)
    return found if "all" not in found or len(found) == 1 else {"all": sorted(paths)}


def _plain(form: str, part: str, classes: list[str] | None) -> dict[str, Any]:
    return {"format": form, "from": part, "fields": None, "classes": classes, "dtype": None}
