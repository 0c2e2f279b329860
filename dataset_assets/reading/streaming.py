"""Columns of a stored split that are read once, front to back, in little memory."""

from typing import Any

from dataset_assets.formats.columns import Column, Indices, chained
from dataset_assets.formats.decoded import stored_values
from dataset_assets.reading.stored_files import StoredFiles, format_of, opener_of
from dataset_assets.reading.views import Stored

HELD_BYTES = 16 << 20
"""How much of a stream is kept in memory."""


class StreamingColumn:
    """A file of a stream that is opened again after some megabytes, so that the pages it took can be freed."""

    def __init__(self, files: "_OpenFiles", part: int) -> None:
        self.files, self.part = files, part

    def __len__(self) -> int:
        return self.files.stream.files[self.part].samples

    def __getitem__(self, i: int) -> Any:
        return self.files.column(self.part, 1)[i]

    def take(self, indices: Indices, out: Any = None) -> Any:
        return self.files.column(self.part, len(indices)).take(indices, out)

    def slice(self, lo: int, hi: int) -> Any:
        return self.files.column(self.part, hi - lo).slice(lo, hi)


class _OpenFiles:
    """The open files of a stream: each is opened when it is needed, and closed after `HELD_BYTES` were read."""

    def __init__(self, opener: StoredFiles, name: str) -> None:
        self.opener, self.name, self.stream = opener, name, opener.index.streams[name]
        self.held: dict[int, Column] = {}
        self.read = self.bytes = 0.0

    def column(self, part: int, rows: int) -> Column:
        """Return the column of a file, from which so many rows will be read."""
        file, found = self.stream.files[part], self.held.get(part)
        size = rows * file.bytes / max(file.samples, 1)
        self.read += size
        if found is not None and self.read <= HELD_BYTES:
            return found
        # A file that is not on a disk of this machine is held in memory as a whole.
        if self.read > HELD_BYTES or self.bytes + file.bytes > HELD_BYTES:
            self.held, self.read, self.bytes = {}, size, 0.0
        # Undecoded: equal bytes are equal pictures.
        found = stored_values(format_of(self.stream).open([self.opener.stream(self.name, part)]))
        self.held[part] = found
        self.bytes += file.bytes
        return found

    def __getstate__(self) -> dict[str, Any]:
        # Another process opens them again.
        return {**self.__dict__, "held": {}, "read": 0.0, "bytes": 0.0}


def open_for_streaming(view: Stored, run: str = "") -> Stored:
    """Hash the files of a view; return a view of its undecoded values for reading it once, in little memory.

    The processes of one `run` on this machine hash a file once between them.
    """
    opener = opener_of(view)
    opener.verify_once(run) if run else opener.verify()
    return Stored(view.origin, streaming_columns(view), opener)


def streaming_columns(view: Stored) -> dict[str, Column]:
    """Return the columns of a view for reading them once, front to back, in little memory."""
    opener = opener_of(view)
    return opener.own_rows(value_columns(opener))


def value_columns(opener: StoredFiles) -> dict[str, Column]:
    """Return the columns of the files of a split; those of one that stores row numbers have all rows of the other."""
    if opener.index.placed:
        from dataset_assets.reading.in_place import placed_columns

        return placed_columns(opener.index, opener.storage.url)
    return {
        name: chained([StreamingColumn(files, part) for part in range(len(files.stream.files))])
        for name in opener.index.streams
        for files in [_OpenFiles(opener, name)]
    }
