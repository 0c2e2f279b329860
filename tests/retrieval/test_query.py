"""Rows of a database as a file: of a query, by a connection that only the settings know."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import sqlalchemy

from dataset_assets import Array, Dataset, RemoteFile, Split, dataset_from, prepare
from dataset_assets.core.redact import redacted
from dataset_assets.core.settings import settings
from dataset_assets.decoding import parquet
from dataset_assets.errors import DatasetAssetsError, RetrievalError, UsageError
from dataset_assets.retrieval import fetch_first, retriever_for
from dataset_assets.retrieval import query as module
from dataset_assets.retrieval.retriever import Look
from dataset_assets.sources import source_of, sql_url
from dataset_assets.storage import MemoryStorage

SELECT = "select id, x, note from birds where id > :least order by id"


@pytest.fixture
def database(home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    engine = sqlalchemy.create_engine(f"sqlite:///{home.parent}/birds.db")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("create table birds (id integer, x real, note text)"))
        for k in range(5):
            values = {"i": k, "x": k / 2 if k > 2 else None, "n": f"é{k}"}
            connection.execute(sqlalchemy.text("insert into birds values (:i, :x, :n)"), values)
    monkeypatch.setenv("BIRDS_FOLDER", str(home.parent))
    monkeypatch.setenv("DATASET_ASSETS_CONNECTIONS", "warehouse=sqlite:///${BIRDS_FOLDER}/birds.db")
    monkeypatch.setattr(module, "ROWS", 2)
    yield engine
    engine.dispose()


def test_rows_are_parquet_with_the_types_of_all_of_them(database: Any, home: Path) -> None:
    source = fetch_first([sql_url("warehouse", SELECT, least=0)], home.parent / "rows")
    table = pyarrow.parquet.read_table(home.parent / "rows")
    assert table.to_pydict() == {"id": [1, 2, 3, 4], "x": [None, None, 1.5, 2.0], "note": ["é1", "é2", "é3", "é4"]}
    assert str(home.parent) not in repr(source)
    assert retriever_for("sql://warehouse").look(sql_url("warehouse", SELECT)) == Look()  # type: ignore[attr-defined]
    fetch_first([sql_url("warehouse", SELECT, least=0)], home.parent / "again")
    assert (home.parent / "again").read_bytes() == (home.parent / "rows").read_bytes()
    fetch_first([sql_url("warehouse", SELECT, least=9)], home.parent / "none")
    assert pyarrow.parquet.read_table(home.parent / "none").column_names == ["id", "x", "note"]


def test_a_query_is_a_source_and_a_refresh_sees_new_rows(database: Any, home: Path) -> None:
    definition, storage = dataset_from(sql_url("warehouse", SELECT, least=2)), MemoryStorage()
    first = prepare(definition, storage=storage)["all"]
    assert definition.name == "local.warehouse" and [one["x"] for one in first] == [1.5, 2.0]
    assert prepare(definition, storage=storage, refresh=True)["all"].version == first.version  # type: ignore[attr-defined]
    with database.begin() as connection:
        connection.execute(sqlalchemy.text("insert into birds values (5, 7, 'new')"))
    assert [one["x"] for one in prepare(definition, storage=storage, refresh=True)["all"]] == [1.5, 2.0, 7.0]
    text = source_of(definition)
    assert "sql://warehouse/" in text and str(home.parent) not in text
    other = RemoteFile(sql_url("warehouse", SELECT, least=3))
    assert other != next(iter(definition.files.values()))


LONG = "select id from birds where year = "


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (sql_url("w", f"{LONG} 2020"), sql_url("w", f"{LONG} 2021")),
        (sql_url("w", LONG * 2, token="a"), sql_url("w", LONG * 2, token="b")),
        ("sql://w/?query=select+1;key=1", "sql://w/?query=select+1;key=2"),
        ("sql://w/?%71uery=" + "a" * 50, "sql://w/?%71uery=" + "b" * 50),
    ],
)
def test_two_queries_are_two_files(one: str, other: str) -> None:
    assert redacted(one) == one and redacted(other) == other
    assert redacted("sql://ada:s3cret@w/?query=select+1&password=s3cret") == "sql://w/?query=select+1&password=***"


def test_a_query_that_changed_is_read_again(database: Any, home: Path) -> None:
    def rows(file: Any) -> Iterator[dict[str, Any]]:
        for block in parquet(file):
            yield from ({"id": int(value)} for value in block["id"])

    storage = MemoryStorage()
    for least in (1, 2):
        file = RemoteFile(sql_url("warehouse", f"select id from birds where id > {least} order by id"), identifier="f")
        birds = Dataset("org.example.birds", "B.", streams={"id": Array()}, splits={"all": Split(rows, file=file)})
        assert [int(one["id"]) for one in prepare(birds, storage=storage)["all"]] == [*range(least + 1, 5)]


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        (lambda: sql_url("warehouse", "select z from birds"), RetrievalError, "warehouse failed: no such column"),
        (lambda: sql_url("warehouse", SELECT), RetrievalError, "warehouse failed: .*least"),
        (lambda: sql_url("warehouse", "select 1 a, 2 a"), UsageError, "several columns named 'a'"),
        (lambda: sql_url("warehouse", "create table t (a)"), UsageError, "returns no rows. Write a SELECT"),
        (lambda: sql_url("warehouse", "select id from birds union all select 'a'"), UsageError, "Cast it in"),
        (lambda: sql_url("warehous", "select 1"), UsageError, "as 'warehous'. Did you mean 'warehouse'?"),
        (lambda: "sql://warehouse/?query=select+1&parameters=3", UsageError, "or no parameters in JSON"),
        (lambda: "sql:warehouse", UsageError, "has no query"),
        (lambda: sql_url("a b", "select 1"), UsageError, "needs the name of a connection"),
        (lambda: sql_url("a", "select :x", x=b"1"), UsageError, "no text, number, boolean or None"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(url: Any, kind: type[DatasetAssetsError], words: str, database: Any, home: Path) -> None:
    with pytest.raises(kind, match=words):
        fetch_first([url()], home.parent / "rows")
    assert not (home.parent / "rows.rows").exists()


def test_a_connection_shows_no_secret(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_ASSETS_CONNECTIONS", "w=postgresql://ada:s3cret@127.0.0.1:1/x")
    with pytest.raises(UsageError, match="the password of w is a value") as refused:
        settings()
    assert "s3cret" not in str(refused.value)
    monkeypatch.setenv("W_PASSWORD", "s3cret")
    for url, kind in [
        ("w=postgresql+psycopg2://ada:${W_PASSWORD}@127.0.0.1:1/x", RetrievalError),
        ("w=nothing://${W_PASSWORD}", UsageError),
    ]:
        monkeypatch.setenv("DATASET_ASSETS_CONNECTIONS", url)
        with pytest.raises(kind) as failed:
            fetch_first([sql_url("w", "select 1")], home.parent / "rows")
        assert "s3cret" not in str(failed.value) + repr(failed.value.__cause__) + repr(failed.value.__context__)


LITERAL = [
    "w=oracle://ada/s3cret@db/x", "w=postgresql://ada:s3/cr?s3cret@db/x", "w=postgresql:///ada:s3cret@db/x",
    "w=mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BUID%3Dada%3BPWD%3Ds3cret", "w=redis://:s3cret@db/0",
    "w=mssql+pyodbc:///?odbc_connect=DRIVER={x};password={s3cret};UID=ada", "w=postgresql://ada@db/x?sslpassword=s3cret",
    "w=nothing:ada:s3cret@db", "W=postgresql://ada:s3cret@db/x", "w = postgresql://ada:s3cret@db/x",
]  # fmt: skip


@pytest.mark.parametrize("line", LITERAL)
def test_a_literal_password_is_refused_and_not_shown(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_ASSETS_CONNECTIONS", line)
    with pytest.raises(UsageError, match="of w is a value|that may have a secret and is not shown") as refused:
        settings()
    assert "s3cret" not in str(refused.value)


NAMED = [
    "w=oracle://ada/${P}@db/x", "w=postgresql://ada@db:5432/x?options=-c%20a%3Db@c", "w=sqlite:////home/ada@uni/b.db",
    "w=mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BUID%3Dada%3BPWD%3D${P}", "w=${P}", "w=sqlite://",
]  # fmt: skip


@pytest.mark.parametrize("line", NAMED)
def test_a_connection_without_a_literal_password_is_taken(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_ASSETS_CONNECTIONS", line)
    assert settings().connections == (line,)


@pytest.mark.parametrize("password", ["p@s:w/d?x=1#%41+ é", "a@127.0.0.1/b"])
def test_a_variable_stays_within_its_part_of_the_url(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P", password)
    for line, part in [
        ("w=postgresql+psycopg2://ada:${P}@db/x?application_name=${P}", lambda url: url.password),
        ("w=postgresql+psycopg2://ada:${P}@db/x?application_name=${P}", lambda url: url.query["application_name"]),
    ]:
        monkeypatch.setenv("DATASET_ASSETS_CONNECTIONS", line)
        url = module._engine("w").url
        assert part(url) == password and (url.host, url.database) == ("db", "x")


def test_numbers_that_do_not_fit_their_column_are_named(database: Any, home: Path) -> None:
    with pytest.raises(UsageError, match="The column 'v' cannot be stored as double: .* Cast it in the query"):
        fetch_first(
            [sql_url("warehouse", f"select {2**60 + 1} as v union all select {2**60 + 1} union all select 0.5")],
            home.parent / "rows",
        )


def test_rows_of_a_server_are_read(postgres: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in postgres.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SERVER_URL", postgres.url.partition("?")[0].replace("postgresql:", "postgresql+psycopg2:"))
    monkeypatch.setenv("DATASET_ASSETS_CONNECTIONS", "server=${SERVER_URL}")
    url = sql_url("server", "select n, n * 0.5 as half, date '2020-01-02' as day from generate_series(1, :n) as n", n=3)
    fetch_first([url], home.parent / "rows")
    table = pyarrow.parquet.read_table(home.parent / "rows")
    assert table["n"].to_pylist() == [1, 2, 3] and [float(one) for one in table["half"].to_pylist()] == [0.5, 1.0, 1.5]
