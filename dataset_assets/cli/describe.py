"""Describes a dataset: its definition, what is in a storage, and the paths of its files."""

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Callable, Container, Iterator
from urllib.parse import unquote, urlsplit

from dataset_assets import datasets
from dataset_assets.core.commands import command
from dataset_assets.core.names import split_member
from dataset_assets.core.redact import redacted
from dataset_assets.definition.dataset import Dataset, RemoteFile, SplitOf, links_of
from dataset_assets.definition.family import Family
from dataset_assets.errors import (
    DatasetAssetsError,
    Refused,
    StorageError,
    StoredFileDamaged,
    UnknownStream,
    UsageError,
    nearest,
)
from dataset_assets.making.provisional import is_proven
from dataset_assets.making.raw_files import is_as_meant, meant_raw
from dataset_assets.making.terms import accepted
from dataset_assets.storage import Storage
from dataset_assets.storage.aliases import aliases_in, aliases_of
from dataset_assets.storage.keys import Contents, contents, folded, index_key, pointer_key, version_key
from dataset_assets.storage.listing import listed_versions, relisted, whole
from dataset_assets.storage.manifest import SplitIndex, check_split
from dataset_assets.storage.raw_files import RawFile
from dataset_assets.storage.storage import listed
from dataset_assets.storage.stored_dataset import StoredDataset

Document = dict[str, Any]
MEMBERS_SHOWN = 20


def describe(dataset: Dataset, storage: Storage) -> Document:
    """Return the full description of a dataset as JSON values; `problem` says how its current version is damaged."""
    stored = StoredDataset(storage, dataset.name).remembering()
    there = stored.listed()
    released = current_document(stored, there) or {}
    files = {name: _file(stored, file, there) for name, file in dataset.remote_files.items()}
    return {
        "id": released.get("id", dataset.name),
        "name": dataset.name,
        "axes": split_member(dataset.name)[1],
        "summary": dataset.summary,
        "license": dataset.license,
        "terms": dataset.terms,
        "terms_accepted": accepted(dataset),
        "homepage": dataset.homepage,
        "citation": dataset.citation,
        "aliases": list(dict.fromkeys([*dataset.aliases, *aliases_of(stored)])),
        "tags": list(dataset.tags),
        "tasks": list(dataset.tasks),
        "refresh": dataset.refresh,
        "definition": dataset.version,
        "streams": {name: _stream(kind) for name, kind in dataset.streams.items()},
        "roles": dict(dataset.roles),
        "files": files,
        "made_of": {split: sources for split in dataset.splits if (sources := _sources(dataset, split))},
        "splits": {split: released.get("splits", {}).get(split) for split in dataset.splits},
        "state": _together([*(file["state"] for file in files.values()), "complete" if released else "none"]),
        "version": released.get("version"),
        "problem": released.get("problem"),
        "storage": storage.url,
        "verified": datasets.verified(dataset.name),
    }


def describe_family(family: Family) -> Document:
    """Return the description of a family as JSON values: its axes, the first members, and a command that works."""
    return {
        "name": family.name,
        "summary": family.summary,
        "axes": {
            axis.name: {
                "type": axis.kind,
                "values": family.choices.get(axis.name),
                "default": axis.default,
                "identity": axis.identity,
            }
            for axis in family.axes
        },
        "count": family.count(),
        "members": family.first_members(most=MEMBERS_SHOWN),
        "example": command(f"prepare {family.example_name}"),
    }


def current_documents(storage: Storage) -> list[Document]:
    """Return the current version of each stored dataset, with its aliases. Raises `ListingCut`."""
    aliases: dict[str, list[str]] = {}
    for alias, dataset in aliases_in(storage).items():
        aliases.setdefault(dataset, []).append(alias)
    every = [current_document(stored, there) for stored, there in stored_datasets(storage)]
    return [{**document, "aliases": aliases.get(document["name"], [])} for document in every if document]


def current_document(stored: StoredDataset, there: Contents | None = None) -> Document | None:
    """Return the current version of a dataset, or its `problem` if it is damaged; None if no version is stored.

    `there` is a listing of the dataset. Raises `StorageError` if the storage refuses or fails: that is no problem of
    the dataset.
    """
    try:
        return released_version(stored, there)
    except StorageError:
        raise
    except DatasetAssetsError as error:
        return {"id": stored.name, "name": stored.name, "version": None, "problem": str(error)}


def released_version(stored: StoredDataset, there: Contents | None = None) -> Document | None:
    """Return the current version of a dataset and its splits, or None if no version is stored."""
    digest = stored.pointer().version
    return version_document(stored, digest, there) if digest else None


def version_document(stored: StoredDataset, digest: str, there: Contents | None = None) -> Document:
    """Return one version and its splits; a file that is gone has no path. `there` is a listing of the dataset."""
    name, storage, version = stored.name, stored.storage, stored.version(digest)
    path = partial(path_of, storage, listed=(there or stored.listed()).keys())
    indexes = {split: stored.index(split, at) for split, at in version.splits.items()}
    return {
        "id": f"{name}@{digest}",
        "name": name,
        "version": digest,
        "samples": sum(index.samples for index in indexes.values()),
        "bytes": sum(index.bytes for index in indexes.values()),
        "splits": {split: _split(index, version.splits[split], path) for split, index in indexes.items()},
        "findings": [{**vars(finding)} for finding in version.findings],
        "path": path(version_key(name, digest)),
        "storage": storage.url,
        "problem": None,
    }


def stored_names(storage: Storage) -> Iterator[str]:
    """Yield the names of the datasets that are released in a storage. Raises `ListingCut`."""
    return (stored.name for stored, _ in stored_datasets(storage))


def stored_datasets(storage: Storage) -> Iterator[tuple[StoredDataset, Contents]]:
    """Yield the datasets that are released in a storage, and what is listed of each. Raises `ListingCut`."""
    for name, there in sorted(contents(listed(storage, ""))[0].items()):
        # A listing may omit an object that exists.
        stored = StoredDataset(storage, name)
        # One whose folder is a link is shown with that problem.
        with suppress(Refused):
            stored = stored.own_named()
            there = relisted(stored, there, [pointer_key(name)]) or there
        if there.of("pointer"):
            yield stored, there


def versions_of(stored: StoredDataset) -> list[Document]:
    """Return every stored version of a dataset, the current one first."""
    name, stored = stored.name, stored.remembering()
    there = whole(stored, folders=[("versions",)])
    current = stored.pointer().version
    documents = []
    for digest in sorted(listed_versions(there) | ({current} if current else set())):
        try:
            document = version_document(stored, digest, there)
        except StorageError:
            raise
        except DatasetAssetsError as error:
            document = {"id": f"{name}@{digest}", "name": name, "version": digest, "problem": str(error)}
        documents.append({**document, "current": digest == current})
    return sorted(documents, key=lambda document: not document["current"])


def paths_of(version: Document, split: str | None = None, stream: str | None = None) -> list[str]:
    """Return the path of a version, or the paths of the files of a split, or of one of its streams."""
    if split is None:
        return [version["path"]]
    check_split(version["name"], split, version["splits"])
    of = version["splits"][split]
    streams = of["streams"]
    if stream is not None and stream not in streams:
        raise UnknownStream(f"{version['name']} {split} has no stream {stream!r}.{nearest(stream, streams)}")
    if why := _no_files(of):
        raise UsageError(f"{version['name']}, split {split}, has no files of its own: {why}. Open it with load.")
    paths = [file["path"] for name in ([stream] if stream else streams) for file in streams[name]["files"]]
    if None in paths:
        raise StoredFileDamaged(
            f"A file of {version['name']}, split {split}, is missing in {version['storage']}. "
            f"Repair it with: {command('prepare ' + version['name'], version['storage'])}"
        )
    return paths


def _no_files(split: Document) -> str | None:
    """Return why the files of a split's streams are not its samples; None if they are."""
    if split.get("rows"):
        return f"it stores the numbers of its rows in the split {split['rows']['split']}"
    if objects := split.get("objects"):
        return f"its values stay in {objects[0]}{f' and {len(objects) - 1} more' if objects[1:] else ''}"
    return None


def path_of(storage: Storage, key: str, listed: Container[str] = ()) -> str | None:
    """Return the path of an object on a local disk, else its URL; None if the object does not exist.

    Only a key that was not listed is asked for.
    """
    if folded(key) not in listed and not storage.exists(key):
        return None
    parts = urlsplit(storage.url)
    return str(Path(unquote(parts.path)) / key) if parts.scheme == "file" else f"{storage.url}/{key}"


def _sources(dataset: Dataset, split: str) -> list[str]:
    """Return the splits that a split is made of, and what it takes from other datasets."""
    links = [
        f"{link.dataset}/{link.split if isinstance(link, SplitOf) else link.file}"
        for link in links_of(dataset.splits[split])
    ]
    return [*dataset.sources_of(split), *links]


def _file(stored: StoredDataset, file: RemoteFile, there: Contents) -> Document:
    sizes = {place.key: place.stat.bytes for place in there.of("raw") if place.stat}
    meant = meant_raw(stored, file)
    usable = meant if meant and is_as_meant(stored, file, meant, sizes) else None
    # Partial: left by a killed process, partly deleted, or of an earlier definition.
    some = any(place.name == file.identifier for kind in ("raw", "source") for place in there.of(kind))
    return {
        "urls": [redacted(url) for url in file.urls],
        "digest": file.digest,
        "state": _state(stored, usable) if usable else "partial" if some else "none",
        "bytes": usable.bytes if usable else file.size,
        "sha256": usable.sha256 if usable else None,
        "path": path_of(stored.storage, stored.raw_key(usable), there.keys()) if usable and file.keep else None,
    }


def _state(stored: StoredDataset, raw: RawFile) -> str:
    """Return "complete", or "provisional" for bytes of which no split was made yet."""
    return "complete" if is_proven(stored, raw) else "provisional"


def _together(states: list[str]) -> str:
    return states[0] if len(set(states)) == 1 else "partial"


def _split(index: SplitIndex, digest: str, path: Callable[[str], str | None]) -> Document:
    more: Document = {"rows": {"split": index.rows.split, "index": index.rows.index}} if index.rows else {}
    if index.placed:
        more["objects"] = [one.url for one in index.placed.objects]
    return {
        **more,
        "samples": index.samples,
        "bytes": index.bytes,
        "digest": digest,
        "path": path(index_key(index.dataset, index.split, digest)),
        "streams": {
            name: {
                "type": stream.in_words,
                "bytes": stream.bytes,
                "classes": stream.parameters.get("classes"),
                "files": [
                    {
                        "path": path(index.key_of(name, file)),
                        "sha256": file.sha256,
                        "bytes": file.bytes,
                        "samples": file.samples,
                    }
                    for file in stream.files
                ],
            }
            for name, stream in index.streams.items()
        },
    }


def _stream(kind: Any) -> Document:
    return {"format": kind.name, **kind.parameters()}
