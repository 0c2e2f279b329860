"""Storage in a SQL database, shared by SQLite and PostgreSQL: a row for each object, which names a blob.

Row and blob change in one transaction, so an object is visible when all of it is there.
"""

import errno
import hashlib
import io
from abc import ABC, abstractmethod
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterable, Iterator, NamedTuple, TypeVar

from dataset_assets.core import files
from dataset_assets.storage.object_file import Changed, opened
from dataset_assets.storage.outcome import settled
from dataset_assets.storage.patience import MOST_SILENT_SECONDS
from dataset_assets.storage.storage import Entry, Stat, check_key, is_directly_in

T = TypeVar("T")
Blobs = list[int]

CHUNK = 1 << 20


class Row(NamedTuple):
    """The row of an object: its blob, and the size and digest of that."""

    blob: int
    bytes: int
    sha256: str


class SqlStorage(ABC):
    """Objects in a database. Each verb is a short transaction. Files are read through the cache of this machine."""

    cached = True
    url: str
    mark = "?"
    epoch: str
    """The SQL for the column `stored` in seconds since 1970."""
    table = "objects"
    look_seconds = MOST_SILENT_SECONDS / 2
    """How long to look what became of a request whose answer was lost."""

    def get(self, key: str) -> BinaryIO:
        check_key(key)
        row = self._read(lambda cursor: self._row(cursor, key), None)
        if row is None:
            raise FileNotFoundError(errno.ENOENT, f"{self.url} holds no such object", key)
        return opened(key, RowReader(self, key, row), CHUNK)

    def put(self, key: str, source: Path | bytes) -> None:
        check_key(key)
        written: Blobs = []
        with _opened(source) as file:
            act = partial(self._write, key, lambda cursor: written.append(self._replace(cursor, key, file)))
            settled(act, lambda: self._names(key, written), None, self.look_seconds)

    def exists(self, key: str) -> bool:
        check_key(key)
        return self._read(lambda cursor: self._row(cursor, key), None) is not None

    def stat(self, key: str) -> Stat:
        check_key(key)
        rows: Any = self._read(lambda cursor: self._all(cursor, _STAT, key), ())
        if not rows:
            raise FileNotFoundError(errno.ENOENT, f"{self.url} holds no such object", key)
        return Stat(rows[0][0], float(rows[0][1]))

    def list(self, prefix: str) -> Iterator[str]:
        return (key for (key,) in self._below(_LIST, prefix))

    def entries(self, prefix: str, deep: bool = True) -> Iterator[Entry]:
        rows = self._below(_ENTRIES, prefix)
        return (Entry(key, size, float(at)) for key, size, at in rows if deep or is_directly_in(prefix, key))

    def _below(self, statement: str, prefix: str) -> Any:
        # '0' is the character after '/', so these bounds hold the keys that begin with the folder and '/'.
        bounds = (f"{check_key(prefix)}/", f"{prefix}0") if prefix else ("", "~")
        return self._read(lambda cursor: self._all(cursor, statement, *bounds), ())

    def delete(self, key: str) -> None:
        if self.exists(key):
            act = partial(self._write, key, lambda cursor: self._forget(cursor, key))
            settled(act, lambda: not self.exists(key), None, self.look_seconds)

    def swap(self, key: str, new: bytes, expected: str | None) -> bool:
        check_key(key)
        written: Blobs = []
        act = partial(self._write, key, lambda cursor: self._swapped(cursor, key, new, expected, written))
        return settled(act, lambda: self._names(key, written), True, self.look_seconds)

    def _names(self, key: str, written: Blobs) -> bool:
        """Say whether the row of an object names the last blob that was written."""
        row = self._read(lambda cursor: self._row(cursor, key), None)
        return row is not None and row.blob in written[-1:]

    def _swapped(self, cursor: Any, key: str, new: bytes, expected: str | None, written: Blobs) -> bool:
        row = self._row(cursor, key)
        # Not the digest in the row: only the bytes show damage.
        digest = hashlib.sha256(self._content(cursor, row)).hexdigest() if row else None
        if digest != expected:
            return False
        written.append(self._replace(cursor, key, io.BytesIO(new)))
        return True

    def _replace(self, cursor: Any, key: str, file: BinaryIO) -> int:
        """Write a blob and name it by the row of an object; return its number."""
        file.seek(0)
        digest, size = hashlib.sha256(), 0

        def chunks() -> Iterator[bytes]:
            nonlocal size
            for chunk in files.chunks_of(file, CHUNK):
                digest.update(chunk)
                size += len(chunk)
                yield chunk

        blob, row = self._write_blob(cursor, chunks()), self._row(cursor, key)
        if row is None:
            self._do(cursor, _INSERT, key, blob, size, digest.hexdigest())
        else:
            self._do(cursor, _UPDATE, blob, size, digest.hexdigest(), key)
            self._drop_blob(cursor, row.blob)
        return blob

    def _forget(self, cursor: Any, key: str) -> None:
        row = self._row(cursor, key)
        if row is not None:
            self._do(cursor, _DELETE, key)
            self._drop_blob(cursor, row.blob)

    def _row(self, cursor: Any, key: str) -> Row | None:
        rows = self._all(cursor, _SELECT, key)
        return Row(*rows[0]) if rows else None

    def _content(self, cursor: Any, row: Row) -> bytes:
        data = bytearray()
        while len(data) < row.bytes and (part := self._read_blob(cursor, row.blob, len(data), row.bytes)):
            data += part
        return bytes(data)

    def _do(self, cursor: Any, statement: str, *values: Any) -> None:
        cursor.execute(statement.format(table=self.table, epoch=self.epoch).replace("?", self.mark), values)

    def _all(self, cursor: Any, statement: str, *values: Any) -> Any:
        self._do(cursor, statement, *values)
        return cursor.fetchall()

    # What differs between databases.

    @abstractmethod
    def _read(self, act: Callable[[Any], T], empty: T) -> T:
        """Read by a cursor that sees one state of the database. Return `empty` if nothing was ever stored."""

    @abstractmethod
    def _write(self, key: str, act: Callable[[Any], T]) -> T:
        """Write by a cursor, in a transaction that excludes other writers of the key."""

    @abstractmethod
    def _write_blob(self, cursor: Any, chunks: Iterable[bytes]) -> int:
        """Store a new blob; return its number."""

    @abstractmethod
    def _read_blob(self, cursor: Any, blob: int, start: int, stop: int) -> bytes:
        """Return bytes from `start` on, at most up to `stop`; b"" if the blob is shorter or gone."""

    @abstractmethod
    def _drop_blob(self, cursor: Any, blob: int) -> None:
        """Remove a blob."""


_SELECT = "SELECT blob, bytes, sha256 FROM {table} WHERE key = ?"
_STAT = "SELECT bytes, {epoch} FROM {table} WHERE key = ?"
_LIST = "SELECT key FROM {table} WHERE key >= ? AND key < ?"
_ENTRIES = "SELECT key, bytes, {epoch} FROM {table} WHERE key >= ? AND key < ?"
_INSERT = "INSERT INTO {table} (key, blob, bytes, sha256) VALUES (?, ?, ?, ?)"
_UPDATE = "UPDATE {table} SET blob = ?, bytes = ?, sha256 = ?, stored = CURRENT_TIMESTAMP WHERE key = ?"
_DELETE = "DELETE FROM {table} WHERE key = ?"


class RowReader:
    """Reads an object. One that was stored again with the same content counts as the same."""

    def __init__(self, storage: SqlStorage, key: str, row: Row) -> None:
        self.storage, self.key, self.row = storage, key, row
        self.size = row.bytes

    def whole(self) -> bytes:
        def read(cursor: Any) -> bytes | None:
            row = self.storage._row(cursor, self.key)
            return None if row is None else self.storage._content(cursor, row)

        return self._still(self.storage._read(read, None))

    def part(self, start: int, stop: int) -> bytes:
        def read(cursor: Any) -> bytes | None:
            row = self.storage._row(cursor, self.key)
            if row is None or row.sha256 != self.row.sha256:
                return None
            return self.storage._read_blob(cursor, row.blob, start, stop)

        return self._still(self.storage._read(read, None))

    def close(self) -> None:
        return None

    def _still(self, data: bytes | None) -> bytes:
        if data is None:
            raise Changed(self.key, self.storage.url)
        return data


@contextmanager
def _opened(source: Path | bytes) -> Iterator[BinaryIO]:
    if not isinstance(source, Path):
        yield io.BytesIO(source)
        return
    with files.opened(source) as file:
        yield file
