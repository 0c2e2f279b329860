"""The seam to every format: how a stream's values become finished files, and those files a column again."""

import mmap
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Protocol, Sequence

from dataset_assets import files
from dataset_assets.samples import Column

FILE_BYTES = 1 << 30


@dataclass(frozen=True)
class Part:
    """One finished file of a stream."""

    path: Path
    sha256: str
    bytes: int
    samples: int


class Writer(Protocol):
    """Writes one stream of one split into a folder of its own."""

    def append(self, values: Any) -> None:
        """Add a block of values: a list, or an array as its format takes them. Raises `SchemaError`."""
        ...

    def close(self) -> tuple[list[Part], dict[str, Any]]:
        """Finish; return the files and the parameters that the values turned out to have (dtype, shape, ...)."""
        ...

    def discard(self) -> None:
        """Give up; leaves descriptors closed and files as they are."""
        ...


class Format(Protocol):
    """How a stream is written and read; a frozen value whose parameters are plain JSON."""

    name: ClassVar[str]
    suffix: ClassVar[str]
    version: ClassVar[int]

    def parameters(self) -> dict[str, Any]:
        """Return what `format_named` makes an equal format of."""
        ...

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> Writer:
        """Begin a stream in an empty folder; a file that has grown past `file_bytes` is followed by another."""
        ...

    def open(self, opened: Sequence[BinaryIO]) -> Column:
        """Open a stream's files as one column, lazily."""
        ...


class Parts:
    """The files of a stream being written: each is forced to the disk and hashed when it is finished."""

    def __init__(self, folder: Path, suffix: str, file_bytes: int) -> None:
        self.folder, self.suffix, self.file_bytes = folder, suffix, file_bytes
        self.finished: list[Part] = []
        self.current: files.Written | None = None
        files.make_folder(folder)

    def open(self) -> files.Written:
        """Begin the next file."""
        self.current = files.Written(self.folder / f"{len(self.finished)}{self.suffix}")
        return self.current

    def full(self) -> bool:
        """Say whether the current file has grown past its limit."""
        return self.current is not None and self.current.bytes >= self.file_bytes

    def finish(self, samples: int) -> None:
        """Close and hash the current file."""
        file = self.current
        assert file is not None
        self.finished.append(Part(file.path, _closed_and_hashed(file), file.bytes, samples))
        self.current = None

    def discard(self) -> None:
        """Give up the current file."""
        if self.current is not None:
            self.current.discard()


def _closed_and_hashed(file: files.Written) -> str:
    """Force a file to the disk while it is hashed: one waits for the disk, the other for a core."""
    if file.bytes < (8 << 20):
        file.close()
        return files.sha256_of(file.path)
    digest: list[str] = []
    hashing = threading.Thread(target=lambda: digest.append(files.sha256_of(file.path)))
    hashing.start()
    try:
        file.close()
    finally:
        hashing.join()
    return digest[0]


def mapped(file: BinaryIO) -> memoryview:
    """Return the bytes of an open file without reading them: mapped if it is a file on a disk, else its buffer."""
    if hasattr(file, "getbuffer"):
        return memoryview(file.getbuffer()).toreadonly()
    try:
        descriptor = file.fileno()
    except OSError:
        return memoryview(file.read())
    # An empty file cannot be mapped.
    if file.seek(0, 2) == 0:
        return memoryview(b"")
    return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))

