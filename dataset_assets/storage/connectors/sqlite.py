"""Storage in one SQLite file: `sqlite:///path.db`, relative to the working folder, or `sqlite:////absolute/path.db`.

It needs only Python, and is for one machine: SQLite's locks do not hold on network filesystems. Readers and a writer do
not wait for each other; writers take turns.
"""

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Iterable, TypeVar
from urllib.parse import quote, unquote

from dataset_assets.core import files
from dataset_assets.core.redact import has_login, redacted
from dataset_assets.errors import NoSpace, Refused, StorageError, UsageError
from dataset_assets.storage.connectors.sql_base import CHUNK, SqlStorage

T = TypeVar("T")

_TABLES = (
    """CREATE TABLE IF NOT EXISTS objects (key TEXT PRIMARY KEY, blob INTEGER NOT NULL, bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL, stored TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)""",
    # In pieces, because SQLite's largest value is smaller than our largest file.
    "CREATE TABLE IF NOT EXISTS chunks (blob INTEGER, number INTEGER, data BLOB NOT NULL, PRIMARY KEY (blob, number))",
)

_COLUMNS = {"objects": {"key", "blob", "bytes", "sha256", "stored"}, "chunks": {"blob", "number", "data"}}


class SqliteStorage(SqlStorage):
    """Objects in a file, which the first `put` creates. Each verb opens a connection of its own.

    >>> SqliteStorage("/data/assets.db").url
    'sqlite:////data/assets.db'
    """

    epoch = "CAST(strftime('%s', stored) AS INTEGER)"

    def __init__(self, path: Path | str, *, lock_seconds: float = 60.0) -> None:
        self.path = Path(path).expanduser().absolute()
        self.url = f"sqlite:///{quote(os.fsencode(self.path))}"
        self.lock_seconds = lock_seconds

    def _read(self, act: Callable[[Any], T], empty: T) -> T:
        if not self._is_there():
            return empty
        try:
            with closing(self._connected("rw")) as connection:
                # Not opened read-only: then closing it last would leave its journal file behind.
                connection.execute("PRAGMA query_only = ON")
                connection.execute("BEGIN")
                return act(connection.cursor())
        except sqlite3.OperationalError as error:
            # Without the other table the bytes are missing: that is damage.
            if str(error) == "no such table: objects":
                return empty
            raise self._failed(error) from error
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _is_there(self) -> bool:
        # Not `Path.exists`, which may return False for a folder that may not be read.
        with files.reported(self.path):
            try:
                os.stat(self.path)
            except (FileNotFoundError, NotADirectoryError):
                return False
        return True

    def _write(self, key: str, act: Callable[[Any], T]) -> T:
        files.make_folder(self.path.parent)
        try:
            with closing(self._connected("rwc")) as connection:
                self._check(connection)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("BEGIN IMMEDIATE")
                for statement in _TABLES:
                    connection.execute(statement)
                # What is not committed is rolled back when the connection is closed.
                done = act(connection.cursor())
                connection.execute("COMMIT")
                return done
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _check(self, connection: sqlite3.Connection) -> None:
        """Raise `Refused` if the file has tables of these names that another program made."""
        for table, columns in _COLUMNS.items():
            held = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            if held and held != columns:
                raise Refused(
                    f"{self.path} has a table {table!r} that dataset_assets did not make. Nothing was changed. Use "
                    "another file."
                )

    def _write_blob(self, cursor: Any, chunks: Iterable[bytes]) -> int:
        # At random, so that no number is used twice: somebody may still be reading the older blob.
        blob = int.from_bytes(os.urandom(7))
        cursor.executemany("INSERT INTO chunks VALUES (?, ?, ?)", ((blob, i, chunk) for i, chunk in enumerate(chunks)))
        return blob

    def _read_blob(self, cursor: Any, blob: int, start: int, stop: int) -> bytes:
        number, skipped = divmod(start, CHUNK)
        rows = self._all(cursor, "SELECT data FROM chunks WHERE blob = ? AND number = ?", blob, number)
        return rows[0][0][skipped : skipped + stop - start] if rows else b""

    def _drop_blob(self, cursor: Any, blob: int) -> None:
        self._do(cursor, "DELETE FROM chunks WHERE blob = ?", blob)

    def _connected(self, mode: str) -> sqlite3.Connection:
        place = f"file:{quote(os.fsencode(self.path))}?mode={mode}"
        return sqlite3.connect(place, uri=True, timeout=self.lock_seconds, isolation_level=None)

    def _failed(self, error: sqlite3.Error) -> StorageError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return NoSpace(errno.ENOSPC, f"No space left for {self.path}. Free some and run the same command again.")
        if code == sqlite3.SQLITE_BUSY:
            return StorageError(
                errno.EBUSY,
                f"{self.path} is locked by another process. If that is stopped, end it. Then run this again.",
            )
        return StorageError(
            errno.EIO,
            f"{self.path}: {error}. Nothing was published. Correct this and run the same command again.",
        )


def open_sqlite(url: str) -> SqliteStorage:
    """Open the file of a `sqlite:///path.db` URL."""
    host, slash, path = url.partition(":")[2].removeprefix("//").partition("/")
    refused = has_login(path) or "?" in path or "#" in path or "\0" in unquote(path)
    if host or not slash or not path or refused:
        raise UsageError(
            f"{redacted(url)[:80]!r} does not name a file. Write it as sqlite:///path.db or "
            "sqlite:////absolute/path.db; in its name, write %3A for :, %40 for @, %3F for ? and %23 for #."
        )
    return SqliteStorage(os.fsdecode(unquote(path, errors="surrogateescape")))
