"""A version of a dataset as the files of a folder: `data` with a folder for each partition, and what lies beside it.

Names of files come from whoever released the version, so each is checked before anything is written.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator, Mapping, NamedTuple

from dataset_assets.core import files
from dataset_assets.core.canonical import sha256_hex
from dataset_assets.core.commands import command
from dataset_assets.core.documents import UNFIT, read_as
from dataset_assets.core.folder_tree import Entry
from dataset_assets.core.progress import report
from dataset_assets.definition.folders import BESIDE, LAYOUT, MANIFEST, STREAM
from dataset_assets.errors import DecodeError, Refused, SchemaError, StorageError, UsageError
from dataset_assets.formats import Member
from dataset_assets.moving.metadata import parsed_meta
from dataset_assets.reading.load import open_split, open_version
from dataset_assets.reading.views import Stored, View
from dataset_assets.storage import Storage
from dataset_assets.storage.stored_dataset import StoredDataset

# Nothing, a folder above or the same one, a backslash or a NUL; in any part of a path.
_UNSAFE = re.compile(r"(^|/)\.{0,2}(/|$)|[\\\0]")


class FolderFile(NamedTuple):
    """A file: its path in the folder, whether it is executable, and its content."""

    path: str
    executable: bool
    member: Member


@dataclass(frozen=True)
class Manifest:
    """What the split `layout` says of a registered folder: partitions by split, executable files, empty folders."""

    partitions: Mapping[str, str]
    executable: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


@dataclass(frozen=True)
class FolderFiles:
    """The files of a version. Its views are read when `files` is iterated."""

    name: str
    version: str
    manifest: Manifest
    streams: Mapping[str, tuple[Stored, tuple[str, ...]]] = field(repr=False)

    def files(self) -> Iterator[FolderFile]:
        """Yield the files, partition by partition. Raises `Refused` for a path that leads out of the folder."""
        executable = {*self.manifest.executable}
        for split, (view, streams) in self.streams.items():
            for stream in streams:
                below = self._below(split, stream if len(streams) > 1 else "")
                for (member,) in view.tuples(stream):
                    if (path := self._path(split, below, member.name)) is not None:
                        yield FolderFile(path, path in executable, member)

    def folders(self) -> list[str]:
        """Return the folders that may hold no file."""
        return [checked_path(path, self.name) for path in (*self.manifest.empty, *self._partitions())]

    def _partitions(self) -> list[str]:
        return [f"data/{name}" for split, name in self.manifest.partitions.items() if split in self.streams]

    def _below(self, split: str, stream: str) -> str:
        name = self.manifest.partitions.get(split, split)
        return f"data/{name}/{stream}/" if stream else f"data/{name}/"

    def _path(self, split: str, below: str, name: str) -> str | None:
        if split == LAYOUT and split not in self.manifest.partitions:
            return None if name == MANIFEST else checked_path(name.removeprefix(BESIDE), self.name)
        return checked_path(below + name, self.name)


def checked_path(path: str, dataset: str) -> str:
    """Return a path if it stays in its folder. Raises `Refused`."""
    if _UNSAFE.search(path):
        raise Refused(f"{dataset} has a file named {path[:200]!r}, which leads out of its folder. Do not use it.")
    return path


def folder_files(name: str, storage: Storage) -> FolderFiles:
    """Open a version of a dataset as a folder. Raises `NotPrepared`, `UsageError` if it has no stream of files."""
    plain, _, pin = name.partition("@")
    stored, version, digest = open_version(StoredDataset(storage, plain), pin or None)
    streams: dict[str, tuple[Stored, tuple[str, ...]]] = {}
    kinds: dict[str, str] = {}
    for split, at in sorted(version.splits.items()):
        formats = {stream: one.format for stream, one in stored.index(split, at).streams.items()}
        kinds |= formats
        view = open_split(stored, split, at, digest)
        streams[split] = view, tuple(stream for stream, kind in formats.items() if kind == "files")
    if not any(found for _, found in streams.values()):
        shown = ", ".join(f"{stream} ({kind})" for stream, kind in kinds.items())
        raise UsageError(
            f"{stored.name} has no stream of files, but {shown}. Export it as files with: "
            f"{command(f'export {stored.name} --as files --to DIR', storage.url)}"
        )
    return FolderFiles(stored.name, digest, _manifest(stored.name, streams), streams)


def _manifest(name: str, streams: Mapping[str, tuple[Stored, tuple[str, ...]]]) -> Manifest:
    """Return the manifest of a registered folder; of any other dataset, the splits are the partitions."""
    view = streams[LAYOUT][0] if LAYOUT in streams else None
    if view is None or not is_layout(LAYOUT, view):
        return Manifest({split: split for split in streams})
    try:
        manifest: Manifest = read_as(Manifest, json.loads(bytes(view[0][STREAM].data)))
    except UNFIT as error:
        raise DecodeError(f"The manifest of {name} is damaged ({error}). Pull it again with: --force") from error
    for part in manifest.partitions.values():
        if not isinstance(part, str) or "/" in checked_path(part, name):
            raise Refused(f"{name} has a partition named {part!r}, which is not the name of a folder. Do not use it.")
    return manifest


def is_layout(split: str, view: View) -> bool:
    """Return whether a split is what a registered folder holds beside its partitions."""
    first: Any = view[0].get(STREAM) if split == LAYOUT and view.streams == (STREAM,) and len(view) else None
    return isinstance(first, Member) and first.name == MANIFEST


def meta_of(stored: StoredDataset, version: str) -> dict[str, Any]:
    """Return the metadata of a registered folder; empty for any other dataset."""
    at = stored.version(version).splits.get(LAYOUT)
    view = open_split(stored, LAYOUT, at, version) if at else None
    if view is not None and is_layout(LAYOUT, view):
        for (member,) in view.tuples(STREAM):
            if member.name == f"{BESIDE}meta.json":
                return parsed_meta(bytes(member.data), f"meta.json of {stored.name}")
    return {}


def write_folder(found: FolderFiles, root: Path) -> None:
    """Write the files of a version, read-only, into a new folder. Raises `SchemaError` for two files of one path."""
    made: set[str] = set()
    for folder in ("data", *found.folders()):
        _make(root, folder, made)
    total = sum(len(view) for view, _ in found.streams.values())
    for count, (path, executable, member) in enumerate(found.files()):
        try:
            _make(root, path.rpartition("/")[0], made)
            file = files.Written(root / path, mode=0o555 if executable else 0o444)
        except StorageError as error:
            if isinstance(error.__cause__, (FileExistsError, NotADirectoryError, IsADirectoryError)):
                raise SchemaError(
                    f"{found.name} has two files at the path {path!r}, or a file and a folder. Read it with load."
                ) from error
            raise
        try:
            file.write(member.data)
        finally:
            file.discard()
        report(found.name, count + 1, total)


def _make(root: Path, folder: str, made: set[str]) -> None:
    if folder not in made:
        with files.reported(root / folder):
            (root / folder).mkdir(parents=True, exist_ok=True)
        made.add(folder)


def changed_file(folder: Path, found: list[Entry], stored: FolderFiles) -> str | None:
    """Return the first file that differs between a folder and a version, as the start of a sentence; None if none."""
    there = {entry.path: entry for entry in found}
    for file in stored.files():
        entry, path = there.pop(file.path, None), folder / file.path
        if entry is None or entry.is_folder:
            return f"{path} was removed"
        if (entry.size, entry.executable) != (len(file.member.data), file.executable) or _differs(path, file.member):
            return f"{path} changed"
    known = {*stored.folders()}
    added = [entry.path for entry in there.values() if not entry.is_folder or entry.path not in known]
    return f"{folder / min(added)} was added" if added else None


def _differs(path: Path, member: Member) -> bool:
    return files.sha256_of(path) != sha256_hex(bytes(member.data))
