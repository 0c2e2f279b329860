"""A retriever: a table of a SQLite database, as CSV."""

import csv
import hashlib
import io
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Iterator
from urllib.parse import parse_qs, quote, unquote, urlsplit

from dataset_assets.core.files import Written
from dataset_assets.core.redact import redacted
from dataset_assets.errors import RetrievalError, UsageError
from dataset_assets.retrieval import ByteProgress, Source

ROWS = 1000


class TableRetriever:
    """Reads `sqlitetable:///folder/name.db?table=birds`: a header, then the rows in the order of their ids."""

    def retrieve(
        self, url: str, into: Written, known: Source | None = None, report: ByteProgress | None = None
    ) -> Source | None:
        """Write the table, unless it is still what `known` was made of."""
        path, table = _taken_apart(url)
        try:
            with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
                # One transaction: what is compared is what is written.
                database.execute("BEGIN")
                source = Source(redacted(url), etag=_validator(database, table))
                if known and known.etag == source.etag:
                    return None
                for chunk in _chunks(database, table):
                    into.write(chunk)
                    if report:
                        report(into.bytes, None)
                return source
        except sqlite3.Error as error:
            raise RetrievalError(f"{redacted(url)} cannot be read: {error}. Correct the file or the table.") from error


def _taken_apart(url: str) -> tuple[Path, str]:
    parts = urlsplit(url)
    tables = parse_qs(parts.query).get("table", [])
    path = Path(unquote(parts.path))
    if parts.netloc or not path.is_absolute() or len(tables) != 1:
        raise UsageError(f"{redacted(url)} names no table. Write it as sqlitetable:///folder/name.db?table=name.")
    return path, tables[0]


def _validator(database: sqlite3.Connection, table: str) -> str:
    """Return a digest of all rows: SQLite keeps no time at which a table was changed."""
    digest = hashlib.sha256()
    for chunk in _chunks(database, table):
        digest.update(chunk)
    return f'"{digest.hexdigest()}"'


def _chunks(database: sqlite3.Connection, table: str) -> Iterator[bytes]:
    quoted = table.replace('"', '""')
    rows = database.execute(f'SELECT * FROM "{quoted}" ORDER BY rowid')
    yield _as_csv([[column[0] for column in rows.description]])
    while some := rows.fetchmany(ROWS):
        yield _as_csv(some)


def _as_csv(rows: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
