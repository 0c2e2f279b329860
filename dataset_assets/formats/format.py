"""The protocol of formats: a writer turns values into finished files, and `open` turns files into a column."""

import errno
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Mapping, Protocol, Sequence

from dataset_assets.core import files
from dataset_assets.core.few_open import descriptor, has_descriptor
from dataset_assets.errors import SchemaError, StorageError
from dataset_assets.formats.columns import Column
from dataset_assets.formats.maps import map_file

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
    """Writes one stream of one split into its own folder.

    The files depend only on the values, not on the blocks in which they arrive.
    """

    def append(self, values: Any) -> None:
        """Add a block of values: a list, or an array that the format accepts. Raises `SchemaError`."""
        ...

    def close(self) -> tuple[list[Part], dict[str, Any]]:
        """Finish. Return the files, at least one, and the parameters of the format, completed from the values."""
        ...

    def discard(self) -> None:
        """Stop writing: close the descriptors and leave the files as they are."""
        ...


class Misfit(Exception):
    """The reason why a value does not fit its stream: value `at` of a block, or None if it is not known which.

    `path` leads to the part of a nested value, such as ".b[0]".
    """

    def __init__(self, at: int | None, why: str, path: str = "") -> None:
        super().__init__(why)
        self.at, self.why, self.path = at, why, path

    def as_error(self, before: int) -> SchemaError:
        """Return the error for a block after `before` samples."""
        if self.at is None:
            return SchemaError(f"sample {before} or one soon after: {self.why}")
        error = SchemaError(f"sample {before + self.at}: {self.why}")
        error.sample = before + self.at
        return error


class Format(Protocol):
    """Writes and reads a stream. A frozen value whose parameters are plain JSON.

    A format inherits from it what it does not define: to read no file in ranges, and to join only parts of a stream
    that have equal parameters.
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    version: ClassVar[int]
    by_ranges: ClassVar[bool] = False
    """Whether a file that lies elsewhere can be read in ranges of its bytes."""
    reads_each: ClassVar[bool] = False
    """Whether each file can be read with any parameters of `merge`, so that none is written again."""

    def parameters(self) -> dict[str, Any]:
        """Return the parameters from which `format_named` makes an equal format."""
        ...

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> Writer:
        """Begin a stream in an empty folder. A file that reaches `file_bytes` is closed and a new one started."""
        ...

    def open(self, opened: Sequence[BinaryIO]) -> Column:
        """Open a stream's files lazily as one column. The column owns the files from then on, and may close them.

        Raises `DecodeError` for a file that the format did not write.
        """
        ...

    def part_writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> Writer:
        """Begin a part of a stream. What its values leave open may be missing in its parameters until `merge`."""
        return self.writer(folder, file_bytes)

    def merge(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the parameters that hold the values of two parts of a stream, unchanged. Raises `Misfit` if none do.

        The result for many parts does not depend on their order, nor on which are merged first.
        """
        if first != second:
            raise Misfit(None, "This format joins equal ones only.")
        return first

    def see_complete(self, parameters: Mapping[str, Any]) -> None:
        """Raise `SchemaError` if the merged parameters of all parts leave something open."""
        return


class Parts:
    """The files of a stream that is being written. Each finished file is hashed; the storage syncs what it stores."""

    def __init__(self, folder: Path, suffix: str, file_bytes: int) -> None:
        self.folder, self.suffix, self.file_bytes = folder, suffix, file_bytes
        self.finished: list[Part] = []
        self.current: files.Written | None = None
        files.make_scratch(folder)

    def anew(self) -> "Parts":
        """Return the files of the same stream when it is written again."""
        word, _, count = self.folder.name.partition("-")
        folder = self.folder.with_name(f"again-{int(count) + 1}") if word == "again" else self.folder / "again-1"
        return Parts(folder, self.suffix, self.file_bytes)

    def open(self) -> files.Written:
        """Begin the next file."""
        self.current = files.Written(self.folder / f"{len(self.finished)}{self.suffix}")
        return self.current

    def full(self) -> bool:
        """Return whether the current file has reached its limit."""
        return self.current is not None and self.current.bytes >= self.file_bytes

    def finish(self, samples: int) -> None:
        """Close and hash the current file."""
        file = self.current
        assert file is not None
        self.finished.append(Part(file.path, _closed_and_hashed(file), file.bytes, samples))
        self.current = None

    def discard(self) -> None:
        """Discard the current file."""
        if self.current is not None:
            self.current.discard()


def _closed_and_hashed(file: files.Written) -> str:
    """Close a file and hash it; sync a large one at the same time: one needs the disk, the other a core."""
    if file.bytes < WORTH_A_THREAD:
        file.discard()
        return files.sha256_of(file.path)
    # Readers, who hash nothing, start faster without it.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        hashed = pool.submit(files.sha256_of, file.path)
        file.close()
        return hashed.result()


def mapped(file: BinaryIO) -> memoryview:
    """Return the bytes of an open file: memory-mapped for a plain file, else as a buffer.

    Closes a file that it maps, to free the descriptor.
    """
    if isinstance(file, io.BytesIO):
        # Not getbuffer(), which copies bytes that are shared.
        return memoryview(file.getvalue())
    # Only plain files are mapped: the descriptor of a decompressing file gives the compressed bytes.
    if not has_descriptor(file):
        file.seek(0)
        return memoryview(file.read())
    with file, files.reading(name_of(file)):
        size = file.seek(0, 2)
        # An empty file cannot be mapped.
        return _map(file, size) if size else memoryview(b"")


def _map(file: BinaryIO, size: int) -> memoryview:
    files.passes("map", name_of(file))
    try:
        with descriptor(file) as opened:
            return map_file(opened, size)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise StorageError(
            error.errno,
            f"{name_of(file)} cannot be mapped: this process has reached the limit on maps (vm.max_map_count) or on "
            "addresses (ulimit -v). Open fewer datasets at a time, or prepare them with a larger "
            "file_bytes, or with larger parts.",
        ) from error


def name_of(file: BinaryIO) -> str:
    """Return the name of an open file, for a message."""
    return str(getattr(file, "name", "the stream"))
