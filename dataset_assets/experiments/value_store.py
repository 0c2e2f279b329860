"""Writes encoded values below a folder of a storage, named by their digests, and reads them by reference.

A reference is JSON: the `object` below the folder, the `codec`, `compression` if there is one, and for a value that
shares its object with others its place in it and its own sha256.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Iterator

from dataset_assets.core import files
from dataset_assets.core.scratch import root_below, scratch_folder
from dataset_assets.core.settings import settings
from dataset_assets.errors import DigestMismatch, StoredFileDamaged
from dataset_assets.experiments.encoded import MAPPED, Encoded, compressed, decompressed, opened, sha256_of
from dataset_assets.experiments.values import PICKLE, decode
from dataset_assets.storage import LocalStorage, Storage
from dataset_assets.storage.storage import open_object

LARGE = MAPPED
"""A value of this size, in bytes, is an object of its own; smaller ones share one."""
PACK_BYTES = 64 << 20
FURTHEST = 1 << 40
"""No value begins after this byte of an object. File systems refuse to look far behind the end of a file."""
SUFFIX = {"none": "", "zstd": ".zst"}

Reference = dict[str, Any]


class ValueWriter:
    """Collects the values of one persist, and writes them: small ones together, large ones alone."""

    def __init__(self, storage: Storage, folder: str, compression: str = "none") -> None:
        self.storage, self.folder, self.compression = storage, folder, compression
        self.small: list[tuple[Encoded, Reference]] = []
        self.large: list[tuple[Encoded, Reference]] = []

    def add(self, encoded: Encoded) -> Reference:
        """Return the reference to a value; it is complete when all values are written."""
        reference: Reference = {}
        # A pickle is marked by the name of its object, too.
        alone = encoded.size >= LARGE or encoded.codec == PICKLE
        (self.large if alone else self.small).append((encoded, reference))
        return reference

    def write(self) -> set[str]:
        """Write all values, complete their references, and return the names of the objects."""
        found = set()
        for encoded, reference in self.large:
            name = stored(self.storage, self.folder, encoded, self.compression)
            reference.update(object=name, codec=encoded.codec)
            if self.compression != "none":
                reference["compression"] = self.compression
            found.add(name)
        return found | {self._pack(group) for group in self._groups()}

    def _groups(self) -> Iterator[list[tuple[Encoded, Reference]]]:
        group: list[tuple[Encoded, Reference]] = []
        size = 0
        for encoded, reference in self.small:
            if size + encoded.size > PACK_BYTES:
                yield group
                group, size = [], 0
            group.append((encoded, reference))
            size += encoded.size
        if group:
            yield group

    def _pack(self, group: list[tuple[Encoded, Reference]]) -> str:
        pack, at = [], 0
        for encoded, reference in group:
            data = compressed(encoded) if self.compression != "none" else encoded.whole()
            reference.update(codec=encoded.codec, at=at, bytes=len(data), sha256=sha256_of(data))
            if self.compression != "none":
                reference["compression"] = self.compression
            # Arrays may lie at multiples of their item size.
            pack += [data, bytes(-len(data) % 64)]
            at += len(data) + -len(data) % 64
        name = stored(self.storage, self.folder, Encoded("pack", pack), "none")
        for _, reference in group:
            reference["object"] = name
        return name


def stored(storage: Storage, folder: str, encoded: Encoded, compression: str) -> str:
    """Store an encoded value as one object below a folder; return its name, which is the digest of its bytes."""
    suffix = f".{encoded.codec}{SUFFIX[compression]}"
    if encoded.size < LARGE:
        data = compressed(encoded) if compression != "none" else encoded.whole()
        name = sha256_of(data) + suffix
        storage.put(f"{folder}/{name}", data)
        return name
    with _workplace(storage) as place:
        path, digest = _written(place / "value", encoded, compression)
        storage.put(f"{folder}/{digest}{suffix}", path)
    return digest + suffix


def _written(path: Path, encoded: Encoded, compression: str) -> tuple[Path, str]:
    digest = sha256()
    with files.Written(path) as file:
        for chunk in _chunks(encoded, compression):
            digest.update(chunk)
            file.write(chunk)
    return path, digest.hexdigest()


def _chunks(encoded: Encoded, compression: str) -> Iterator[Any]:
    if compression == "none":
        yield from encoded.chunks()
        return
    import pyarrow

    sink = _Sink()
    with pyarrow.CompressedOutputStream(pyarrow.PythonFile(sink, "w"), compression) as stream:
        for chunk in encoded.chunks():
            # Not all at once, so that what is compressed does not collect in memory.
            view = memoryview(chunk).cast("B")
            for at in range(0, len(view), files.CHUNK):
                stream.write(view[at : at + files.CHUNK])
                yield from sink.taken()
    yield from sink.taken()


class _Sink:
    """Keeps what is written to it until it is taken."""

    closed = False

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def taken(self) -> list[bytes]:
        parts, self.parts = self.parts, []
        return parts


@contextmanager
def _workplace(storage: Storage) -> Iterator[Path]:
    root = root_below(storage.root) if isinstance(storage, LocalStorage) else settings().scratch
    with scratch_folder(root) as folder:
        yield folder


@dataclass(frozen=True)
class StoredValues:
    """The values below a folder of a storage."""

    storage: Storage
    folder: str

    def read(self, reference: Reference, allow_pickle: bool = False) -> Any:
        """Return a value. Raises `StoredFileDamaged`, `DigestMismatch`, `DecodeError` and `Refused`."""
        return decode(reference["codec"], self.bytes_of(reference), allow_pickle)

    def bytes_of(self, reference: Reference) -> memoryview:
        """Return the bytes of a value, verified and decompressed."""
        data = self._slice(reference) if "at" in reference else self.whole(reference["object"])
        return decompressed(data) if reference.get("compression", "none") != "none" else data

    def whole(self, name: str) -> memoryview:
        """Return all bytes of an object, which must have the digest of its name."""
        with self._open(name) as file:
            data, digest = opened(file)
        self._check(name, digest, name.partition(".")[0])
        return data

    def renew(self, name: str) -> None:
        """Store an object again as it is, so that it counts as new. Raises `StoredFileDamaged`, `DigestMismatch`."""
        stored(self.storage, self.folder, Encoded(name.partition(".")[2], [self.whole(name)]), "none")

    def _slice(self, reference: Reference) -> memoryview:
        with self._open(reference["object"]) as file:
            file.seek(reference["at"])
            data = bytearray(file.read(reference["bytes"]))
        self._check(reference["object"], sha256_of(data), reference["sha256"])
        return memoryview(data)

    def _open(self, name: str) -> Any:
        try:
            return open_object(self.storage, f"{self.folder}/{name}")
        except FileNotFoundError:
            raise StoredFileDamaged(
                f"{self.folder}/{name} is gone from {self.storage.url}. Copy the experiment again from where it "
                "is whole."
            ) from None

    def _check(self, name: str, found: str, expected: str) -> None:
        if found != expected:
            raise DigestMismatch(
                f"{self.folder}/{name} in {self.storage.url} has sha256 {found}, not the recorded {expected}: it is "
                "damaged. Copy the experiment again from where it is whole."
            )
