"""Opens an object of a remote storage as a seekable file. It is read on demand, and never mixes two contents."""

import errno
import io
from typing import Any, BinaryIO, Protocol

from dataset_assets.errors import StorageError

WHOLE = 1 << 20
"""Objects up to this size, in bytes, are read in one request."""

BUFFER = 32 << 10


class Changed(StorageError):
    """The object was replaced or deleted while it was being read."""

    def __init__(self, key: str, url: str) -> None:
        super().__init__(errno.ESTALE, f"{key} in {url} was replaced while it was read. Open it again.")


class ObjectReader(Protocol):
    """Reads an object of a storage."""

    size: int

    def whole(self) -> bytes:
        """Return the whole object as it is now."""
        ...

    def part(self, start: int, stop: int) -> Any:
        """Return at least one byte from `start` on, and none from `stop` on. Raises `Changed`."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


def opened(name: str, reader: ObjectReader, buffer: int = BUFFER, remedy: str | None = None) -> BinaryIO:
    """Return an open file. Each small read fetches `buffer` bytes. `remedy` is what to do if it cannot be decoded."""
    return io.BufferedReader(_Opened(name, reader, remedy), buffer)


class Ranges(Protocol):
    """An open file that can return many parts of itself at once."""

    def ranges(self, starts: list[int], stops: list[int]) -> list[Any]:
        """Return a buffer for each pair of start and stop."""
        ...


class _Opened(io.RawIOBase):
    reports = True
    """Its reads raise `StorageError`."""

    def __init__(self, name: str, reader: ObjectReader, remedy: str | None = None) -> None:
        self.name, self.remedy = name, remedy
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
        # Not before the first read. If the object was replaced since it was opened, this reads the new content whole.
        if self._data is None and self._reader.size <= WHOLE:
            self._data = memoryview(self._reader.whole())
        return self._size()
