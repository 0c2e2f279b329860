"""What a dataset is made of in other datasets: their splits and files, as they are released in the storage now."""

from typing import BinaryIO

from dataset_assets.core.commands import command
from dataset_assets.definition.dataset import SplitOf
from dataset_assets.definition.links import FileOf
from dataset_assets.errors import NotPrepared
from dataset_assets.making.raw_files import check_raw
from dataset_assets.reading.load import open_split, open_version
from dataset_assets.reading.stored_files import index_of
from dataset_assets.reading.views import Stored
from dataset_assets.storage.licenses import see_allowed
from dataset_assets.storage.manifest import Version, check_split
from dataset_assets.storage.raw_files import RawFile, Source
from dataset_assets.storage.storage import Storage
from dataset_assets.storage.stored_dataset import StoredDataset

Link = SplitOf | FileOf


class Links:
    """Opens links. All that is taken from one dataset is of one version.

    Raises `NotPrepared` if none is released, and `Refused` if the setting `allow_licenses` does not allow its licence.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._opened: dict[str, tuple[StoredDataset, Version, str]] = {}
        self._views: dict[SplitOf, Stored] = {}
        self._files: dict[FileOf, RawFile] = {}
        self._undamaged: set[FileOf] = set()

    def source(self, link: Link) -> list[str]:
        """Return what identifies a link in a recipe."""
        stored = self._version(link)[0]
        if isinstance(link, SplitOf):
            return ["split", f"{stored.name}/{link.split}", self.view(link).origin.index]
        raw = self.raw(link)
        return [f"{stored.name}/{raw.name}", raw.url, raw.sha256]

    def argument(self, link: Link) -> dict[str, str]:
        """Return a link as the index of a split names it."""
        stored = self._version(link)[0]
        if isinstance(link, SplitOf):
            return {"dataset": stored.name, "split": link.split, "index": self.view(link).origin.index}
        return {"dataset": stored.name, "file": link.file}

    def view(self, link: SplitOf) -> Stored:
        """Open a split."""
        if link not in self._views:
            stored, version, digest = self._version(link)
            check_split(stored.name, link.split, version.splits)
            view = open_split(stored, link.split, version.splits[link.split], digest)
            see_allowed(index_of(view))
            self._views[link] = view
        return self._views[link]

    def raw(self, link: FileOf) -> RawFile:
        """Return the record of a file, with the bytes that the released version is made of."""
        if link not in self._files:
            self._files[link] = self._raw(link)
        return self._files[link]

    def open(self, link: FileOf) -> BinaryIO:
        """Open a file; it is hashed once. Raises `DigestMismatch`, and `NotPrepared` if its bytes are gone."""
        stored, raw = self._version(link)[0], self.raw(link)
        if link not in self._undamaged:
            check_raw(stored, raw)
            self._undamaged.add(link)
        return stored.open_raw(raw)

    def key(self, link: FileOf) -> str:
        """Return the key of a file."""
        return self._version(link)[0].raw_key(self.raw(link))

    def _raw(self, link: FileOf) -> RawFile:
        stored, version, _ = self._version(link)
        record = stored.raw(link.file)
        indexes = [stored.index(split, digest) for split, digest in version.splits.items()]
        for index in indexes:
            see_allowed(index)
        for used in (used for index in indexes for used in index.own_sources):
            if used.name == link.file and (not record or used.sha256 != record.sha256):
                # It was retrieved again, and no version was released since.
                return RawFile(used.name, used.sha256, used.bytes, used.url, None, Source(used.url))
        if record is None:
            again = command(f"prepare --refresh {stored.name}", self.storage.url)
            raise NotPrepared(
                f"The file {link.file} of {stored.name} is not in {self.storage.url}. Get it with: {again}"
            )
        return record

    def _version(self, link: Link) -> tuple[StoredDataset, Version, str]:
        name = str(link.dataset)
        if name not in self._opened:
            self._opened[name] = open_version(StoredDataset(self.storage, name).remembering())
        return self._opened[name]
