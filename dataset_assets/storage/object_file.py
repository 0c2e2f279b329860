"""An object of a store that has no files, as an open file: seekable, read when asked, never two contents in one."""

import errno
import io
from typing import Any, BinaryIO, Protocol

from dataset_assets.errors import StorageError

WHOLE = 1 << 20
"""What is no larger is read at once, so that whoever has begun to read it reads what was there then."""

BUFFER = 32 << 10


class Changed(StorageError):
    """An object that was replaced or deleted while it was read."""

    def __init__(self, key: str, url: str) -> None:
        super().__init__(errno.ESTALE, f"{key} in {url} was replaced while it was read. Open it again.")


class Reading(Protocol):
    """How an object is read."""

    size: int

    def whole(self) -> bytes:
        """Return all of it, as it is now."""
        ...

    def part(self, start: int, stop: int) -> Any:
        """Return a buffer of at least one byte from `start` on, at most up to `stop`. Raises `Changed`."""
        ...

    def close(self) -> None:
        """Give up what is held for further parts."""
        ...


def opened(name: str, reading: Reading, buffer: int = BUFFER) -> BinaryIO:
    """Return an open file of an object; small reads fetch `buffer` bytes."""
    return io.BufferedReader(_Opened(name, reading), buffer)


class Ranges(Protocol):
    """What an open file offers besides, if it is in a store: many parts of it at once."""

    def ranges(self, starts: list[int], stops: list[int]) -> list[Any]:
        """Return the buffers from each start up to its stop."""
        ...


class _Opened(io.RawIOBase):
    def __init__(self, name: str, reading: Reading) -> None:
        self.name = name
        self._reading, self._at = reading, 0
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
            raise OSError(errno.EINVAL, f"A position before the beginning of {self.name}")
        self._at = at
        return at

    def readinto(self, buffer: Any) -> int:
        stop = min(self._at + len(buffer), self._size_to_read())
        if stop <= self._at:
            return 0
        part = self._reading.part(self._at, stop) if self._data is None else self._data[self._at : stop]
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
        together = getattr(self._reading, "ranges", None)
        if together is not None:
            found: list[Any] = together(starts, stops)
            return found
        return [self._range(start, stop) for start, stop in zip(starts, stops)]

    def _range(self, start: int, stop: int) -> bytes:
        data = bytearray()
        while start + len(data) < stop:
            data += self._reading.part(start + len(data), stop)
        return bytes(data)

    def close(self) -> None:
        if not self.closed:
            self._reading.close()
        super().close()

    def _size(self) -> int:
        return self._reading.size if self._data is None else len(self._data)

    def _size_to_read(self) -> int:
        # Only now: what was replaced since it was opened may be larger or smaller, and is still one content.
        if self._data is None and self._reading.size <= WHOLE:
            self._data = memoryview(self._reading.whole())
        return self._size()
