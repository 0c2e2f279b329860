"""An object of a storage without local files, as an open file: seekable, read on demand, always of one content."""

import errno
import io
from typing import Any, BinaryIO, Protocol

from dataset_assets.errors import StorageError

WHOLE = 1 << 20
"""Objects up to this size are read in one request, so that a reader gets one content."""

BUFFER = 32 << 10


class Changed(StorageError):
    """The object was replaced or deleted while it was read."""

    def __init__(self, key: str, url: str) -> None:
        super().__init__(errno.ESTALE, f"{key} in {url} was replaced while it was read. Open it again.")


class ObjectReader(Protocol):
    """Reads an object of a storage."""

    size: int

    def whole(self) -> bytes:
        """Return all of it, as it is now."""
        ...

    def part(self, start: int, stop: int) -> Any:
        """Return a buffer of at least one byte from `start` on, at most up to `stop`. Raises `Changed`."""
        ...

    def close(self) -> None:
        """Release what is held for further parts."""
        ...


def opened(name: str, reader: ObjectReader, buffer: int = BUFFER) -> BinaryIO:
    """Return an open file of an object; small reads fetch `buffer` bytes."""
    return io.BufferedReader(_Opened(name, reader), buffer)


class Ranges(Protocol):
    """What an open file of a storage can do in addition: return many parts of it at once."""

    def ranges(self, starts: list[int], stops: list[int]) -> list[Any]:
        """Return the buffers from each start up to its stop."""
        ...


class _Opened(io.RawIOBase):
    def __init__(self, name: str, reader: ObjectReader) -> None:
        self.name = name
        self._reader, self._at = reader, 0
        self._data: memoryview | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = offset + (0, self._at, self._size())[whence]
        if at < 0:
            raise OSError(errno.EINVAL, f"{at} is before the beginning of {self.name}")
        self._at = at
        return at

    def readinto(self, buffer: Any) -> int:
        stop = min(self._at + len(buffer), self._size_to_read())
        if stop <= self._at:
            return 0
        part = self._reader.part(self._at, stop) if self._data is None else self._data[self._at : stop]
        data = memoryview(part).cast("B")
        if not len(data):
            raise StorageError(errno.EIO, f"{self.name} ended early, at byte {self._at}. Read it again.")
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def readall(self) -> bytes:
        data = bytearray(max(self._size_to_read() - self._at, 0))
        done = 0
        while done < len(data) and (count := self.readinto(memoryview(data)[done:])):
            done += count
        return bytes(memoryview(data)[:done])

    def ranges(self, starts: list[int], stops: list[int]) -> list[Any]:
        together = getattr(self._reader, "ranges", None)
        if together is not None:
            parts: list[Any] = together(starts, stops)
            return parts
        return [self._range(start, stop) for start, stop in zip(starts, stops)]

    def _range(self, start: int, stop: int) -> bytes:
        data = bytearray()
        while start + len(data) < stop:
            data += self._reader.part(start + len(data), stop)
        return bytes(data)

    def close(self) -> None:
        if not self.closed:
            self._reader.close()
        super().close()

    def _size(self) -> int:
        return self._reader.size if self._data is None else len(self._data)

    def _size_to_read(self) -> int:
        # Only now: an object that was replaced since it was opened may have another size, and is still one content.
        if self._data is None and self._reader.size <= WHOLE:
            self._data = memoryview(self._reader.whole())
        return self._size()
