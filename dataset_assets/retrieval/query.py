"""Reads the rows of a query of a database, by SQLAlchemy, as a Parquet file.

`sql://NAME/?query=...&parameters=...` names a connection of the setting `connections`, so the definition knows neither
the server nor a login. `sql_url` of `dataset_assets.sources` writes such a URL. Equal rows in equal order give equal
bytes, with one version of pyarrow.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, quote

from dataset_assets.core.extras import needed
from dataset_assets.core.files import Written, opened, remove
from dataset_assets.core.redact import printable, redacted
from dataset_assets.core.settings import settings, with_variables
from dataset_assets.errors import NotInstalled, RetrievalError, UsageError, nearest
from dataset_assets.retrieval.retriever import ByteProgress, Look, split_url
from dataset_assets.storage.raw_files import Source

ROWS = 1 << 14
"""How many rows are read at once."""


class QueryRetriever:
    """Runs the query of a `sql://NAME/?query=...` URL."""

    def retrieve(
        self, url: str, into: Written, known: Source | None = None, report: ByteProgress | None = None
    ) -> Source | None:
        """Write the rows as Parquet. A database does not say whether they changed, so they are always read."""
        connection, query, parameters = _parts(url)
        if into.bytes:
            into.restart()
        path = into.path.with_name(f"{into.path.name}.rows")
        try:
            with _told(connection):
                schema = _spooled(connection, query, parameters, path)
            _write(path, schema, into)
        finally:
            remove(path)
        return Source(redacted(url))

    def look(self, url: str) -> Look:
        """Say that the database answers; it does not say whether its rows changed."""
        connection, _, _ = _parts(url)
        with _told(connection):
            engine = _engine(connection)
            engine.connect().close()
            engine.dispose()
        return Look()


def _parts(url: str) -> tuple[str, str, dict[str, Any]]:
    """Return the name of the connection, the query and its parameters. Raises `UsageError`."""
    parts = split_url(url)
    given = parse_qs(parts.query)
    try:
        parameters = json.loads(given.get("parameters", ["{}"])[0])
    except ValueError:
        parameters = None
    if not parts.netloc or len(given.get("query", [])) != 1 or not isinstance(parameters, dict):
        raise UsageError(
            f"sql://{printable(parts.netloc)[:80]} has no query, or no parameters in JSON. Write it with "
            "dataset_assets.sources.sql_url('warehouse', 'select ...')."
        )
    return parts.netloc, given["query"][0], parameters


def _engine(name: str) -> Any:
    """Return the engine of a connection of the settings."""
    known = dict(line.split("=", 1) for line in settings().connections)
    if name not in known:
        raise UsageError(
            f"No connection is set as {name[:80]!r}.{nearest(name, known)} Set DATASET_ASSETS_CONNECTIONS="
            f"'{name}=postgresql+psycopg2://...', or add such a line to the setting connections."
        )
    sqlalchemy = needed("sqlalchemy", "sql")
    try:
        return sqlalchemy.create_engine(_with_values(known[name], f"The connection {name}"))
    except ModuleNotFoundError as error:
        raise NotInstalled(
            f"{error.name}, the driver of the connection {name}, is not installed. Install it, or name another one, as "
            "in postgresql+psycopg2://..."
        ) from None
    except (sqlalchemy.exc.ArgumentError, ValueError):
        pass
    # Raised outside the handler: the caught error would show the URL.
    raise UsageError(
        f"The connection {name} is no URL of SQLAlchemy. Write {name}=postgresql+psycopg2://USER:${{VARIABLE}}@HOST/NAME."
    )


def _with_values(url: str, what: str) -> str:
    """Return the URL with its variables. Those of the login and of the options are quoted, as SQLAlchemy unquotes them.

    A variable that is the whole URL, a host, or the path of a database is taken as it is.
    """
    login = url.find("@", url.find("://") + 1)
    options = url.find("?", login + 1)

    def written(value: str, at: int) -> str:
        return quote(value, safe="") if at < login or 0 <= options < at else value

    return with_variables(url, what, written)


@contextmanager
def _told(connection: str) -> Iterator[None]:
    """Raise `RetrievalError` for the errors of a database, without its URL and the values of parameters."""
    from sqlalchemy.exc import SQLAlchemyError

    failed = None
    try:
        yield
    except SQLAlchemyError as error:
        failed = printable(str(getattr(error, "orig", None) or type(error).__name__).partition("\n")[0])[:300]
    if failed is not None:
        raise RetrievalError(
            f"The connection {connection} failed: {failed}. Check the query, and that the database runs."
        )


def _spooled(connection: str, query: str, parameters: Mapping[str, Any], path: Any) -> Any:
    """Write the rows in blocks, each with the types of its own values; return the schema that holds all of them."""
    import pyarrow
    from sqlalchemy import text

    engine, schema = _engine(connection), None
    try:
        with engine.connect() as opened_connection, path.open("wb") as file:
            asked = opened_connection.execution_options(stream_results=True, yield_per=ROWS)
            found = asked.execute(text(query), dict(parameters))
            if not found.returns_rows:
                raise UsageError("The query returns no rows. Write a SELECT.")
            names = list(found.keys())
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise UsageError(f"The query has several columns named {twice!r}. Name them apart, with AS.")
            for rows in found.partitions(ROWS):
                block = _block(names, rows)
                schema = block.schema if schema is None else _wider(schema, block.schema)
                sink = pyarrow.BufferOutputStream()
                with pyarrow.ipc.new_stream(sink, block.schema) as writer:
                    writer.write_batch(block)
                data = sink.getvalue()
                file.write(data.size.to_bytes(8, "little"))
                file.write(data)
            return pyarrow.schema([(name, pyarrow.null()) for name in names]) if schema is None else schema
    finally:
        engine.dispose()


def _block(names: list[str], rows: Any) -> Any:
    import pyarrow

    columns = []
    for name, values in zip(names, zip(*rows)):
        try:
            columns.append(pyarrow.array(values))
        except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise UsageError(f"The column {name!r} cannot be stored: {error}. Cast it in the query.") from error
    return pyarrow.record_batch(columns, names=names)


def _wider(one: Any, other: Any) -> Any:
    import pyarrow

    try:
        return pyarrow.unify_schemas([one, other], promote_options="permissive")
    except pyarrow.ArrowException as error:
        raise UsageError(f"A column has values of several types: {error}. Cast it in the query.") from error


def _write(path: Any, schema: Any, into: Written) -> None:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    with opened(path) as file, ParquetWriter(pyarrow.PythonFile(_Sink(into), mode="w"), schema) as writer:
        while head := file.read(8):
            for block in pyarrow.ipc.open_stream(file.read(int.from_bytes(head, "little"))):
                writer.write_table(pyarrow.table([_cast(block[field.name], field) for field in schema], schema=schema))


def _cast(values: Any, field: Any) -> Any:
    import pyarrow

    try:
        return values.cast(field.type)
    except pyarrow.ArrowException as error:
        raise UsageError(
            f"The column {field.name!r} cannot be stored as {field.type}: {error}. Cast it in the query."
        ) from error


class _Sink:
    """What pyarrow writes to; the file stays open."""

    closed = False

    def __init__(self, into: Written) -> None:
        self.into = into

    def write(self, data: Any) -> int:
        return self.into.write(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def tell(self) -> int:
        return self.into.bytes
