"""Storage in one SQLite file: `sqlite:///path.db`, relative to the working folder, or `sqlite:////absolute/path.db`.

It needs only Python, and is for one machine: SQLite's locks do not hold on network filesystems. Readers and a writer do
not wait for each other; writers take turns. `store.db-wal` beside it holds what was written in the last second, or last
by a process that was killed.
"""

import atexit
import errno
import os
import shlex
import sqlite3
import threading
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, TypeVar
from urllib.parse import quote, unquote
from weakref import ref

from dataset_assets.core import files
from dataset_assets.core.redact import has_login, redacted
from dataset_assets.errors import NoSpace, Refused, StorageError, UsageError
from dataset_assets.storage.connectors.fork_gate import ForkGate
from dataset_assets.storage.connectors.sql_base import CHUNK, SqlStorage

T = TypeVar("T")

_TABLES = (
    """CREATE TABLE IF NOT EXISTS objects (key TEXT PRIMARY KEY, blob INTEGER NOT NULL, bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL, stored TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)""",
    # In pieces, because SQLite's largest value is smaller than our largest file.
    "CREATE TABLE IF NOT EXISTS chunks (blob INTEGER, number INTEGER, data BLOB NOT NULL, PRIMARY KEY (blob, number))",
)

_COLUMNS = {"objects": {"key", "blob", "bytes", "sha256", "stored"}, "chunks": {"blob", "number", "data"}}


# Of a disk that is full or may not be written: SQLite needs to write two small files even to read.
_UNWRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL)
ATTEMPTS = 5


class _Connection:
    """A connection that one thread of one process keeps, and which file it is of."""

    def __init__(self, sql: sqlite3.Connection, path: Path) -> None:
        self.sql, self.is_open = sql, True
        self.process, self.file, self.has_tables = os.getpid(), _identity(path), False
        key = id(self)
        _open[key] = ref(self, lambda _: _open.pop(key, None))

    def fits(self, path: Path) -> bool:
        """Say whether it may be used: while it is open, and nobody replaced the file."""
        return self.is_open and self.file is not None and self.file == _identity(path)

    def close(self) -> None:
        """Close it. One of the parent of this process is kept instead: a child may neither use nor close it."""
        if self.process != os.getpid():
            _inherited.append(self.sql)
            return
        with _gate.passed(), suppress(sqlite3.Error):
            self.is_open = False
            self.sql.close()

    # Python's connections hold themselves, and would stay open until the garbage collector finds them.
    __del__ = close


_open: "dict[int, ref[_Connection]]" = {}
_inherited: list[sqlite3.Connection] = []


def _close_all() -> None:
    """Close all connections of this process; the last one merges what was written into the file."""
    for one in _open.copy().values():
        if connection := one():
            connection.close()


atexit.register(_close_all)
_gate = ForkGate(_close_all)


def _start(seconds: float, storage: "ref[SqliteStorage]") -> None:
    def merge() -> None:
        if (found := storage()) is not None:
            found._merge()

    timer = threading.Timer(seconds, merge)
    timer.name, timer.daemon = "dataset_assets-merge", True
    timer.start()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        info = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return info.st_dev, info.st_ino


class SqliteStorage(SqlStorage):
    """Objects in a file, which the first `put` creates. Each thread keeps one connection.

    >>> SqliteStorage("/data/assets.db").url
    'sqlite:////data/assets.db'
    """

    epoch = "CAST(strftime('%s', stored) AS INTEGER)"

    def __init__(self, path: Path | str, *, lock_seconds: float = 60.0, merge_seconds: float = 1.0) -> None:
        self.path = Path(path).expanduser().absolute()
        self.url = f"sqlite:///{quote(os.fsencode(self.path))}"
        self.lock_seconds, self.merge_seconds = lock_seconds, merge_seconds
        self._kept = threading.local()
        self._written, self._merging = 0.0, 0

    def __reduce__(self) -> tuple[Any, ...]:
        return open_sqlite, (self.url,)

    def _read(self, act: Callable[[Any], T], empty: T) -> T:
        if not self._is_there():
            return empty
        try:
            with self._entered():
                return self._read_there(act)
        except sqlite3.Error as error:
            # Without the other table the bytes are missing: that is damage.
            if str(error) == "no such table: objects":
                return empty
            raise self._failed(error) from error

    def _read_there(self, act: Callable[[Any], T]) -> T:
        try:
            return self._transaction("BEGIN", act)
        except sqlite3.OperationalError as error:
            if _code(error) not in _UNWRITABLE:
                raise
            return self._read_unwritable(act, error)

    def _read_unwritable(self, act: Callable[[Any], T], error: sqlite3.Error) -> T:
        """Read the file alone, on a disk that takes nothing; again if somebody changes it meanwhile."""
        for _ in range(ATTEMPTS):
            before = self._state()
            # What is in there is not in the file yet.
            if before is None or before[-1]:
                break
            try:
                with closing(self._connected("ro&immutable=1")) as connection:
                    done = act(connection.cursor())
            except sqlite3.Error:
                if self._state() == before:
                    raise
                continue
            if self._state() == before:
                return done
        raise error

    def _state(self) -> tuple[int, ...] | None:
        """Return what changes when the file does, and last the size of the file of what is not merged into it yet."""
        try:
            info, log = os.stat(self.path), Path(f"{self.path}-wal")
            return info.st_ino, info.st_size, info.st_mtime_ns, log.stat().st_size if log.exists() else 0
        except FileNotFoundError:
            return None

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
            with self._entered():
                done = self._transaction("BEGIN IMMEDIATE", act)
        except sqlite3.Error as error:
            raise self._failed(error) from error
        self._merge_later()
        return done

    def _merge_later(self) -> None:
        """Merge what was written into the file when this process pauses: then the file alone may be copied."""
        self._written = time.monotonic()
        if self._merging != os.getpid():
            self._merging = os.getpid()
            _start(self.merge_seconds, ref(self))

    def _merge(self) -> None:
        self._merging = 0
        pause = self._written + self.merge_seconds - time.monotonic()
        if pause > 0:
            self._merging = os.getpid()
            _start(pause, ref(self))
            return
        # Whoever reads or writes just now is not held up: the next pause, or the last to close it, merges it.
        with _gate.passed(), suppress(sqlite3.Error), closing(self._connected("rw")) as connection:
            connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _entered(self) -> Iterator[None]:
        if _gate.spoiled:
            raise StorageError(
                errno.EDEADLK,
                f"{self.path} cannot be used in this process: it was forked while another thread used a "
                f"SQLite file for more than {_gate.seconds:g} s. Nothing was published. Start processes by spawn.",
            )
        with _gate.passed():
            yield

    def _transaction(self, begin: str, act: Callable[[Any], T]) -> T:
        connection = self._connection("rw" if begin == "BEGIN" else "rwc")
        try:
            if begin != "BEGIN" and not connection.has_tables:
                self._make_tables(connection)
            connection.sql.execute(begin)
            done = act(connection.sql.cursor())
            connection.sql.execute("COMMIT")
            return done
        except BaseException:
            # Closing rolls back what was not committed.
            self._drop()
            raise

    def _connection(self, mode: str) -> _Connection:
        """Return the connection of this thread, which is made anew if another file is there now."""
        kept: _Connection | None = getattr(self._kept, "connection", None)
        if kept is None or not kept.fits(self.path):
            self._drop()
            kept = _Connection(self._connected(mode), self.path)
            self._kept.connection = kept
        return kept

    def _drop(self) -> None:
        kept: _Connection | None = self._kept.__dict__.pop("connection", None)
        if kept is not None:
            kept.close()

    def _make_tables(self, connection: _Connection) -> None:
        self._check(connection.sql)
        connection.sql.execute("PRAGMA journal_mode = WAL")
        for statement in _TABLES:
            connection.sql.execute(statement)
        connection.has_tables, connection.file = True, _identity(self.path)

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
        # The last one is closed by the thread that ends the process.
        return sqlite3.connect(
            place, uri=True, timeout=self.lock_seconds, isolation_level=None, check_same_thread=False
        )

    def _failed(self, error: sqlite3.Error) -> StorageError:
        code = _code(error)
        if code == sqlite3.SQLITE_FULL:
            return NoSpace(errno.ENOSPC, f"No space left for {self.path}. Free some and run the same command again.")
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            return StorageError(
                errno.EROFS,
                f"{self.path} and its folder may not be written here ({error}). Nothing was published. Let this user "
                "write there, or copy what you need into your own storage with: dataset-assets copy NAME "
                f"--from {shlex.quote(self.url)}",
            )
        if code == sqlite3.SQLITE_BUSY:
            return StorageError(
                errno.EBUSY,
                f"{self.path} is locked by another process. If that is stopped, end it. Then run this again.",
            )
        return StorageError(
            errno.EIO,
            f"{self.path}: {error}. Nothing was published. Correct this and run the same command again.",
        )


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary code of an error."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


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
