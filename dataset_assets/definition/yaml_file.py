"""Definitions without code: a YAML file that says where the files are and which columns, keys or files the streams are.

```yaml
name: org.example.reviews
summary: Five book reviews with one to five stars.
kind: table
streams:
  text: text
  stars: {format: array, dtype: uint8}
splits:
  train: {url: "https://example.org/train.csv", digest: "sha256:..."}
```

It names formats and data, and never a function. `yaml_schema.py` has its JSON Schema.
"""

from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping
from urllib.parse import urlsplit

import numpy

from dataset_assets.core import plugins
from dataset_assets.core.documents import UNFIT, Unfit, read_as
from dataset_assets.core.given_path import given_path
from dataset_assets.core.names import check_identifier
from dataset_assets.core.yaml_text import MOST_BYTES, Document, NotYaml, read_yaml
from dataset_assets.definition.archive_files import extracted_file
from dataset_assets.definition.dataset import Dataset, DerivedFile, Split, SplitOf
from dataset_assets.definition.plain_splits import CONTENT, PARTS, file_samples, line_samples, table_samples
from dataset_assets.definition.remote_file import RemoteFile
from dataset_assets.definition.yaml_model import Division, Kind, Source, Written
from dataset_assets.errors import DefinitionError, UsageError, nearest
from dataset_assets.formats import FORMATS, Array, Format, Table
from dataset_assets.formats.type_names import type_named


def dataset_from_yaml(path: Path | str) -> Dataset:
    """Return the dataset of a YAML file. Raises `DefinitionError` with the line and the key of what is wrong.

    >>> dataset_from_yaml("reviews.yaml").name
    'org.example.reviews'
    """
    path = given_path(path)
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}). Write the path of a YAML file.") from error
    try:
        document = read_yaml(data)
    except NotYaml as error:
        raise DefinitionError(f"{path}, line {error.line}: {error}") from error
    try:
        return _dataset(document, path.absolute().parent)
    except Unfit as error:
        line, key = document.line_of(error.place), error.place or "the file"
        end = "" if error.why.endswith((".", "?")) else "."
        raise DefinitionError(f"{path}, line {line}, {key}: {error.why}{end}") from error


def _dataset(document: Document, folder: Path) -> Dataset:
    written: Written = read_as(Written, document.value)
    streams, plain = {}, {}
    for name, said in written.streams.items():
        with _inside("streams", name):
            check_identifier(name, "stream")
            streams[name], plain[name] = _stream(written.kind, said)
    with _inside("read"):
        written.read.checked()
    splits: dict[str, Split] = {}
    for name, source in written.splits.items():
        with _inside("splits", name):
            check_identifier(name, "split")
            splits[name] = _split(written, source, plain, folder)
    for number, division in enumerate(written.divisions):
        with _inside("divisions", number):
            splits |= _parts(division, splits)
    same = {each.name for each in fields(Dataset)} & {each.name for each in fields(Written)} - {"streams", "splits"}
    return _checked({"streams": streams, "splits": splits}, {name: getattr(written, name) for name in same})


def _checked(made: dict[str, Any], given: dict[str, Any]) -> Dataset:
    """Return the dataset. If it is refused, find the field for which it is: the one that alone is refused too."""
    try:
        return Dataset(**made, **given)
    except UsageError as error:
        least = {"name": "org.example.name", "summary": "A summary."}
        for name, value in given.items():
            try:
                Dataset(**made, **{**least, name: value})
            except UsageError as cause:
                raise Unfit(str(cause).removeprefix("org.example.name: "), name) from error
        raise Unfit(str(error)) from error


@contextmanager
def _inside(*places: object) -> Iterator[None]:
    """Add the place to an error."""
    try:
        yield
    except UNFIT as error:
        found = error if isinstance(error, Unfit) else Unfit(str(error))
        for place in reversed(places):
            found = found.inside(place)
        raise found from error


def _stream(kind: Kind, said: str | Mapping[str, Any]) -> tuple[Format, dict[str, Any]]:
    """Return a stream's format, and what the split function has to know of it."""
    given = {"format": said} if isinstance(said, str) else dict(said)
    name, source = given.pop("format", None), given.pop("from", None)
    made = _format(name, given)
    classes = list(made.classes) if isinstance(made, Array) and made.classes else None
    dtype = str(numpy.dtype(made.dtype)) if isinstance(made, Array) and made.dtype else None
    table = dict(made.fields) if isinstance(made, Table) and made.fields else None
    if kind == "table" and name != "text" and not (classes or dtype or table):
        raise Unfit(
            "needs a type, because CSV has only texts. Write text, an array with a dtype or classes, or a table with "
            "fields."
        )
    return made, {"format": name, "from": _part(kind, source), "fields": table, "classes": classes, "dtype": dtype}


def _format(name: Any, parameters: Mapping[str, Any]) -> Format:
    known = [*FORMATS, *plugins.names("formats")]
    if not isinstance(name, str) or name not in known:
        raise Unfit(f"is {name!r:.80}, which is no format.{nearest(str(name), known)}", "format")
    made: Format = read_as(FORMATS.get(name) or plugins.provided("formats", name), parameters)
    for field, kind in dict(made.fields or ()).items() if isinstance(made, Table) else ():
        with _inside("fields", field):
            type_named(kind)
    return made


def _part(kind: Kind, source: Any) -> str | None:
    """Return what a stream is read from: a column, a key, or a part of a file; None if it has the stream's name."""
    if kind == "files" and source is None:
        return CONTENT
    if source is None or isinstance(source, str) and (kind != "files" or source in PARTS):
        return source
    expected = f"one of {', '.join(PARTS)}" if kind == "files" else "the name of a column or key"
    raise Unfit(f"is {source!r:.80}. Write {expected}.", "from")


def _split(written: Written, source: Source, streams: dict[str, Any], folder: Path) -> Split:
    file = _file(source, folder)
    if written.kind == "files":
        _refuse(source, "member", "For files write members, a pattern of their paths.")
        members = source.members if isinstance(source.members, str) else list(source.members)
        where = {"members": members, "below": source.below, "unwrap": source.unwrap}
        return Split(file_samples, archive=file, streams=streams, **where)
    for name in ("members", "below"):
        _refuse(source, name, "Write member, the path of one file in the archive.")
    read = file if source.member is None else _member(file, source)
    if written.kind == "json_lines":
        return Split(line_samples, lines=read, streams=streams)
    options = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(written.read).items()}
    return Split(table_samples, table=read, streams=streams, options=options)


def _refuse(source: Source, name: str, instead: str) -> None:
    if getattr(source, name) != getattr(Source, name):
        raise Unfit(f"is not for this kind of definition. {instead}", name)


def _member(archive: RemoteFile, source: Source) -> DerivedFile:
    path = str(source.member)
    name = f"{archive.identifier}_{path.replace('/', '_')}"
    return extracted_file(archive, path, unwrap=source.unwrap, name=name)


def _file(source: Source, folder: Path) -> RemoteFile:
    urls = [source.url] if isinstance(source.url, str) else [*source.url]
    if not all(urls) or not urls:
        raise Unfit("is empty. Write a URL, a path from the folder of this file, or a list of URLs.", "url")
    first, *others = urls
    if others:
        return RemoteFile(first.rpartition("/")[2], mirrors=(first, *others), digest=source.digest, size=source.size)
    # Without a scheme it is a path, from the folder of the definition.
    url = first if urlsplit(first).scheme else (folder / first).as_uri()
    return RemoteFile(url, digest=source.digest, size=source.size)


def _parts(division: Division, splits: Mapping[str, Split]) -> dict[str, Split]:
    if division.whole not in splits:
        raise Unfit(f"is {division.whole!r:.80}, which is not a split.{nearest(division.whole, splits)}", "whole")
    if twice := splits.keys() & division.ratios.keys():
        raise Unfit(f"names {min(twice)!r:.80}, which is a split already. Choose a different name.", "ratios")
    needs_by = division.operation in ("group_split", "hash_split")
    if needs_by and division.by is None:
        raise Unfit(f"has no field 'by', the stream that {division.operation} decides by.")
    given: dict[str, Any] = {"seed": division.seed}
    if division.by is not None:
        given["by"] = division.by
    divide: Callable[..., dict[str, Split]] = getattr(SplitOf(division.whole), division.operation)
    return divide(dict(division.ratios), **given)
