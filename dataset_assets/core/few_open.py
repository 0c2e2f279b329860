"""Many open files on few descriptors: a file that was not read for a while is closed, and opened again when it is read.

A process may open 256 files on macOS, and 1024 on most Linux systems; a split may be made of thousands.
"""

import io
import resource
import threading
from contextlib import contextmanager
from typing import Any, BinaryIO, Callable, Iterator, Sequence

Opener = Callable[[], BinaryIO]


def most() -> int:
    """Return how many files of one group may have a descriptor: a part of what this process may open."""
    return min(max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 8, 32), 1024)


def open_all(openers: Sequence[Opener]) -> list[BinaryIO]:
    """Open some files at once; if they are more than `most()`, the first ones are opened again when they are read.

    Files that need no descriptor, such as those of a remote storage, are opened once. Raises what an opener raises.
    """
    if len(openers) <= most():
        return [opener() for opener in openers]
    shelf = Shelf()
    return [_on_shelf(opener, shelf) for opener in openers]


def has_descriptor(file: BinaryIO) -> bool:
    """Say whether an open file is a plain file of this machine."""
    return isinstance(getattr(file, "raw", file), (io.FileIO, _Reopened))


@contextmanager
def descriptor(file: BinaryIO) -> Iterator[int]:
    """Give the descriptor of an open file; after the block it may be closed."""
    raw = getattr(file, "raw", file)
    if isinstance(raw, _Reopened):
        with raw.lock:
            yield raw.opened().fileno()
    else:
        yield file.fileno()


def _on_shelf(opener: Opener, shelf: "Shelf") -> BinaryIO:
    file = opener()
    return io.BufferedReader(_Reopened(file, opener, shelf)) if has_descriptor(file) else file


class _Reopened(io.RawIOBase):
    """A file that goes on where it was when it is opened again."""

    def __init__(self, file: BinaryIO, opener: Opener, shelf: "Shelf") -> None:
        self.name = getattr(file, "name", "a file")
        self.lock = threading.RLock()
        self._file: BinaryIO | None = file
        self._opener, self._shelf, self._at = opener, shelf, 0
        self._kept = False
        self.opened()

    def opened(self) -> BinaryIO:
        """Return the open file; the caller holds the lock."""
        if self.closed:
            raise ValueError(f"{self.name} is closed")
        if self._file is None:
            self._file = self._opener()
            self._file.seek(self._at)
        self._shelf.use(self)
        return self._file

    def put_away(self) -> bool:
        """Close the descriptor if nobody is reading; return whether it is closed."""
        if self._kept or not self.lock.acquire(blocking=False):
            return False
        try:
            if self._file is not None:
                self._at = self._file.tell()
                self._file.close()
                self._file = None
            return True
        finally:
            self.lock.release()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self.lock:
            return self.opened().seek(offset, whence)

    def tell(self) -> int:
        with self.lock:
            return self.opened().tell()

    def readinto(self, buffer: Any) -> int:
        with self.lock:
            return self.opened().readinto(buffer)  # type: ignore[attr-defined, no-any-return]

    def fileno(self) -> int:
        """Return the descriptor, which stays open from now on: the caller may use it at any time."""
        with self.lock:
            self._kept = True
            return self.opened().fileno()

    def close(self) -> None:
        if not self.closed:
            with self.lock:
                self._kept = False
                self._shelf.drop(self)
                self.put_away()
        super().close()


class Shelf:
    """Files that have a descriptor, the one that was used last at the end. Each has a `put_away`, as `_Reopened` has.

    It needs no lock, since each step on a dictionary is atomic: a forked child inherits no locked lock.
    """

    def __init__(self) -> None:
        self._open: dict[int, Any] = {}

    def use(self, file: Any) -> None:
        """Move a file to the end, and put away those that are too many."""
        self.drop(file)
        self._open[id(file)] = file
        for other in [*self._open.values()][: -most()]:
            if other is not file and other.put_away():
                self.drop(other)

    def drop(self, file: Any) -> None:
        """Forget a file that has no descriptor."""
        self._open.pop(id(file), None)
