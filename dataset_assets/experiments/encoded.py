"""Encoded values: the name of a codec and some buffers, which are written, hashed and read without a copy."""

import mmap
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Iterator, NamedTuple

from dataset_assets.core import files
from dataset_assets.core.settings import settings
from dataset_assets.errors import DecodeError, UsageError

MAPPED = 1 << 20
"""Objects from this size on, in bytes, are memory-mapped where the storage has them as files."""


class FilePart(NamedTuple):
    """A file whose bytes are part of a value."""

    path: Path
    size: int


@dataclass
class Encoded:
    """A value as bytes: the name of its codec, and buffers or files one after another."""

    codec: str
    parts: list[Any] = field(default_factory=list)

    @property
    def size(self) -> int:
        """The number of bytes."""
        return sum(map(size_of_part, self.parts))

    def chunks(self) -> Iterator[Any]:
        """Yield all bytes, as buffers. Raises `UsageError` if a file changed since it was listed."""
        for part in self.parts:
            if isinstance(part, FilePart):
                yield from _file_chunks(part)
            else:
                yield part

    def whole(self) -> bytes:
        """Return all bytes."""
        return b"".join(self.chunks())


def size_of_part(part: Any) -> int:
    """Return the bytes of a buffer or file."""
    return part.size if isinstance(part, FilePart) else memoryview(part).nbytes


def _file_chunks(part: FilePart) -> Iterator[bytes]:
    count = 0
    with files.opened(part.path) as file:
        for chunk in files.chunks_of(file):
            count += len(chunk)
            yield chunk
    if count != part.size:
        raise UsageError(f"{part.path} changed while it was stored: {count} bytes, not {part.size}. Store it again.")


def compressed(encoded: Encoded) -> bytes:
    """Return all bytes, compressed with zstd."""
    import pyarrow

    out = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(out, "zstd") as stream:
        for chunk in encoded.chunks():
            stream.write(chunk)
    found: bytes = out.getvalue().to_pybytes()
    return found


def decompressed(data: Any) -> memoryview:
    """Return the bytes that zstd compressed. Raises `DecodeError`."""
    import pyarrow

    most, whole = settings().max_decoded_bytes, bytearray()
    try:
        with pyarrow.CompressedInputStream(pyarrow.BufferReader(data), "zstd") as stream:
            while chunk := stream.read(files.CHUNK):
                whole += chunk
                if len(whole) > most:
                    raise DecodeError(f"A value has more than max_decoded_bytes ({most}). Raise this setting.")
    except OSError as error:
        raise DecodeError(f"A value is not compressed with zstd: {error}.") from error
    return memoryview(whole)


def sha256_of(data: Any) -> str:
    """Return the sha256 of a buffer, in hex."""
    return sha256(data).hexdigest()


def opened(file: BinaryIO) -> tuple[memoryview, str]:
    """Return all bytes of an open file, mapped if it is large and local, with their sha256.

    Writing to the buffer does not change the file.
    """
    descriptor = _descriptor(file)
    if descriptor is None:
        data = bytearray(file.read())
        return memoryview(data), sha256_of(data)
    # Hashed by reading: pages of a map count as memory of the process.
    digest = files.sha256_in(file)
    return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)), digest


def _descriptor(file: BinaryIO) -> int | None:
    try:
        descriptor = file.fileno()
    except (OSError, AttributeError):
        return None
    size = file.seek(0, 2)
    file.seek(0)
    return descriptor if size >= MAPPED else None
