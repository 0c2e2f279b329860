"""The streams of a remote storage: each file is opened when it is read, and fetched ahead in the order of reading.

Files are opened through the cache, so what is held here are maps of local files. Once all files of a stream are there
they are opened as one column, as those of a local storage are. There may be more of them than the cache can hold; then
those that were not read for the longest time are let go. No lock is held while a file is fetched: threads that want the
same one wait in the cache, and a forked child finds nothing locked.
"""

import itertools
import threading
from typing import Any, Callable, Iterable, Mapping, Sequence

import numpy as np

from dataset_assets.errors import DatasetAssetsError, StoreUnavailable
from dataset_assets.formats.columns import Chained, Column, Indices
from dataset_assets.reading.cache import patiently

AT_ONCE = 3
"""How many files are fetched ahead at a time, at most: with one alone, neither network nor cores have enough to do."""

File = tuple[str, int]
"""The name of a stream, and the number of one of its files."""


class RemoteFiles:
    """The files of a split that are open; `limit` is how many bytes of them are held, and fetched ahead, at most."""

    def __init__(
        self,
        sizes: Mapping[File, int],
        opened: Callable[[str, int], Column],
        fetch: Callable[[str, int], object],
        limit: int,
        together: Callable[[str], Column | None] = lambda stream: None,
    ) -> None:
        self.sizes, self.limit = sizes, limit
        self.whole: dict[str, Column] = {}
        """The streams all of whose files are open, as one column each."""
        self._opener, self._fetch, self._together = opened, fetch, together
        self._columns: dict[File, Column] = {}
        self._used: dict[File, int] = {}
        self._clock = itertools.count()
        self._coming: dict[str, tuple[int, ...]] = {}
        self._fetched: set[File] = set()
        self._fetching: dict[File, int] = {}
        self._announced = False
        self._at_once = AT_ONCE
        self._threads: list[threading.Thread] = []

    def column(self, file: File) -> Column:
        """Return one file as a column; opens it if it is not open."""
        found = self._columns.get(file)
        if found is None:
            # Who fetches ahead is to take the next one.
            self._fetching.setdefault(file, threading.get_ident())
            try:
                found = self._columns[file] = self._opener(*file)
            finally:
                self._fetching.pop(file, None)
            self._at_once = max(self._at_once, 1)
            self._fetched.discard(file)
            if not self._announced:
                # Nobody said what comes next: most who read a file read the next one then.
                self._coming = {**self._coming, file[0]: (file[1] + 1,)}
            self._let_go(file)
            self._go_on()
            self._join(file[0])
        self._used[file] = next(self._clock)
        return found

    def expect(self, stream: str, parts: Iterable[int]) -> None:
        """Fetch files that are not open in the background, in this order, as far ahead as the limit allows."""
        self._announced = True
        self._coming = {**self._coming, stream: tuple(parts)}
        self._go_on()

    def _join(self, stream: str) -> None:
        """Open a stream as one column if all its files are open, and none will be let go."""
        if sum(self.sizes.values()) > self.limit or not all(file in self._columns for file in self._of(stream)):
            return
        try:
            found = self._together(stream)
        except (DatasetAssetsError, OSError):
            # A copy was evicted meanwhile, say; what is open is read as it is.
            return
        if found is not None:
            self.whole[stream] = found

    def _of(self, stream: str) -> list[File]:
        return [file for file in self.sizes if file[0] == stream]

    def _let_go(self, kept: File) -> None:
        held = sum(self.sizes[file] for file in [*self._columns])
        for file in sorted([*self._columns], key=lambda file: self._used.get(file, 0)):
            if held <= self.limit:
                return
            if file != kept and self._columns.pop(file, None) is not None:
                held -= self.sizes[file]

    def _go_on(self) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        while len(self._threads) < self._at_once and self._next() is not None:
            thread = threading.Thread(target=self._fetch_ahead, name="dataset_assets-ahead", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _fetch_ahead(self) -> None:
        while (file := self._claimed()) is not None:
            try:
                self._fetch(*file)
                self._fetched.add(file)
                self._at_once = min(self._at_once + 1, AT_ONCE)
            except StoreUnavailable:
                # It has too much to do. Whoever reads goes on asking, alone until there is an answer.
                self._at_once = 0
                return
            except (DatasetAssetsError, OSError):
                # Whoever reads it is told.
                return
            finally:
                self._fetching.pop(file, None)

    def _claimed(self) -> File | None:
        """Return the next file, which no other thread is to fetch; a step of a dict is whole, and needs no lock."""
        me = threading.get_ident()
        while (file := self._next()) is not None:
            if self._fetching.setdefault(file, me) == me:
                return file
        return None

    def _next(self) -> File | None:
        ahead = sum(self.sizes[file] for file in {*self._fetched, *self._fetching})
        # The streams take turns: they are read side by side.
        for parts in itertools.zip_longest(*self._coming.values()):
            for file in zip(self._coming, parts):
                there = file in self._columns or file in self._fetched or file in self._fetching
                if file in self.sizes and not there:
                    return file if ahead + self.sizes[file] <= self.limit else None
        return None


class RemoteColumn(Chained):
    """A stream whose files are opened when they are read."""

    def __init__(self, files: RemoteFiles, stream: str, samples: Sequence[int]) -> None:
        self.files, self.stream = files, stream
        super().__init__([_Part(files, (stream, k), count) for k, count in enumerate(samples)])

    @property
    def row_bytes(self) -> float:
        """About how many bytes a value has, without reading any."""
        return sum(size for (stream, _), size in self.files.sizes.items() if stream == self.stream) / max(1, len(self))

    def expect(self, rows: Indices) -> None:
        """Say that some rows are read next, in about this order."""
        parts = np.searchsorted(self.starts, rows, "right") - 1
        _, first = np.unique(parts, return_index=True)
        self.files.expect(self.stream, parts[np.sort(first)].tolist())

    def take(self, indices: Indices, out: Any = None) -> Any:
        whole = self.files.whole.get(self.stream)
        return super().take(indices, out) if whole is None else whole.take(indices, out)

    @property
    def rows(self) -> Any:
        """All values as one array, of a stream that is one on a map."""
        if len(self.parts) == 1 and hasattr(column := self.files.column((self.stream, 0)), "rows"):
            return column.rows
        raise AttributeError("rows")


class _Part:
    """One file of a stream."""

    def __init__(self, files: RemoteFiles, file: File, samples: int) -> None:
        self.files, self.file, self.samples = files, file, samples

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, i: int) -> Any:
        return self.files.column(self.file)[i]

    def take(self, indices: Indices, out: Any = None) -> Any:
        return self.files.column(self.file).take(indices, out)

    def slice(self, lo: int, hi: int) -> Any:
        return self.files.column(self.file).slice(lo, hi)


class Patient:
    """A column that is read by ranges, and waits for its store as long as the setting `stall_seconds` says."""

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
