"""Streams of a remote storage: each file is opened when it is read, and files are prefetched in the order of reading.

Files are opened through the cache, so the columns here are maps of local files. When all files of a stream are local,
they are opened as one column, as for a local storage. If there are more files than the cache can hold, the least
recently read ones are closed. No lock is held during a download: threads that need the same file wait in the cache, and
a forked child inherits no locked lock.
"""

import itertools
import threading
from typing import Any, Callable, Iterable, Mapping, Sequence

import numpy as np

from dataset_assets.errors import DatasetAssetsError, StoreUnavailable
from dataset_assets.formats.columns import Chained, Column, Groups, Indices
from dataset_assets.reading.cache import patiently
from dataset_assets.storage.patience import hasty

AT_ONCE = 3
"""The most files to prefetch at a time. A single download does not use the network and the cores fully."""

File = tuple[str, int]
"""The name of a stream, and the number of one of its files."""


class RemoteFiles:
    """The open files of a split. At most `limit` bytes are kept open, and at most as many are prefetched."""

    def __init__(
        self,
        sizes: Mapping[File, int],
        opened: Callable[[str, int], Any],
        fetch: Callable[[str, int], object],
        limit: int,
        together: Callable[[str], Column | None] = lambda stream: None,
    ) -> None:
        self.sizes, self.limit = sizes, limit
        self.grouping: tuple[Any, Indices, Groups] | None = None
        """The starts of parts, the rows that were read last from parts that begin there, and their groups."""
        self.whole: dict[str, Column] = {}
        """One column for each stream whose files are all open."""
        self._opener, self._fetch, self._together = opened, fetch, together
        self._columns: dict[File, Any] = {}
        self._used: dict[File, int] = {}
        self._clock = itertools.count()
        self._fits = sum(sizes.values()) <= limit
        self._unopened: dict[str, set[int]] = {}
        for stream, part in sizes:
            self._unopened.setdefault(stream, set()).add(part)
        self._coming: dict[str, _Expected] = {}
        self._fetched: set[File] = set()
        self._fetching: dict[File, int] = {}
        self._announced = False
        self._at_once = AT_ONCE
        self._threads: list[threading.Thread] = []

    def column(self, file: File) -> Any:
        """Return what was opened of a file, such as a column; opens it if necessary."""
        column = self._columns.get(file)
        if column is None:
            # So that the prefetching threads take the next file instead.
            self._fetching.setdefault(file, threading.get_ident())
            try:
                column = self._columns[file] = self._opener(*file)
            finally:
                self._fetching.pop(file, None)
            self._at_once = max(self._at_once, 1)
            self._fetched.discard(file)
            if not self._announced:
                # Without an announcement, assume that the next file is read next.
                self._coming = {**self._coming, file[0]: _Expected((file[1] + 1,))}
            self._unopened[file[0]].discard(file[1])
            self._close_least_used(file)
            self._prefetch()
            self._join(file[0])
        self._used[file] = next(self._clock)
        return column

    def expect(self, stream: str, parts: Iterable[int]) -> None:
        """Prefetch the files that are not open, in this order, within the limit."""
        self._announced = True
        self._coming = {**self._coming, stream: _Expected(tuple(parts))}
        self._prefetch()

    def _join(self, stream: str) -> None:
        """Open a stream as one column if all its files are open, and none will be closed."""
        if not self._fits or self._unopened[stream]:
            return
        try:
            whole = self._together(stream)
        except (DatasetAssetsError, OSError):
            # For example, a copy was evicted meanwhile. The open files can still be read one by one.
            return
        if whole is not None:
            self.whole[stream] = whole

    def _close_least_used(self, kept: File) -> None:
        if self._fits:
            return
        held = sum(self.sizes[file] for file in [*self._columns])
        for file in sorted([*self._columns], key=lambda file: self._used.get(file, 0)):
            if held <= self.limit:
                return
            if file != kept and self._columns.pop(file, None) is not None:
                held -= self.sizes[file]

    def _prefetch(self) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        while len(self._threads) < self._at_once and self._next() is not None:
            thread = threading.Thread(target=self._fetch_files, name="dataset_assets-prefetch", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _fetch_files(self) -> None:
        while (file := self._claimed()) is not None:
            try:
                with hasty():
                    self._fetch(*file)
                self._fetched.add(file)
                self._at_once = min(self._at_once + 1, AT_ONCE)
            except StoreUnavailable:
                # The storage is overloaded. Stop prefetching until a reader, who retries, gets an answer.
                self._at_once = 0
                return
            except (DatasetAssetsError, OSError):
                # The reader of this file gets the error.
                return
            finally:
                self._fetching.pop(file, None)

    def _claimed(self) -> File | None:
        """Return the next file and claim it for this thread; `dict.setdefault` is atomic, so no lock is needed."""
        me = threading.get_ident()
        while (file := self._next()) is not None:
            if self._fetching.setdefault(file, me) == me:
                return file
        return None

    def _next(self) -> File | None:
        # The streams take turns, because samples are read from all of them.
        first: tuple[int, File] | None = None
        coming = self._coming
        for stream, row in [*coming.items()]:
            # Of files that do not fit, earlier ones may have been closed and come again.
            done = row.done if self._fits else 0
            while done < len(row.parts) and self._is_there((stream, row.parts[done])):
                done += 1
            row.done = done
            if done >= len(row.parts):
                if self._fits:
                    coming.pop(stream, None)
            elif first is None or done < first[0]:
                first = done, (stream, row.parts[done])
        if first is None:
            return None
        file = first[1]
        return file if self._fits or self._ahead() + self.sizes[file] <= self.limit else None

    def _is_there(self, file: File) -> bool:
        return file not in self.sizes or file in self._columns or file in self._fetched or file in self._fetching

    def _ahead(self) -> int:
        return sum(self.sizes[file] for file in {*self._fetched, *self._fetching})


class _Expected:
    """The files of a stream that are read next, in order. The first `done` of them are open or fetched."""

    def __init__(self, parts: tuple[int, ...]) -> None:
        self.parts, self.done = parts, 0


class RemoteColumn(Chained):
    """A stream whose files are opened when they are read."""

    def __init__(
        self, files: RemoteFiles, stream: str, samples: Sequence[int], pick: Callable[[Any], Column] = lambda one: one
    ) -> None:
        """`pick` returns the column of the stream in what was opened of a file, which may hold several."""
        self.files, self.stream, self.pick = files, stream, pick
        super().__init__([_Part(files, (stream, k), count, pick) for k, count in enumerate(samples)])

    @property
    def row_bytes(self) -> float:
        """The approximate size of a value in bytes, without reading any."""
        return sum(size for (stream, _), size in self.files.sizes.items() if stream == self.stream) / max(1, len(self))

    def open(self, part: int) -> Column:
        """Open one file."""
        return self.pick(self.files.column((self.stream, part)))

    def expect(self, rows: Indices) -> None:
        """Announce that some rows are read next, in about this order."""
        parts = np.searchsorted(self.starts, rows, "right") - 1
        _, first = np.unique(parts, return_index=True)
        self.files.expect(self.stream, parts[np.sort(first)].tolist())

    def take(self, indices: Indices, out: Any = None) -> Any:
        whole = self.files.whole.get(self.stream)
        return super().take(indices, out) if whole is None else whole.take(indices, out)

    def grouped(self, indices: Indices) -> Groups:
        """Return rows by part; streams whose parts begin at the same rows share them."""
        known = self.files.grouping
        if known and known[0] is self.starts and np.array_equal(known[1], indices):
            return known[2]
        found = super().grouped(indices)
        self.files.grouping = self.starts, indices.copy(), found
        return found

    @property
    def rows(self) -> Any:
        """All values as one array, if the stream is a single mapped array."""
        if len(self.parts) == 1 and hasattr(column := self.open(0), "rows"):
            return column.rows
        raise AttributeError("rows")


class _Part:
    """One file of a stream."""

    def __init__(self, files: RemoteFiles, file: File, samples: int, pick: Callable[[Any], Column]) -> None:
        self.files, self.file, self.samples, self.pick = files, file, samples, pick

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, i: int) -> Any:
        return self.pick(self.files.column(self.file))[i]

    def take(self, indices: Indices, out: Any = None) -> Any:
        return self.pick(self.files.column(self.file)).take(indices, out)

    def slice(self, lo: int, hi: int) -> Any:
        return self.pick(self.files.column(self.file)).slice(lo, hi)


class RetryingColumn:
    """A column that is read by ranges. It retries for `seconds` if the storage does not answer."""

    def __init__(self, opened: Callable[[], Column], seconds: float) -> None:
        self.seconds = seconds
        self.column = patiently(opened, seconds)

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, i: int) -> Any:
        return patiently(lambda: self.column[i], self.seconds)

    def take(self, indices: Indices, out: Any = None) -> Any:
        return patiently(lambda: self.column.take(indices, out), self.seconds)

    def slice(self, lo: int, hi: int) -> Any:
        return patiently(lambda: self.column.slice(lo, hi), self.seconds)
