"""The seam to every format: how a stream's values become finished files, and those files a column again."""

import errno
import io
import mmap
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Protocol, Sequence

from dataset_assets.core import files
from dataset_assets.errors import SchemaError, StorageError
from dataset_assets.formats.columns import Column

FILE_BYTES = 1 << 30
"""A stream's file is finished when it has so many bytes, and the next one is begun."""
WORTH_A_THREAD = 8 << 20


@dataclass(frozen=True)
class Part:
    """One finished file of a stream."""

    path: Path
    sha256: str
    bytes: int
    samples: int


class Writer(Protocol):
    """Writes one stream of one split into a folder of its own.

    The same values give the same files, in whatever blocks they come.
    """

    def append(self, values: Any) -> None:
        """Add a block of values: a list, or an array as its format takes them. Raises `SchemaError`."""
        ...

    def close(self) -> tuple[list[Part], dict[str, Any]]:
        """Finish; return the files, at least one, and the parameters that the values turned out to have."""
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
        """Open a stream's files as one column, lazily; the files are the column's from then on, which may close them.

        Raises `DecodeError` for a file that is not what was written.
        """
        ...


class Misfit(Exception):
    """A value that does not fit its stream: the `at`-th of a block (None: one of them), and why."""

    def __init__(self, at: int | None, why: str) -> None:
        super().__init__(why)
        self.at, self.why = at, why

    def as_error(self, before: int) -> SchemaError:
        """Return the error for a block that comes after so many samples."""
        place = f"sample {before} or one soon after" if self.at is None else f"sample {before + self.at}"
        return SchemaError(f"{place}: {self.why}")


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
    if file.bytes < WORTH_A_THREAD:
        file.close()
        return files.sha256_of(file.path)
    with ThreadPoolExecutor(1) as pool:
        hashed = pool.submit(files.sha256_of, file.path)
        file.close()
        return hashed.result()


def mapped(file: BinaryIO) -> memoryview:
    """Return the bytes of an open file without reading them: mapped if it is a file on a disk, else its buffer.

    A file that was mapped is closed, which spares its descriptor.
    """
    if isinstance(file, io.BytesIO):
        # Not getbuffer(), which copies bytes that the file shares with others.
        return memoryview(file.getvalue())
    # Only a plain file: the descriptor of one that decompresses leads to the compressed bytes.
    if not isinstance(getattr(file, "raw", file), io.FileIO):
        file.seek(0)
        return memoryview(file.read())
    with file:
        # An empty file cannot be mapped.
        return memoryview(_map(file)) if file.seek(0, 2) else memoryview(b"")


def _map(file: BinaryIO) -> mmap.mmap:
    try:
        if sys.version_info >= (3, 13):
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ, trackfd=False)
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise StorageError(
            error.errno,
            f"{name_of(file)} cannot be mapped: this process has as many maps as it may (vm.max_map_count), or no "
            "addresses left (ulimit -v). Open fewer datasets at a time, or prepare them with a larger file_bytes.",
        ) from error


def name_of(file: BinaryIO) -> str:
    """Return what an open file is called in a message."""
    return str(getattr(file, "name", "the stream"))
