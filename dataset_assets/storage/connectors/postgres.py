"""Storage in a PostgreSQL database, as rows of bytes: `postgresql+psycopg2://user@host:port/database`.

The tables `objects` and `chunks` are in the schema `dataset_assets`, or in that of `?schema=name`. Who has rights on
the tables has them on all objects. Earlier releases stored large objects, which are read on.

A password in the URL is used, but is not in the `url` of the storage: a process that opens that takes the password from
PGPASSWORD, ~/.pgpass, or wherever else libpq looks.
"""

import os
import re
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Callable, Iterable, Iterator, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import psycopg2
import psycopg2.extensions
import sqlalchemy
from psycopg2.errors import InvalidSchemaName, UndefinedTable

from dataset_assets.core.interruptible import interruptibly
from dataset_assets.errors import NotInstalled, StorageError, UsageError
from dataset_assets.storage.connectors.bucket.address import Hidden
from dataset_assets.storage.connectors.postgres_errors import explained
from dataset_assets.storage.connectors.sql_base import CHUNK, SqlStorage
from dataset_assets.storage.connectors.watchdog import watched
from dataset_assets.storage.patience import MOST_SILENT_SECONDS, silence_seconds, waiting

T = TypeVar("T")

PING_SECONDS = 5.0
"""How long a pooled connection may take to show that it is alive; else it is made anew."""
KEPT_CONNECTIONS, MORE_CONNECTIONS = 4, 28
_SCHEMA = "dataset_assets"
_OPTIONS = {
    "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "channel_binding", "connect_timeout", "application_name",
    "target_session_attrs", "gssencmode", "keepalives", "keepalives_idle", "require_auth",
}  # fmt: skip


class PostgresStorage(SqlStorage):
    """Objects in a database. The first `put` creates the schema and the tables."""

    mark = "%s"
    epoch = "extract(epoch FROM stored)"

    def __init__(self, url: str, schema: str, login: dict[str, str]) -> None:
        self.url, self.schema = url, schema
        self.table, self.chunks = f'"{schema}".objects', f'"{schema}".chunks'
        # A tuple, because it is the key of a cache.
        self._login = tuple(sorted(login.items()))
        self._silence = silence_seconds()
        self._waiting = f"SET LOCAL lock_timeout = {int(800 * self._silence)}"
        self.look_seconds = self._silence / 2

    def __reduce__(self) -> tuple[Any, ...]:
        return open_postgres, (self.url,)

    def _read(self, act: Callable[[Any], T], empty: T) -> T:
        try:
            return self._in_transaction(_READING, (), act)
        except (UndefinedTable, InvalidSchemaName):
            return empty

    def _write(self, key: str, act: Callable[[Any], T]) -> T:
        def locked(cursor: Any) -> T:
            self._do(cursor, "SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", f"{self.schema}/{key}")
            return act(cursor)

        self._make_tables()
        return self._in_transaction(self._waiting, (), locked)

    def _make_tables(self) -> None:
        if steps := self._lacking():
            try:
                made = "; ".join([self._waiting, *steps]).format(schema=self.schema)
                self._in_transaction(made, (), lambda cursor: None)
            except StorageError:
                # Of several processes that create them at once, all but one fail.
                if self._lacking():
                    raise

    def _lacking(self) -> list[str]:
        """Return the statements that make what is missing. A role that uses tables of others need not make any."""
        names = (self.schema, self.table, self.chunks, self.table)
        has_schema, has_objects, has_chunks, is_older = self._in_transaction(
            _LOOK, names, lambda cursor: cursor.fetchone()
        )
        made = {
            _SCHEMA_STEP: has_schema,
            _OBJECTS_STEP: has_objects,
            _CHUNKS_STEP: has_chunks,
            _NUMBERS_STEP: not is_older,
        }
        return [step for step, there in made.items() if not there]

    def _in_transaction(self, first: str, values: tuple[Any, ...], act: Callable[[Any], T]) -> T:
        def acted() -> T:
            connection = _engine(self._login, self._silence, _environment(), os.getpid()).raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute(first, values)
                done = act(cursor)
                connection.commit()
                return done
            except BaseException:
                # Closed for good, which rolls back; the pool would report at length that a lost one cannot.
                connection.invalidate()
                raise
            finally:
                connection.close()

        def tried() -> T:
            try:
                return interruptibly(acted)
            except (UndefinedTable, InvalidSchemaName):
                raise
            except (psycopg2.Error, sqlalchemy.exc.SQLAlchemyError, TimeoutError) as error:
                ours = explained(getattr(error, "orig", None) or error, self.url, self.schema)
            raise ours

        return waiting(tried)

    def _write_blob(self, cursor: Any, chunks: Iterable[bytes]) -> int:
        # At random, so that no number is used twice: somebody may still be reading the older blob.
        blob = _LARGE_OBJECTS + int.from_bytes(os.urandom(7))
        for number, chunk in enumerate(chunks):
            self._do(cursor, f"INSERT INTO {self.chunks} VALUES (?, ?, ?)", blob, number, psycopg2.Binary(chunk))
        return blob

    def _read_blob(self, cursor: Any, blob: int, start: int, stop: int) -> bytes:
        if blob < _LARGE_OBJECTS:
            return _large_object(cursor, blob, start, stop)
        number, skipped = divmod(start, CHUNK)
        part = f"SELECT substring(data FROM ? FOR ?) FROM {self.chunks} WHERE blob = ? AND number = ?"
        rows = self._all(cursor, part, skipped + 1, min(stop - start, CHUNK), blob, number)
        return bytes(rows[0][0]) if rows else b""

    def _drop_blob(self, cursor: Any, blob: int) -> None:
        drop = _UNLINK if blob < _LARGE_OBJECTS else f"DELETE FROM {self.chunks} WHERE blob = ?"
        self._do(cursor, drop, blob)


# Reads see one state of the database, large objects included. A policy that would hide rows is an error.
_READING = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL row_security = off"
_LARGE_OBJECTS = 1 << 32
"""Smaller numbers of blobs are those of large objects, which earlier releases stored."""
_LOOK = """
    SELECT to_regnamespace(%s) IS NOT NULL, to_regclass(%s) IS NOT NULL, to_regclass(%s) IS NOT NULL, EXISTS (SELECT
        FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = 'blob' AND atttypid = 'oid'::regtype)
"""
_SCHEMA_STEP = 'CREATE SCHEMA IF NOT EXISTS "{schema}"'
_OBJECTS_STEP = """
    CREATE TABLE IF NOT EXISTS "{schema}".objects (key text COLLATE "C" PRIMARY KEY, blob bigint NOT NULL,
        bytes bigint NOT NULL, sha256 text NOT NULL, stored timestamptz NOT NULL DEFAULT now())
"""
# Not compressed, so that a part is read without the rest.
_CHUNKS_STEP = """CREATE TABLE IF NOT EXISTS "{schema}".chunks (blob bigint, number integer, data bytea NOT NULL,
    PRIMARY KEY (blob, number)); ALTER TABLE "{schema}".chunks ALTER COLUMN data SET STORAGE EXTERNAL"""
_NUMBERS_STEP = 'ALTER TABLE "{schema}".objects ALTER COLUMN blob TYPE bigint'
# That of another role stays; PostgreSQL's `vacuumlo` removes it.
_UNLINK = "SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid = ? AND pg_has_role(lomowner, 'USAGE')"


def _large_object(cursor: Any, number: int, start: int, stop: int) -> bytes:
    with cursor.connection.watched():
        large = cursor.connection.lobject(number, "rb")
        large.seek(start)
        data = large.read(stop - start)
        large.close()
    return bytes(data)


class _Cursor(psycopg2.extensions.cursor):  # type: ignore[misc]
    def execute(self, *args: Any) -> Any:
        with self.connection.watched():
            return super().execute(*args)


class _Connection(psycopg2.extensions.connection):  # type: ignore[misc]
    """A connection on which no call waits longer for the server than it may be silent."""

    silence = MOST_SILENT_SECONDS

    @contextmanager
    def watched(self) -> Iterator[None]:
        # The pool asks in this mode whether a connection is alive.
        pinging = self.autocommit
        seconds = min(PING_SECONDS, self.silence / 4) if pinging else self.silence
        with watched(self.fileno(), seconds) as call:
            try:
                yield
            except psycopg2.Error:
                if call.ended and not pinging:
                    raise TimeoutError(f"it was silent for {seconds:g} seconds") from None
                raise

    def commit(self) -> None:
        with self.watched():
            super().commit()

    def rollback(self) -> None:
        with self.watched():
            super().rollback()


def _environment() -> int:
    """Return a hash of the variables that libpq reads, such as PGPASSWORD. When it changes, so do the connections."""
    return hash(frozenset(pair for pair in os.environ.items() if pair[0].startswith("PG")))


_ALIVE = {"application_name": "dataset_assets", "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4}
"""A network that loses everything is noticed in 30 seconds, also while a server works for longer."""


@lru_cache(maxsize=8)
def _engine(login: tuple[tuple[str, str], ...], silence: float, environment: int, process: int) -> sqlalchemy.Engine:
    """Return the connection pool of one process; a forked child has its own."""
    options: dict[str, Any] = {"connect_timeout": max(2, int(min(10.0, silence / 2))), **_ALIVE, **dict(login)}
    options |= {
        "cursor_factory": _Cursor,
        "connection_factory": type("Connection", (_Connection,), {"silence": silence}),
    }
    return sqlalchemy.create_engine(
        "postgresql+psycopg2://",
        creator=lambda: psycopg2.connect(**options),
        pool_pre_ping=True,
        pool_size=KEPT_CONNECTIONS,
        max_overflow=MORE_CONNECTIONS,
        pool_timeout=silence,
    )


def open_postgres(url: str) -> PostgresStorage:
    """Open the database of a `postgresql+psycopg2://user@host:port/database` URL. Its errors show no password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError(
            "The port of this postgresql URL is not a number. Escape '/', '@' and ':' in a password."
        ) from None
    database = unquote(parts.path.strip("/"))
    if not parts.hostname or not database or "/" in database or parts.fragment:
        raise UsageError(
            "This postgresql URL is not valid. Write it like postgresql+psycopg2://user@host:5432/database."
        )
    options = _options(parts.query)
    schema = options.pop("schema", _SCHEMA)
    login = {"host": parts.hostname, "port": str(port or 5432), "dbname": database, **_required(options), **options}
    if parts.username:
        login["user"] = unquote(parts.username)
    place, query = _without_password(parts.netloc), _shown(options, schema)
    shown = parts._replace(scheme="postgresql+psycopg2", netloc=place, query=query)
    if parts.password:
        login["password"] = Hidden(unquote(parts.password))
    return PostgresStorage(shown.geturl(), schema, login)


def _required(options: dict[str, str]) -> dict[str, str]:
    """Return how the server must ask for the password, so that it is never sent in plain text.

    With a client certificate the server may also ask for no password.
    """
    if psycopg2.extensions.libpq_version() < 160000:
        raise NotInstalled(
            "PostgreSQL's library libpq is older than 16, and would send the password in plain text to a server that "
            "asks for it. Install a newer one with: pip install --upgrade psycopg2-binary"
        )
    if os.environ.get("PGREQUIREAUTH"):
        return {}
    return {"require_auth": "scram-sha-256,none" if "sslcert" in options else "scram-sha-256"}


def _without_password(netloc: str) -> str:
    user, at, host = netloc.rpartition("@")
    return f"{user.partition(':')[0]}{at}{host}"


def _shown(options: dict[str, str], schema: str) -> str:
    return urlencode(sorted({**options, **({"schema": schema} if schema != _SCHEMA else {})}.items()))


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options.keys() - _OPTIONS - {"schema"}:
        raise UsageError(
            f"{name[:40]!r} is not an option of a postgresql URL here. Use schema, {', '.join(sorted(_OPTIONS))}; put "
            "passwords into PGPASSWORD or ~/.pgpass."
        )
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", options.get("schema", _SCHEMA)):
        raise UsageError("The schema of this postgresql URL is not valid. Use small letters, digits and '_'.")
    return options
