"""A dataset in a storage, as one value that answers what is stored of it."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import BinaryIO, Collection, Iterable, Mapping, NamedTuple

from dataset_assets.core import registered
from dataset_assets.core.canonical import canonical, sha256_hex
from dataset_assets.core.commands import command
from dataset_assets.core.documents import MOST_BYTES
from dataset_assets.core.files import sha256_in
from dataset_assets.core.names import SHARED, check_dataset_name, is_folder_name, plain_name, storage_key
from dataset_assets.errors import (
    DatasetAssetsError,
    DigestMismatch,
    IntegrityError,
    NewerFormat,
    NotFound,
    NotPrepared,
    StoredFileDamaged,
)
from dataset_assets.storage.documents import OPENED, Documents
from dataset_assets.storage.keys import (
    Contents,
    contents,
    excluded_key,
    index_key,
    part_key,
    place_of,
    pointer_key,
    raw_key,
    recipe_key,
    source_key,
    version_key,
)
from dataset_assets.storage.manifest import (
    SplitIndex,
    Version,
    bounded,
    how_to_open_another,
    how_to_repair,
    parse_index,
    parse_pointer,
    parse_version,
)
from dataset_assets.storage.part_record import PartRecord, part_bytes, part_in
from dataset_assets.storage.raw_files import RawFile, record_of
from dataset_assets.storage.storage import Storage, listed, open_object, put_all, size_of, sizes_of

UNUSABLE = (IntegrityError, NotFound)
"""What a damaged or missing document raises: it can be made again. A storage that fails raises something else."""


class Pointer(NamedTuple):
    """The digest of the current version, and the digest of the pointer itself, which `swap` expects."""

    version: str | None
    digest: str | None


class Current(NamedTuple):
    """The current version, its digest, and the digest of the pointer; None for what is absent or damaged."""

    version: Version | None
    digest: str | None
    pointer: str | None


READS_AT_ONCE = 16
"""How many small documents are read at once."""


@dataclass(frozen=True)
class StoredDataset:
    """A dataset in a storage; nothing of it need be stored yet. Raises `NameNotAllowed` for a name that is not valid.

    >>> StoredDataset(open_storage("/data/assets"), "com.lecun.mnist").current().digest
    """

    storage: Storage
    name: str
    documents: Documents | None = field(default=None, compare=False, repr=False)
    """Keeps the versions and indexes that were read, so that each is read once."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", check_dataset_name(self.name))

    def own_named(self) -> "StoredDataset":
        """Return it with the name that its version has, if its name is that of a member's folder."""
        if is_folder_name(self.name):
            with suppress(*UNUSABLE):
                if digest := self.pointer().version or min(self.versions(), default=None):
                    return replace(self, name=self.version(digest).dataset)
        return self

    def remembering(self) -> "StoredDataset":
        """Return the dataset for one piece of work, which reads each version and index once."""
        return replace(self, documents=Documents())

    def pointer(self, damage_is_absence: bool = False) -> Pointer:
        """Read the pointer; both digests are None if there is none. Raises `NewerFormat`.

        A damaged one raises `DecodeError`, or names no version if that is asked for.
        """
        key = pointer_key(self.name)
        data = self._read(key)
        if data is None:
            return Pointer(None, None)
        try:
            return Pointer(parse_pointer(data, key, self.name, self.storage.url), sha256_hex(data))
        except IntegrityError as error:
            if isinstance(error, NewerFormat) or not damage_is_absence:
                raise
            return Pointer(None, self._sha256(key))

    def exists(self) -> bool:
        """Say whether it has a current version, or any version."""
        return self.storage.exists(pointer_key(self.name)) or bool(self.versions())

    def version(self, digest: str) -> Version:
        """Read a version and verify its digest. Raises `NotPrepared`, `DigestMismatch`, `DecodeError`."""
        key = version_key(self.name, digest)
        return parse_version(self.version_bytes(digest), key, self.name, digest, self.storage.url)

    def version_bytes(self, digest: str) -> bytes:
        """Read a version's document and verify its digest. Raises `NotPrepared`, `DigestMismatch`."""
        return self._document(version_key(self.name, digest), digest, f"version {digest}")

    def index(self, split: str, digest: str) -> SplitIndex:
        """Read a split's index and verify its digest. Raises `NotPrepared`, `DigestMismatch`, `DecodeError`."""
        key = index_key(self.name, split, digest)
        return parse_index(self.index_bytes(split, digest), key, self.name, split, digest, self.storage.url)

    def index_bytes(self, split: str, digest: str) -> bytes:
        """Read the document of a split's index and verify its digest. Raises `NotPrepared`, `DigestMismatch`."""
        return self._document(index_key(self.name, split, digest), digest, f"index {digest} of split {split}")

    def current(self) -> Current:
        """Read the pointer and the version that it names; what is damaged counts as absent. Raises `NewerFormat`."""
        digest, pointer = self.pointer(damage_is_absence=True)
        try:
            return Current(self.version(digest) if digest else None, digest, pointer)
        except NewerFormat:
            raise
        except UNUSABLE:
            return Current(None, None, pointer)

    def excluded(self, fresh: bool = False) -> bytes:
        """Read the record of samples that were taken out on request; empty if there is none.

        One that was read before is remembered with the documents, unless it shall be `fresh`.
        """
        key = excluded_key(self.name)
        kept = self.documents.get(self.storage, key) if self.documents is not None and not fresh else None
        if kept is None:
            kept = self._read(key) or b""
            self._keep(key, kept)
        return kept

    def raw(self, file: str) -> RawFile | None:
        """Return the record of a raw file, whether or not its bytes are stored; None if it is absent or damaged."""
        key = source_key(self.name, file)
        data = self._read(key)
        return None if data is None else record_of(data, key, self.name)

    def has_raw(self, raw: RawFile, sizes: Mapping[str, int] = MappingProxyType({})) -> bool:
        """Say whether the bytes of a raw file are stored; only their number is compared.

        The storage is not asked if a listing showed that `sizes` has it.
        """
        key = self.raw_key(raw)
        return sizes.get(key) == raw.bytes or size_of(self.storage, key) == raw.bytes

    def open_raw(self, raw: RawFile, whole: bool = False) -> BinaryIO:
        """Open a raw file for reading, as `open_object` does: seekable, read when asked. Raises FileNotFoundError."""
        return open_object(self.storage, self.raw_key(raw), whole)

    def raw_key(self, raw: RawFile) -> str:
        """Return the key of a raw file's bytes."""
        return raw_key(self.name, raw.name, raw.sha256)

    def listed(self) -> Contents:
        """Return what one listing shows."""
        return contents(listed(self.storage, storage_key(self.name)))[0].get(plain_name(self.name), Contents(self.name))

    def versions(self) -> set[str]:
        """Return the digests of the versions that are listed."""
        places = map(place_of, self.storage.list(storage_key(self.name, "versions")))
        return {place.digest for place in places if place and place.kind == "version"}

    def has_version(self, digest: str) -> bool:
        """Say whether a version is stored and undamaged."""
        data = self._read(version_key(self.name, digest))
        return data is not None and sha256_hex(data) == digest

    def check_sizes(self, index: SplitIndex) -> None:
        """Raise `StoredFileDamaged` for a file of a split that is gone, or whose size is not that of the index."""
        files, sizes = index.files, dict[str, int]()
        for split in {index.split, *(split for split, _ in index.named)}:
            folder = storage_key(self.name, split)
            below = [key for key in files if key.startswith(f"{folder}/")]
            sizes |= sizes_of(self.storage, folder, below, surely=False)
        for key, (name, file) in files.items():
            # A listing may lag behind.
            size = sizes.get(key) if sizes.get(key) == file.bytes else size_of(self.storage, key)
            if size is None:
                raise damaged(index, name, key, self.storage.url, "is gone")
            if size != file.bytes:
                what = f"has {size} bytes, not the {file.bytes} it was written with"
                raise damaged(index, name, key, self.storage.url, what)

    def absent(self, hint: str = "") -> NotPrepared:
        """Return the error for a dataset of which no version is stored."""
        verb, verbs = "prepare", "Make"
        if self.name.startswith(f"{SHARED}.") and not registered.registered(self.name):
            # No definition makes a folder that somebody else registered.
            verb, verbs = "pull", "Pull"
        return NotPrepared(
            f"{self.name} is not in {self.storage.url}.{hint} "
            f"{verbs} it with: {command(f'{verb} {self.name}', self.storage.url)}"
        )

    def _document(self, key: str, digest: str, what: str) -> bytes:
        kept = self.documents.get(self.storage, key) if self.documents is not None else None
        if kept is not None:
            return kept
        data = self._read(key)
        if data is None:
            raise self._gone(key, digest, what)
        # A longer document is read in part; parsing refuses it.
        if len(data) <= MOST_BYTES and (found := sha256_hex(data)) != digest:
            raise DigestMismatch(
                f"{key} in {self.storage.url} has sha256 {found}, not that of its name. "
                f"{how_to_repair(self.name, self.storage.url)}"
            )
        if len(data) <= MOST_BYTES:
            self._keep(key, data)
        return data

    def _gone(self, key: str, digest: str, what: str) -> NotPrepared:
        how = how_to_repair if "/index/" in key or self._is_current(digest) else how_to_open_another
        why = "it was collected, it was never made there, or the storage was restored from an older copy"
        with suppress(DatasetAssetsError):
            if self.excluded():
                why = "samples were taken out of the dataset on request, and what was made with them was removed"
        return NotPrepared(
            f"There is no {what} of {self.name} in {self.storage.url}: {why}. {how(self.name, self.storage.url)}"
        )

    def put_index(self, index: SplitIndex, digest: str, data: bytes) -> None:
        """Store a split's index, and before it a note by which `with_recipe` finds it without reading the others.

        If the process is killed between them, the next one stores the index, and the note is not missing.
        """
        key = recipe_key(self.name, index.split, digest, index.recipe)
        if place_of(key):
            self.storage.put(key, canonical({"recipe": index.recipe}))
        self.put_document(index_key(self.name, index.split, digest), data)

    def with_recipe(self, split: str, recipe: str) -> list[str]:
        """Return the digests of a split's indexes that this recipe may have made, sorted.

        An index without a note is among them: it is of an earlier release.
        """
        noted = dict[str, str]()
        # A listing may lag behind; what it lacks is made again.
        for key in self.storage.list(storage_key(self.name, split, "index")):
            digest, _, of = key.rpartition("/")[2].removesuffix(".json").partition(".")
            noted[digest] = of or noted.get(digest, "")
        return sorted(digest for digest, of in noted.items() if of in ("", recipe))

    def part(self, split: str, recipe: str) -> PartRecord | None:
        """Return the record of a part, whether or not its files are stored; None if it is absent or damaged."""
        key = part_key(self.name, split, recipe)
        data = self._read(key)
        record = None if data is None else part_in(data, key, self.name)
        return record if record and (record.split, record.recipe) == (split, recipe) else None

    def parts(self, split: str, recipes: Collection[str]) -> dict[str, PartRecord]:
        """Return the records of those parts whose files are all stored, by recipe; only sizes are compared.

        Several records are read at once, because each takes a request.
        """
        # Readers start faster without it.
        from concurrent.futures import ThreadPoolExecutor

        listed = {*self.storage.list(storage_key(self.name, split, "parts"))}
        noted = [recipe for recipe in recipes if part_key(self.name, split, recipe) in listed]
        with ThreadPoolExecutor(READS_AT_ONCE, "dataset_assets-get") as pool:
            records = [*pool.map(lambda recipe: self.part(split, recipe), noted)]
        sizes = {key: size for record in records if record for key, size in record.sizes(self.name).items()}
        there = sizes_of(self.storage, storage_key(self.name, split), sizes)
        found = {record.recipe: record for record in records if record}
        return {n: one for n, one in found.items() if all(there.get(k) == b for k, b in one.sizes(self.name).items())}

    def put_part(self, record: PartRecord) -> None:
        """Store the record of a part, after its files."""
        self.put_parts([record])

    def put_parts(self, records: Iterable[PartRecord]) -> None:
        """Store the records of parts whose files are stored; they are young again for a collector."""
        put_all(self.storage, {part_key(self.name, one.split, one.recipe): part_bytes(one) for one in records})

    def put_document(self, key: str, data: bytes) -> None:
        """Store a version or an index, which is named by its digest."""
        self.storage.put(key, data)
        self._keep(key, data)

    def _keep(self, key: str, data: bytes) -> None:
        if self.documents is not None:
            self.documents.keep(self.storage, key, data)
        if getattr(self.storage, "cached", False):
            OPENED.keep(self.storage, key, data)

    def _is_current(self, digest: str) -> bool:
        with suppress(DatasetAssetsError):
            return self.pointer().version == digest
        return False

    def _read(self, key: str) -> bytes | None:
        try:
            with open_object(self.storage, key, whole=True) as file:
                return bounded(file)
        except FileNotFoundError:
            return None

    def _sha256(self, key: str) -> str | None:
        try:
            with open_object(self.storage, key, whole=True) as file:
                return sha256_in(file)
        except FileNotFoundError:
            return None


def damaged(index: SplitIndex, stream: str, key: str, url: str, what: str) -> StoredFileDamaged:
    """Return the error for a file of a stream that is not as its index says."""
    return StoredFileDamaged(
        f"Stream {stream} of {index.dataset}, split {index.split}, file {key} in {url} {what}. "
        f"Repair it with: {command(f'prepare {index.dataset}', url)}"
    )
