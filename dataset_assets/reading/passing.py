"""Columns of a stored split that are read once, from one end to the other, in little memory."""

from typing import Any

from dataset_assets.formats.columns import Column, Indices, chained
from dataset_assets.formats.decoded import stored_values
from dataset_assets.reading.load import StoredFiles, format_of, opener_of
from dataset_assets.reading.views import Stored

# What is held of a stream that is read once.
HELD_BYTES = 16 << 20


class Passing:
    """A file of a stream that is opened anew after some megabytes, so that what was read of it is given back."""

    def __init__(self, files: "PassingFiles", part: int) -> None:
        self.files, self.part = files, part

    def __len__(self) -> int:
        return self.files.stream.files[self.part].samples

    def __getitem__(self, i: int) -> Any:
        return self.files.column(self.part, 1)[i]

    def take(self, indices: Indices, out: Any = None) -> Any:
        return self.files.column(self.part, len(indices)).take(indices, out)

    def slice(self, lo: int, hi: int) -> Any:
        return self.files.column(self.part, hi - lo).slice(lo, hi)


class PassingFiles:
    """The files of a stream that are open, until `HELD_BYTES` were read of them; one of many is opened when needed."""

    def __init__(self, opener: StoredFiles, name: str) -> None:
        self.opener, self.name, self.stream = opener, name, opener.index.streams[name]
        self.held: dict[int, Column] = {}
        self.read = self.bytes = 0.0

    def column(self, part: int, rows: int) -> Column:
        """Return a file's column, of which some rows will be read."""
        file, found = self.stream.files[part], self.held.get(part)
        size = rows * file.bytes / max(file.samples, 1)
        self.read += size
        if found is not None and self.read <= HELD_BYTES:
            return found
        # What is in no file of this machine is held in memory as a whole.
        if self.read > HELD_BYTES or self.bytes + file.bytes > HELD_BYTES:
            self.held, self.read, self.bytes = {}, size, 0.0
        # As stored: equal bytes are equal pictures, and nothing has to be decoded.
        found = stored_values(format_of(self.stream).open([self.opener.stream(self.name, part)]))
        self.held[part] = found
        self.bytes += file.bytes
        return found

    def __getstate__(self) -> dict[str, Any]:
        # Another process opens them itself.
        return {**self.__dict__, "held": {}, "read": 0.0, "bytes": 0.0}


def passing(view: Stored) -> Stored:
    """Return a view for reading it once, in little memory, with its values as they are stored; its bytes are hashed."""
    opener = opener_of(view)
    opener.verify()
    return Stored(view.origin, passing_columns(view), opener)


def passing_columns(view: Stored) -> dict[str, Column]:
    """Return the columns of a view for reading them once, from one end to the other, in little memory."""
    opener = opener_of(view)
    return {
        name: chained([Passing(files, part) for part in range(len(files.stream.files))])
        for name in opener.index.streams
        for files in [PassingFiles(opener, name)]
    }
