"""Many open files on few descriptors: a file that was not read for a while is closed, and opened again when it is read.

A process may open 256 files on macOS, and 1024 on most Linux systems; a split may be made of thousands.
"""

import io
import resource
import threading
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, Callable, Iterator, overload

Opener = Callable[[], BinaryIO]


def most() -> int:
    """Return how many files of one group may have a descriptor: a part of what this process may open."""
    return min(max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 8, 32), 1024)


def open_all(openers: Sequence[Opener]) -> Sequence[BinaryIO]:
    """Open some files at once; if they are more than `most()`, each is opened when the sequence is first asked for it.

    Then the files that were not read for a while are opened again when they are read. Files that need no descriptor,
    such as those of a remote storage, are opened once. Raises what an opener raises, now or when a file is opened.
    """
    if len(openers) <= most():
        return [opener() for opener in openers]
    return _OpenedLater(openers)


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


class _OpenedLater(Sequence[BinaryIO]):
    """Files that are opened in turn: most are read and closed before the next one is opened."""

    def __init__(self, openers: Sequence[Opener]) -> None:
        self._openers, self._shelf = openers, Shelf()
        self._opened: dict[int, BinaryIO] = {}

    def __len__(self) -> int:
        return len(self._openers)

    @overload
    def __getitem__(self, k: int) -> BinaryIO: ...
    @overload
    def __getitem__(self, k: slice) -> Sequence[BinaryIO]: ...
    def __getitem__(self, k: int | slice) -> BinaryIO | Sequence[BinaryIO]:
        if isinstance(k, slice):
            return [self[each] for each in range(*k.indices(len(self)))]
        at = range(len(self))[k]
        if at not in self._opened:
            self._opened[at] = _on_shelf(self._openers[at], self._shelf)
        return self._opened[at]


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
            file: Any = self.opened()
            # Not readinto, which reads once more to see whether there is more.
            return (file.readinto1 if hasattr(file, "readinto1") else file.readinto)(buffer)  # type: ignore[no-any-return]

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
        self._last: Any = None

    def use(self, file: Any) -> None:
        """Move a file to the end, and put away those that are too many."""
        if self._last is file:
            return
        self.drop(file)
        self._open[id(file)] = self._last = file
        too_many = len(self._open) - most()
        for other in [*self._open.values()][:too_many] if too_many > 0 else ():
            if other is not file and other.put_away():
                self.drop(other)

    def drop(self, file: Any) -> None:
        """Forget a file that has no descriptor."""
        if self._last is file:
            self._last = None
        self._open.pop(id(file), None)
