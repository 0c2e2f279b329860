"""Content that is read from another file, and the checks of arguments and files that decoders share."""

import io
from numbers import Integral
from threading import Lock
from typing import Any, BinaryIO

from dataset_assets.core.limits import SMALL, limits, remedy
from dataset_assets.errors import DecodeError, UsageError

RETRIEVE_AGAIN = "Retrieve it again; if the error remains, its source is damaged."

PIECE = 1 << 18


def name_of(file: Any) -> str:
    """Return the URL that the file was retrieved from, or else its name, for a message."""
    name = getattr(file, "url", None) or getattr(file, "name", None)
    return name if isinstance(name, str) else "the stream"


def remedy_of(file: Any) -> str:
    """Return what to do about a damaged file, for a message: what the file itself says, or to retrieve it again."""
    return getattr(getattr(file, "raw", file), "remedy", None) or RETRIEVE_AGAIN


def check_file(file: Any) -> None:
    """Raise `UsageError` unless this is a file that is open for reading bytes, with a position."""
    if isinstance(file, io.TextIOBase) or not all(hasattr(file, verb) for verb in ("read", "seek", "tell")):
        raise UsageError(
            f"{file!r:.80} is not a file open for reading bytes. Pass open(path, 'rb') or io.BytesIO(data)."
        )


def check_rows(rows: int | None) -> None:
    """Raise `UsageError` if `rows`, the size of a block, is not an integer of 1 or more."""
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, Integral) or rows < 1):
        raise UsageError(f"rows is {rows!r}. Give 1 or more, or None.")


def check_encoding(encoding: str) -> None:
    """Raise `UsageError` unless Python has an encoding of text with this name."""
    try:
        "a".encode(encoding)
    except (LookupError, TypeError, ValueError) as error:
        raise UsageError(
            f"encoding={encoding!r} is not an encoding that Python knows. Write one such as 'utf-8', 'latin-1' or "
            "'cp1252'."
        ) from error


def exactly(stream: BinaryIO, size: int) -> bytes:
    """Read `size` bytes; return fewer only at the end of the stream."""
    data = stream.read(size)
    if len(data) == size or not data:
        return data
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    return data


def size_of(file: BinaryIO) -> int:
    """Return the size of a file; keeps its position."""
    start = file.tell()
    size = file.seek(0, io.SEEK_END)
    file.seek(start)
    return size


class Content(io.RawIOBase):
    """Content that is decoded from another file when it is read. Seeking costs nothing before the next read."""

    place = 0
    """The position of the reader."""
    given = 0
    """The position of the decoder."""
    most: int | None = None
    """How many bytes may be read at once; None: as many as the setting `max_value_bytes` allows."""
    name = "the stream"

    def piece(self, most: int) -> bytes:
        """Decode at least 1 and at most `most` bytes, and move `given`; return b"" at the end."""
        raise NotImplementedError

    def restart(self) -> None:
        """Set the decoder to the start."""
        raise NotImplementedError

    def end(self) -> int:
        """Return the size of the content."""
        raise NotImplementedError

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.place}.get(whence)
        self.place = max((self.end() if start is None else start) + offset, 0)
        return self.place

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if self.given != self.place:
            self.move()
        data = self.piece(min(len(view), PIECE)) if self.given == self.place else b""
        view[: len(data)] = data
        self.place += len(data)
        return len(data)

    def move(self) -> None:
        """Bring the decoder to the position of the reader, or to the end."""
        if self.place < self.given:
            self.restart()
        while self.given < self.place and self.piece(min(self.place - self.given, PIECE)):
            pass

    def readall(self) -> bytes:
        """Read the rest. Raises `DecodeError` if it is more than may be read at once."""
        held, size, most = list[bytes](), 0, self.most
        if self.given != self.place:
            self.move()
        while self.given == self.place and (data := self.piece(PIECE)):
            held.append(data)
            self.place = self.given
            size += len(data)
            if size > SMALL and size > (limits().max_value_bytes if most is None else most):
                raise self.too_large(size)
        return b"".join(held)

    def too_large(self, size: int) -> DecodeError:
        """Return the error for content that is too large to be read at once."""
        return DecodeError(f"{self.name} holds {size} bytes or more, and is read at once. {remedy('max_value_bytes')}")


class Slice(Content):
    """Bytes of a file from `start` on. Slices of one file may be read in turn; with one lock, by threads."""

    def __init__(self, file: BinaryIO, start: int, size: int, name: str, lock: Lock, most: int | None = None) -> None:
        self.file, self.start, self.size, self.name, self.lock, self.most = file, start, size, name, lock, most

    def end(self) -> int:
        return self.size

    def move(self) -> None:
        self.given = self.place

    def take(self, most: int) -> bytes:
        """Read at most `most` bytes; faster than `read`."""
        data = self.piece(most)
        self.place = self.given
        return data

    def piece(self, most: int) -> bytes:
        if not (most := min(most, self.size - self.given)) > 0:
            return b""
        with self.lock:
            self.file.seek(self.start + self.given)
            data = self.file.read(most)
        if not data:
            raise DecodeError(
                f"{self.name} is truncated: it ends after {self.given} of {self.size} bytes. {RETRIEVE_AGAIN}"
            )
        self.given += len(data)
        return data
