"""Makes stored files of values that stay where they are, for a copy: a new version with a digest of its own."""

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Mapping

from dataset_assets.core import files
from dataset_assets.core.canonical import canonical, digest_of, sha256_hex
from dataset_assets.core.names import storage_key
from dataset_assets.core.settings import settings
from dataset_assets.formats import format_named
from dataset_assets.moving.parcel import Parcel, pieces_of
from dataset_assets.reading.in_place import blocks_of
from dataset_assets.reading.load import open_split
from dataset_assets.storage import LocalStorage, Storage
from dataset_assets.storage.format_numbers import format_of
from dataset_assets.storage.keys import index_key, version_key
from dataset_assets.storage.manifest import SplitIndex, StoredFile, StoredStream, Version, parse_index, parse_version
from dataset_assets.storage.storage import sizes_of
from dataset_assets.storage.stored_dataset import UNUSABLE, StoredDataset

log = logging.getLogger(__name__)


def materialized(
    wanted: Parcel, source: Storage, folder: Path, target: Storage | None = None
) -> tuple[Parcel, Storage]:
    """Return a parcel without values that stay where they are, and the storage in a folder that has their files.

    Those of a split whose copy is whole in the current version of the target are not read again. Raises `Refused` for
    objects below no root that is allowed, and `ObjectReplaced`.
    """
    stored = StoredDataset(source, wanted.dataset).remembering()
    there = StoredDataset(target, wanted.dataset).remembering() if target is not None else None
    work = _Materializer(wanted, stored, LocalStorage(folder / "materialized"), there)
    for digest in wanted.versions:
        work.see_version(digest)
    return work.wanted, work.staging


def is_copy(source: Storage, target: Storage, name: str, version: str, other: str) -> bool:
    """Say whether a version in the target is the copy of one whose values stay where they are in the source."""
    with suppress(*UNUSABLE):
        ours, theirs = (
            StoredDataset(*one).version(at) for one, at in (((source, name), version), ((target, name), other))
        )
        return theirs.recipe == _recipe(ours.recipe)
    return False


@dataclass
class _Materializer:
    wanted: Parcel
    stored: StoredDataset
    staging: LocalStorage
    target: StoredDataset | None

    def __post_init__(self) -> None:
        self.made: dict[tuple[str, str], tuple[str, SplitIndex]] = {}
        # What the parcel has read is not read again.
        self.read = {**self.wanted.documents, **self.wanted.indexes}

    def see_version(self, digest: str) -> None:
        """Replace a version in the parcel if the values of one of its splits are not stored."""
        version = self._version(digest)
        found = {split: self._index(split, at) for split, at in version.splits.items()}
        splits = {split: at for split, (at, _) in found.items()}
        if splits == dict(version.splits):
            return
        made = replace(version, splits=splits, recipe=_recipe(version.recipe))
        wanted, name, new = self.wanted, self.stored.name, digest_of(made)
        for key in (version_key(name, digest), *(index_key(name, *one) for one in version.splits.items())):
            wanted.documents.pop(key, None)
            wanted.indexes.pop(key, None)
        wanted.documents[version_key(name, new)] = canonical(made)
        for split, (at, index) in found.items():
            wanted.indexes[index_key(name, split, at)] = canonical(index)
            wanted.pieces |= {piece.key: piece for piece in pieces_of(index)}
        wanted.versions = tuple(new if one == digest else one for one in wanted.versions)
        wanted.pinned = tuple(new if one == digest else one for one in wanted.pinned)
        wanted.current = new if wanted.current == digest else wanted.current
        log.warning("%s@%s reads objects where they are. Its copy, with all values, is %s@%s.", name, digest, name, new)

    def _version(self, digest: str) -> Version:
        key, stored = version_key(self.stored.name, digest), self.stored
        data = self.read.get(key)
        return parse_version(data, key, stored.name, digest, stored.storage.url) if data else stored.version(digest)

    def _stored_index(self, split: str, digest: str) -> SplitIndex:
        key, stored = index_key(self.stored.name, split, digest), self.stored
        if data := self.read.get(key):
            return parse_index(data, key, stored.name, split, digest, stored.storage.url)
        return stored.index(split, digest)

    def _index(self, split: str, digest: str) -> tuple[str, SplitIndex]:
        """Return the index of a split whose values are stored, with its digest."""
        key = split, digest
        if key not in self.made:
            index = self._stored_index(split, digest)
            if index.placed and index.rows:
                index = self._with_rows(index, *self._index(index.rows.split, index.rows.index))
            elif index.placed:
                open_split(self.stored, split, digest)  # which raises `Refused` for other roots
                index = self._copied_before(index) or self._written(index)
            self.made[key] = digest_of(index) if index.recipe != self._stored_index(*key).recipe else digest, index
        return self.made[key]

    def _with_rows(self, index: SplitIndex, digest: str, whole: SplitIndex) -> SplitIndex:
        assert index.rows is not None  # as the caller saw
        rows = replace(index.rows, index=digest)
        number, recipe = format_of(index.excluded, divided=True), _recipe(index.recipe)
        return replace(index, streams=whole.streams, rows=rows, placed=None, format=number, recipe=recipe)

    def _copied_before(self, index: SplitIndex) -> SplitIndex | None:
        """Return the index of a split in the target if it is the copy of this one, and none of its files is missing."""
        current = self.target.current().version if self.target is not None else None
        if self.target is None or current is None or index.split not in current.splits:
            return None
        with suppress(*UNUSABLE):
            theirs = self.target.index(index.split, current.splits[index.split])
            if theirs == self._with_streams(index, theirs.streams) and self._is_whole(theirs):
                return theirs
        return None

    def _is_whole(self, index: SplitIndex) -> bool:
        assert self.target is not None  # as the caller saw
        pieces = {piece.key: piece.bytes for piece in pieces_of(index)}
        return sizes_of(self.target.storage, storage_key(index.dataset), pieces) == pieces

    def _written(self, index: SplitIndex) -> SplitIndex:
        return self._with_streams(index, {name: self._stream(index, name) for name in index.streams})

    def _with_streams(self, index: SplitIndex, streams: Mapping[str, StoredStream]) -> SplitIndex:
        number, recipe = format_of(index.excluded), _recipe(index.recipe)
        return replace(index, streams=streams, placed=None, format=number, recipe=recipe)

    def _stream(self, index: SplitIndex, name: str) -> StoredStream:
        """Write all values of a stream, as a split that stores them has them."""
        said = index.streams[name]
        kind: Any = format_named(said.format, said.parameters)
        files.make_folder(self.staging.root)
        with TemporaryDirectory(prefix=".writing", dir=self.staging.root) as folder:
            writer = kind.writer(Path(folder), settings().file_bytes)
            for block in blocks_of(index, self.stored.storage.url, name):
                writer.append(block)
            parts, parameters = writer.close()
            stored = tuple(StoredFile(part.sha256, part.bytes, part.samples) for part in parts)
            stream = StoredStream(kind.name, parameters, kind.version, kind.suffix, stored)
            where = replace(index, streams={name: stream})
            for part, file in zip(parts, stored):
                self.staging.put(where.key_of(name, file), part.path)
        return stream


def _recipe(recipe: str) -> str:
    """Return the recipe of a copy: none that a definition has, which names the objects."""
    return sha256_hex(f"materialized {recipe}".encode())
