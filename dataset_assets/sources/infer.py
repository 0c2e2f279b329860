"""Infers a dataset from a source: a file, folder, URL, table, or a mapping of splits to these."""

import logging
import os
import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Mapping, Sequence
from urllib.parse import urlsplit

from dataset_assets.core.canonical import sha256_hex
from dataset_assets.core.names import file_identifier
from dataset_assets.core.redact import redacted
from dataset_assets.core.scratch import scratch_folder
from dataset_assets.core.settings import settings
from dataset_assets.decoding.column_samples import column_samples
from dataset_assets.definition.check_names import Check
from dataset_assets.definition.dataset import Dataset, DerivedFile, RemoteFile, Split
from dataset_assets.errors import RetrievalError, UsageError
from dataset_assets.formats import Format
from dataset_assets.retrieval import fetch_first
from dataset_assets.retrieval.local import path_of
from dataset_assets.sources.archives import is_archive, members_of
from dataset_assets.sources.array_splits import arrays_by_split, of_array_splits
from dataset_assets.sources.columns import Found
from dataset_assets.sources.croissant_file import croissant_of, tables_of
from dataset_assets.sources.dividing import WHOLE, divided, known_stream
from dataset_assets.sources.folders import Inferred, files_in, of_paths
from dataset_assets.sources.in_place import OutsidePath, check_stays, in_place
from dataset_assets.sources.inside_archives import defined, extract, parted
from dataset_assets.sources.kinds import Reader, name_for, options_of, reader_of, settled
from dataset_assets.sources.listing import is_listed, listing_of
from dataset_assets.sources.made_names import called, note_source, place_of
from dataset_assets.sources.named_files import of_named_files
from dataset_assets.sources.options import in_options
from dataset_assets.sources.parts import Part, is_url, parts_in
from dataset_assets.sources.several import streams_in

log = logging.getLogger(__name__)


def dataset_from(
    source: Any,
    *,
    name: str | None = None,
    target: str | None = None,
    splits: Mapping[str, float] | None = None,
    options: Mapping[str, Any] | None = None,
    config: str | None = None,
    group_by: str | None = None,
    hash_by: str | None = None,
    summary: str | None = None,
    license: str | None = None,
    checks: Mapping[str, str | Check] | None = None,
    materialize: bool = False,
    copy: bool = True,
) -> Dataset:
    """Look at a source and return a dataset of it: its streams with formats, dtypes and classes, its splits and roles.

    `source` is a path or URL of a CSV, TSV, JSON, JSON lines, Parquet, Arrow, numpy, safetensors, HDF5, Excel, SQLite,
    TFRecord or text file; a folder of such files; a folder or an archive of pictures, texts or sounds, with folders for
    splits and classes; a list of paths, or a pattern with `*`, of tables, pictures or sounds; `hf://OWNER/NAME`; a
    prefix of a bucket; a DataFrame, a table of Arrow, a mapping of arrays, or a Hugging Face Dataset; or a mapping of
    splits to these. What is in memory is stored as a file below the home.

    `target` names the column to be predicted; texts in it become classes. `splits={"train": 0.8, "test": 0.2}` divides
    the samples, with equal shares of each class, or of each value of a target of few whole numbers; with
    `group_by="patient"` all samples of one value of a stream stay together, and with `hash_by="id"` a hash of the value
    decides. What is divided so stores the numbers of its rows; with `materialize=True` it stores the values again, for
    speed. With `copy=False` Parquet files, WebDataset archives and files of a folder, here or in a bucket, stay
    where they are, and are read there. `config` is a
    configuration of a dataset of the Hugging Face Hub. `options` are those of the decoder, such
    as `{"encoding": "latin-1"}` or `{"header": False, "columns": ["a", "b"]}` for CSV; of a folder of pictures or
    sounds, those of `Image` or `Audio`, such as `{"mode": "RGB"}`.

    `checks` are those of a definition, such as `{"leakage": "warn"}`, which is what `splits=` chooses: some rows of a
    table are often equal, and those that a file or folder gives for several splits are still an error.

    What was inferred is fixed: data that does not fit it later is an error. Raises `UsageError` for a source that it
    does not know, and the errors of decoders.

    >>> from dataset_assets import prepare
    >>> birds = dataset_from("birds.csv", target="species", splits={"train": 0.8, "test": 0.2})
    >>> prepare(birds)["train"]
    """
    found = inferred(
        source, target, splits, options, config, group_by=group_by, hash_by=hash_by, materialize=materialize, copy=copy
    )
    chosen = {**({"leakage": "warn"} if splits else {}), **(checks or {})}
    return dataset_of(found, source, name=name, summary=summary, license=license, checks=chosen)


def inferred(
    source: Any,
    target: str | None = None,
    splits: Mapping[str, float] | None = None,
    options: Mapping[str, Any] | None = None,
    config: str | None = None,
    *,
    group_by: str | None = None,
    hash_by: str | None = None,
    materialize: bool = False,
    copy: bool = True,
) -> Inferred:
    """Look at a source and return what was inferred of it."""
    if not copy:
        check_stays(source)
    found = _inferred(source, target, options or {}, config, copy)
    found = found if copy else in_place(found)
    if splits is None and (group_by or hash_by or materialize):
        raise UsageError(
            "group_by=, hash_by= and materialize= say how splits= divides. Give splits= too, or leave them out."
        )
    return found if splits is None else found._replace(splits=divided(found, splits, group_by, hash_by, materialize))


def dataset_of(
    found: Inferred,
    source: Any,
    *,
    name: str | None = None,
    summary: str | None = None,
    license: str | None = None,
    checks: Mapping[str, str | Check] | None = None,
) -> Dataset:
    """Return the dataset of what was inferred of a source, which names it if no name is given."""
    if name is None:
        name = name_for(called(source))
        note_source(name, place_of(source, found.streams))
    return Dataset(
        name=name,
        summary=summary or f"Inferred from {called(source)}.",
        streams=found.streams,
        splits=found.splits,
        sample=found.sample,
        target=found.target,
        license=license,
        checks=checks or {},
    )


def _inferred(source: Any, target: str | None, options: Mapping[str, Any], config: str | None, copy: bool) -> Inferred:
    if is_listed(source):
        _check_online(source)
        listing = listing_of(source, config)
        parts = {split: Part.listed(some) for split, some in (listing.tables or {WHOLE: listing.files}).items()}
        if (archive := _archive(parts, options, copy)) is not None:
            return archive._replace(target=known_stream(target, archive) or archive.target)
        if listing.tables is None:
            tree = RemoteFile(listing.url, identifier="folder", keep=False)
            return _of_files(listing.url, [one.path for one in listing.files], tree, target, options)
        return _of_tables(parts, target, options, copy)
    if is_url(source):
        _check_online(os.fsdecode(source))
    if (croissant := croissant_of(source)) is not None:
        tables = tables_of(*croissant, config)
        if not copy and any("#" in one.url for some in tables.values() for one in some):
            raise UsageError("Files inside of an archive cannot stay where they are. Use copy=True.")
        return _of_tables({split: Part.listed(some) for split, some in tables.items()}, target, options, copy)
    if config is not None:
        raise UsageError("config= is that of a dataset of the Hugging Face Hub, or of a Croissant file. Leave it out.")
    parts = parts_in(source)
    folders = [path for part in parts.values() for path in part.paths if path.is_dir()]
    if folders and (len(parts) > 1 or any(len(part.paths) > 1 for part in parts.values())):
        raise UsageError(f"{folders[0]} is a folder. Give one folder that has a folder for each split.")
    if folders:
        tree = RemoteFile(folders[0].as_uri(), identifier="folder", keep=False)
        return _of_files(str(folders[0]), files_in(folders[0]), tree, target, options)
    if (archive := _archive(parts, options, copy)) is not None:
        return archive._replace(target=known_stream(target, archive) or archive.target)
    if (named := of_named_files(parts, _files_of(parts), options)) is not None:
        return named._replace(target=known_stream(target, named) or named.target)
    return _of_tables(parts, target, options, copy)


def _archive(parts: Mapping[str, Part], options: Mapping[str, Any], copy: bool) -> Inferred | None:
    """Infer a dataset from an archive of files; None for other sources, and for one of WebDataset."""
    part = next(iter(parts.values()))
    if len(parts) > 1 or len(part.paths) > 1 or not is_archive(part.paths[0].name):
        return None
    with scratch_folder(settings().scratch) as folder:
        path: Any = _here(part.paths[0], part.urls[0], folder) if copy else OutsidePath(part.urls[0])
        found = members_of(path)
    (file,) = _files_of(parts)[next(iter(parts))]
    if found is None or not isinstance(file, RemoteFile):
        return None
    return of_paths(redacted(file.name), found, file, options, is_archive=True)


def _of_files(
    where: str, paths: list[str], tree: RemoteFile, target: str | None, options: Mapping[str, Any]
) -> Inferred:
    found = of_paths(where, paths, tree, options)
    return found._replace(target=known_stream(target, found) or found.target)


def _of_tables(
    parts: Mapping[str, Part], target: str | None, options: Mapping[str, Any], copy: bool = True
) -> Inferred:
    """Infer the streams of all splits together, from all of their rows."""
    readers = [reader_of(path.name, options, path) for part in parts.values() for path in part.paths]
    reader = readers[0]
    if any(other != reader for other in readers):
        raise UsageError("The files are of several kinds. Give files of one kind, or a dataset for each.")
    classes = {column: names for part in parts.values() for column, names in part.classes.items()}
    with scratch_folder(settings().scratch) as folder, in_options(options_of(reader.name)):
        every = [pair for part in parts.values() for pair in zip(part.paths, part.urls)]
        paths: list[Any] = [_here(path, url, folder) if copy else OutsidePath(url) for path, url in every]
        reader = settled(reader, paths)
        classes |= {name: names for path in paths for name, names in reader.classes(path).items()}
        if (by_split := arrays_by_split(reader, paths)) is not None:
            files = next(iter(_files_of(parts).values()))
            return of_array_splits(reader, paths[0], by_split, target, partial(_split, files=files))
        names = [f"{path.name} of {split}" for split, part in parts.items() for path in part.paths]
        found = streams_in(reader, dict(zip(_distinct(names), paths)), target, classes)
    if not found:
        places = [redacted(url).removeprefix("file://") for part in parts.values() for url in part.urls]
        more = f" and {len(places) - 1} more have" if len(places) > 1 else " has"
        raise UsageError(f"{places[0]}{more} no rows, so nothing can be inferred. Give a file that has some.")
    _see_header(reader, found)
    reader = _typed(reader, found)
    plain = {one.name: one.plain for one in found}
    splits = {split: _split(reader, plain, files) for split, files in _files_of(parts).items()}
    streams: dict[str, Format] = {one.name: one.format for one in found}
    chosen = next((one.name for one in found if one.plain["from"] == target), None)
    sample = next((name for name in streams if name != chosen), None) if len(streams) == 2 and chosen else None
    tally = next((one.tally for one in found if one.name == chosen), None)
    return Inferred(streams, splits, sample, chosen, {one.name: one.why for one in found}, tally)


def _see_header(reader: Reader, found: Sequence[Found]) -> None:
    """Warn if the first row of CSV, which was taken for names, has a number or a date, as samples have."""
    names = [one.plain["from"] for one in found] if reader.name == "csv_blocks" else []
    odd = next((name for name in names if re.fullmatch(r"-?\d+|\d{4}-\d\d-\d\d.*", name)), None)
    if odd is not None and reader.options.get("header", True):
        log.warning(
            "The first row was taken for the names of the columns, and %r is one of them. If that row is a sample, "
            'pass options={"header": False}.', odd,
        )  # fmt: skip


def _distinct(names: list[str]) -> list[str]:
    counts = Counter(names)
    return [f"{name} ({k + 1})" if counts[name] > 1 else name for k, name in enumerate(names)]


def _typed(reader: Reader, found: Sequence[Found]) -> Reader:
    """Fix the types that were inferred of CSV, so that later rows do not change them."""
    if reader.name != "csv_blocks":
        return reader
    return Reader(
        reader.name, {**reader.options, "types": {one.plain["from"]: one.arrow for one in found if one.arrow}}
    )


def _split(reader: Reader, plain: Mapping[str, Any], files: Sequence[RemoteFile | DerivedFile]) -> Split:
    width = len(str(len(files) - 1))
    given = {f"file_{k:0{width}}": file for k, file in enumerate(files)}
    return Split(column_samples, read=reader.name, streams=plain, options=reader.options, **given)


def _files_of(parts: Mapping[str, Part]) -> dict[str, list[RemoteFile | DerivedFile]]:
    """Return the files of each split; those that have one name in several folders are numbered."""
    places = [url for part in parts.values() for url in part.urls]
    urls = dict.fromkeys([*(parted(url)[0] for url in places), *places])
    own_names = {url: file_identifier(parted(url)[1].replace("/", "_") or url) for url in urls}
    names = Counter(name.lower() for name in own_names.values())
    numbered = {url: f"_{k}" * (names[own_names[url].lower()] > 1) for k, url in enumerate(urls)}
    stated = {parted(url)[0]: one for part in parts.values() for url, one in part.stated.items()}

    def file(url: str) -> RemoteFile:
        digest, size = (f"sha256:{one.sha256}", one.size) if (one := stated.get(url)) and one.sha256 else (None, -1)
        return RemoteFile(url, (), digest, None if size < 0 else size, own_names[url] + numbered[url])

    return {split: [defined(url, file, numbered[url]) for url in part.urls] for split, part in parts.items()}


def _here(path: Path, url: str, folder: Path) -> Path:
    """Return a file on this machine; one at a URL is retrieved to be looked at, and one in an archive is extracted."""
    archive, inside = parted(url)
    if inside:
        whole = _here(Path(urlsplit(archive).path), archive, folder)
        (folder / (name := sha256_hex(url.encode())[:16])).mkdir(exist_ok=True)
        return extract(whole, inside, folder / name / path.name)
    if url.startswith("file:"):
        return path_of(url)
    _check_online(url)
    # Files of one name may lie in several folders.
    into = folder / sha256_hex(url.encode())[:16] / path.name
    if not into.exists():
        into.parent.mkdir(exist_ok=True)
        fetch_first([url], into, None, lambda path: None, lambda done, total: None)
    return into


def _check_online(url: str) -> None:
    """Raise `RetrievalError` if a source needs the network, which the setting `offline` forbids."""
    if settings().offline:
        raise RetrievalError(
            f"{redacted(url)} was not looked at, because the setting `offline` is on. Switch it off: "
            "DATASET_ASSETS_OFFLINE=0"
        )
