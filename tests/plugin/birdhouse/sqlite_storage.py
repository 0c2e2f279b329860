"""A storage connector: all objects in the table of one SQLite file."""

import hashlib
import io
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Iterator
from urllib.parse import quote, unquote, urlsplit

from dataset_assets.core import files
from dataset_assets.errors import StorageError, UsageError
from dataset_assets.storage import Stat, check_key

# WITHOUT ROWID: the keys are the table, in order, so that a folder is a range of it.
TABLE = (
    "CREATE TABLE IF NOT EXISTS objects (key TEXT PRIMARY KEY, data BLOB NOT NULL, "
    "stored TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) WITHOUT ROWID"
)
PUT = "INSERT OR REPLACE INTO objects (key, data) VALUES (?, ?)"
WAIT_SECONDS = 60


class SqliteStorage:
    """Objects in a SQLite file. Each call has a connection of its own, so threads and forked processes may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.url = f"sqlitestore://{quote(str(self.path))}"

    def get(self, key: str) -> BinaryIO:
        with self._opened(check_key(key), write=False) as database:
            data = _data(database, key)
        if data is None:
            raise FileNotFoundError(2, f"{self.url} holds no such object", key)
        return io.BytesIO(data)

    def put(self, key: str, source: Path | bytes) -> None:
        check_key(key)
        data = _read(source)
        with self._opened(key) as database:
            database.execute(PUT, (key, data))

    def exists(self, key: str) -> bool:
        with self._opened(check_key(key), write=False) as database:
            return database.execute("SELECT 1 FROM objects WHERE key = ?", (key,)).fetchone() is not None

    def stat(self, key: str) -> Stat:
        with self._opened(check_key(key), write=False) as database:
            statement = "SELECT length(data), CAST(strftime('%s', stored) AS INTEGER) FROM objects WHERE key = ?"
            found = database.execute(statement, (key,)).fetchone()
        if found is None:
            raise FileNotFoundError(2, f"{self.url} holds no such object", key)
        return Stat(*found)

    def list(self, prefix: str) -> Iterator[str]:
        # "0" follows "/": what lies between them is the folder, and no other that begins alike.
        begin, end = (f"{check_key(prefix)}/", f"{prefix}0") if prefix else ("", "\x7f")
        with self._opened(prefix, write=False) as database:
            rows = database.execute("SELECT key FROM objects WHERE key > ? AND key < ?", (begin, end)).fetchall()
        return (key for (key,) in rows)

    def delete(self, key: str) -> None:
        with self._opened(check_key(key)) as database:
            database.execute("DELETE FROM objects WHERE key = ?", (key,))

    def swap(self, key: str, new: bytes, expected: str | None) -> bool:
        with self._opened(check_key(key)) as database:
            held = _data(database, key)
            if (None if held is None else hashlib.sha256(held).hexdigest()) != expected:
                return False
            database.execute(PUT, (key, bytes(new)))
            return True

    @contextmanager
    def _opened(self, key: str, write: bool = True) -> Iterator[sqlite3.Connection]:
        """Give a connection in a transaction; one that writes is alone from its beginning."""
        files.make_folder(self.path.parent)
        try:
            database = sqlite3.connect(self.path, timeout=WAIT_SECONDS, isolation_level=None)
            try:
                database.execute(TABLE)
                database.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                yield database
                database.execute("COMMIT")
            finally:
                database.close()  # which takes back what was not committed
        except sqlite3.Error as error:
            raise StorageError(5, f"{self.url}, {key}: {error}. Nothing was changed; mend the file.") from error


def open_sqlite(url: str) -> SqliteStorage:
    """Open the objects in the file of a `sqlitestore:///folder/name.db` URL."""
    parts = urlsplit(url)
    path = Path(unquote(parts.path))
    if parts.netloc or not path.is_absolute():
        raise UsageError(f"{url[:80]!r} names no file of this machine. Write it as sqlitestore:///folder/name.db.")
    return SqliteStorage(path)


def _data(database: sqlite3.Connection, key: str) -> bytes | None:
    row: Any = database.execute("SELECT data FROM objects WHERE key = ?", (key,)).fetchone()
    return None if row is None else bytes(row[0])


def _read(source: Path | bytes) -> bytes:
    if not isinstance(source, Path):
        return bytes(source)
    with files.reported(source):
        return source.read_bytes()
