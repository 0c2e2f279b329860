"""Reads tables of SQLite databases with the standard library."""

import os
import sqlite3
import struct
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Iterator, Mapping

from dataset_assets.core.files import CHUNK
from dataset_assets.core.limits import limits, remedy
from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.streams import RETRIEVE_AGAIN, check_file, name_of
from dataset_assets.errors import DecodeError, UsageError, nearest

_MAGIC = b"SQLite format 3\0"
_READS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
_ROWS = 1024


def sqlite(
    file: BinaryIO, *, table: str | None = None, query: str | None = None, parameters: Mapping[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    """Read a table or view of a SQLite database, compressed or not, row by row: numbers, texts, bytes and None.

    `table` may be left out if there is one. `query` is a SELECT instead of it, with `parameters` for its `:name`; write
    ORDER BY where it matters. The database is copied to a temporary file. Raises `DecodeError` for one that is damaged
    or cut, and `UsageError` for a table that it does not have and for a query that does more than read.

    >>> import io, sqlite3
    >>> made = sqlite3.connect(":memory:")
    >>> _ = made.execute("create table birds (id, name)"), made.execute("insert into birds values (1, 'owl')")
    >>> list(sqlite(io.BytesIO(made.serialize())))
    [{'id': 1, 'name': 'owl'}]
    """
    check_file(file)
    if table is not None and query is not None:
        raise UsageError("table and query were both given. Give one of them.")
    with tempfile.TemporaryDirectory() as folder, _refused(file):
        path = Path(folder) / "database"
        _copy(file, path)
        with closing(_opened(path)) as database:
            _check(file, database)
            chosen = query or f"SELECT * FROM {_quoted(_table(file, database, table))}"
            database.set_authorizer(_reads_only)
            yield from _rows(database, chosen, dict(parameters or {}))


def tables_of(file: BinaryIO) -> list[str]:
    """Return the names of the tables and views of a database."""
    check_file(file)
    with tempfile.TemporaryDirectory() as folder, _refused(file):
        path = Path(folder) / "database"
        _copy(file, path)
        with closing(_opened(path)) as database:
            return _names(database)


def _copy(file: BinaryIO, path: Path) -> None:
    """Copy a database, after comparing its size with what its header says."""
    file.seek(0)
    stream, most = decompressed(file), limits().max_decoded_bytes
    with path.open("wb") as into:
        while chunk := stream.read(CHUNK):
            into.write(chunk)
            if into.tell() > most:
                raise DecodeError(f"{name_of(file)} has more than {most} bytes. {remedy('max_decoded_bytes')}")
    size = os.path.getsize(path)
    with path.open("rb") as found:
        head = found.read(100)
    if len(head) < 100 or not head.startswith(_MAGIC):
        raise DecodeError(f"{name_of(file)} is not a database of SQLite. Check the file.")
    page, pages = struct.unpack(">H", head[16:18])[0], struct.unpack(">I", head[28:32])[0]
    expected = (65536 if page == 1 else page) * pages
    if pages and size != expected and head[24:28] == head[92:96]:
        raise DecodeError(f"{name_of(file)} has {size} bytes, and its header says {expected}. {RETRIEVE_AGAIN}")


def _opened(path: Path) -> sqlite3.Connection:
    # Of a file that nothing else writes: no lock, no log and no journal is looked for.
    database = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON", "temp_store = MEMORY"):
        database.execute(f"PRAGMA {pragma}")
    return database


def _check(file: BinaryIO, database: sqlite3.Connection) -> None:
    found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise DecodeError(f"{name_of(file)} is damaged: {found[:200]!r}. {RETRIEVE_AGAIN}")


def _names(database: sqlite3.Connection) -> list[str]:
    found = database.execute(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    return [name for (name,) in found]


def _table(file: BinaryIO, database: sqlite3.Connection, table: str | None) -> str:
    names = _names(database)
    if table is None and len(names) == 1:
        return names[0]
    if table in names:
        return str(table)
    what = f"no table {table!r}" if table is not None else f"{len(names)} tables" if names else "no tables"
    choice = (
        f" Name one: table={names[0]!r}. There are: {', '.join(names[:12])}."
        if names and table is None
        else nearest(str(table), names)
    )
    raise UsageError(f"{name_of(file)} has {what}.{choice}")


def _rows(database: sqlite3.Connection, query: str, parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    found = database.execute(query, parameters)
    names = [column[0] for column in found.description or ()]
    if not names:
        raise UsageError(f"The query {query[:200]!r} gives no rows. Write a SELECT.")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"The query gives several columns named {twice!r}. Name them apart, with AS.")
    while rows := found.fetchmany(_ROWS):
        for row in rows:
            yield dict(zip(names, row))


def _reads_only(action: int, *what: Any) -> int:
    return sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _refused(file: BinaryIO) -> Iterator[None]:
    """Raise `DecodeError` for what SQLite cannot read, and `UsageError` for a query that is wrong."""
    try:
        yield
    except sqlite3.Error as error:
        said = str(error)[:300]
        # A wrong query is an error of SQL or of a parameter; the file was checked before.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_AUTH) and not said.startswith("Could not decode"):
            raise UsageError(
                f"The query cannot be run on {name_of(file)}: {said}. Write a SELECT of its tables."
            ) from error
        raise DecodeError(f"{name_of(file)} cannot be read as SQLite: {said}. {RETRIEVE_AGAIN}") from error
