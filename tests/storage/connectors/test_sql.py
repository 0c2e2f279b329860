"""Databases: the shared suite on a SQLite file and on a PostgreSQL server, and what only a database does wrong."""

import itertools
import multiprocessing
import os
import pickle
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
from children import ended, in_child
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from places import ROOT
from servers import SECRET, Place

from dataset_assets import Dataset, load, prepare
from dataset_assets.errors import NoSpace, Refused, StorageError, UsageError
from dataset_assets.moving.gc import collect
from dataset_assets.storage import Storage, open_storage
from dataset_assets.storage.connectors.sqlite import SqliteStorage
from dataset_assets.storage.object_file import WHOLE, Changed
from dataset_assets.storage.pins import pin, unpin
from dataset_assets.testing import StorageTests, storage_state_machine
from dataset_assets.testing.storage import VERBS, at_once, content, sha256, some_bytes

SETTINGS = settings(max_examples=8, stateful_step_count=20, deadline=None)
LARGE = some_bytes(3 * WHOLE + 5)
numbers = itertools.count()


@pytest.fixture
def lite(fast_path: Path) -> SqliteStorage:
    return SqliteStorage(fast_path / "store.db")


@pytest.fixture
def pg(postgres: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name, value in postgres.environment.items():
        monkeypatch.setenv(name, value)
    return postgres


@pytest.fixture(params=["lite", "pg"])
def either(request: pytest.FixtureRequest) -> Storage:
    found = request.getfixturevalue(request.param)
    return open_storage(fresh(found)) if isinstance(found, Place) else found


def fresh(place: Place) -> str:
    """Return the URL of an empty storage."""
    return f"{place.url}?schema=s{os.getpid()}_{next(numbers)}"


class TestSqlite(StorageTests):
    @pytest.fixture
    def storage(self, lite: SqliteStorage) -> Storage:
        return lite


class TestPostgres(StorageTests):
    @pytest.fixture
    def storage(self, pg: Place) -> Storage:
        return open_storage(fresh(pg))


def test_sqlite_agrees_with_a_dict(fast_path: Path) -> None:
    machine = storage_state_machine(lambda: SqliteStorage(Path(tempfile.mkdtemp(dir=fast_path), "store.db")))
    run_state_machine_as_test(machine, settings=SETTINGS)


def test_postgres_agrees_with_a_dict(pg: Place) -> None:
    run_state_machine_as_test(storage_state_machine(lambda: open_storage(fresh(pg))), settings=SETTINGS)


# Reading.


def test_who_reads_a_large_object_goes_on_if_the_same_is_stored_again(either: Storage) -> None:
    either.put("a", LARGE)
    with either.get("a") as file:
        start = file.read(WHOLE)
        either.put("a", LARGE)
        assert start + file.read() == LARGE


@pytest.mark.parametrize("then", ["another", "nothing"])
def test_a_large_object_that_is_replaced_meanwhile_is_never_two_contents_in_one(either: Storage, then: str) -> None:
    either.put("a", LARGE)
    with either.get("a") as file:
        file.read(WHOLE)
        either.put("a", LARGE[::-1]) if then == "another" else either.delete("a")
        with pytest.raises(Changed, match="was replaced while it was read. Open it again"):
            file.read()


def test_reading_makes_nothing(lite: SqliteStorage, pg: Place) -> None:
    import psycopg2

    for verb in ("exists", "list", "delete"):
        VERBS[verb](lite, "a")
        VERBS[verb](open_storage(f"{pg.url}?schema=never"), "a")
    assert not lite.path.exists()
    port = pg.url.rpartition(":")[2].partition("/")[0]
    connection = psycopg2.connect(host="127.0.0.1", port=port, user="tests", dbname="postgres")
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'never'")
        assert cursor.fetchone() == (0,)
    connection.close()


# Faults.

WRITER = """
import os, signal, sys
from dataset_assets.storage import open_storage
storage = open_storage({url!r})
write = type(storage)._write_blob
def stop_then_write(self, cursor, chunks):
    blob = write(self, cursor, chunks)
    os.kill(os.getpid(), signal.SIGKILL)
type(storage)._write_blob = stop_then_write
storage.put("a", b"new" * 1000000)
"""


def test_a_writer_that_is_killed_leaves_what_was_there(either: Storage) -> None:
    either.put("a", b"old")
    code = WRITER.format(url=either.url)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert content(either, "a") == b"old"
    assert either.swap("a", b"new", sha256(b"old"))
    assert content(either, "a") == b"new" and list(either.list("")) == ["a"]


def test_a_source_that_fails_half_way_leaves_what_was_there(either: Storage, tmp_path: Path) -> None:
    either.put("a", b"old")
    with pytest.raises(OSError):
        either.put("a", Path("/proc/self/mem"))
    assert content(either, "a") == b"old"


def test_a_damaged_small_object_may_still_be_swapped(lite: SqliteStorage) -> None:
    lite.put("current.json", b"right")
    with sqlite3.connect(lite.path) as connection:
        connection.execute("UPDATE chunks SET data = ?", (b"wrong",))
    assert content(lite, "current.json") == b"wrong"
    assert lite.swap("current.json", b"mended", sha256(b"wrong"))
    assert content(lite, "current.json") == b"mended"


def test_B1_a_database_that_is_locked_on_and_on_is_an_error_that_names_it(lite: SqliteStorage) -> None:
    lite.put("a", b"x")
    hasty = SqliteStorage(lite.path, lock_seconds=0.1)
    holder = sqlite3.connect(lite.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="store.db is locked by another process"):
        hasty.put("a", b"y")
    assert content(hasty, "a") == b"x"
    holder.close()
    hasty.put("a", b"y")


def test_a_database_that_is_full_is_said(lite: SqliteStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    lite.put("a", b"x")
    full = OneMegabyte(lite.path)
    with pytest.raises(NoSpace, match="No space left"):
        full.put("a", some_bytes(3_000_000))
    assert content(full, "a") == b"x"


class OneMegabyte(SqliteStorage):
    def _connected(self, mode: str) -> sqlite3.Connection:
        connection = super()._connected(mode)
        connection.execute("PRAGMA max_page_count = 256")
        return connection


def test_what_is_no_database_is_said(fast_path: Path) -> None:
    (fast_path / "store.db").write_bytes(b"no database" * 1000)
    for verb in VERBS:
        with pytest.raises(StorageError, match="file is not a database"):
            VERBS[verb](SqliteStorage(fast_path / "store.db"), "a")


@pytest.mark.parametrize("verb", VERBS)
def test_a_server_that_is_not_there_is_said_in_bounded_time(verb: str) -> None:
    begun = time.monotonic()
    with pytest.raises(StorageError, match="127.0.0.1:9/database failed: .*Connection refused"):
        VERBS[verb](open_storage("postgresql://me@127.0.0.1:9/database"), "a")
    assert time.monotonic() - begun < 60


def test_a_connection_that_the_server_closed_is_made_anew(pg: Place) -> None:
    import psycopg2

    storage = open_storage(fresh(pg))
    storage.put("a", b"x")
    connection = psycopg2.connect(pg.url.replace("+psycopg2", ""))
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_terminate_backend(pid) {others}")
    connection.close()
    assert content(storage, "a") == b"x"


def test_a_connection_that_breaks_at_work_is_one_error_and_no_report_of_the_pool(
    pg: Place, caplog: pytest.LogCaptureFixture
) -> None:
    storage: Any = open_storage(fresh(pg))
    storage.put("a", b"x")

    def cut(cursor: Any) -> None:
        ask(pg, "SELECT pg_terminate_backend(%s)", cursor.connection.get_backend_pid())
        cursor.execute("SELECT 1")

    with pytest.raises(StorageError, match="failed"):
        storage._write("a", cut)
    assert content(storage, "a") == b"x" and caplog.records == []


def test_the_bytes_of_replaced_objects_do_not_pile_up(either: Any) -> None:
    counts = []
    for _ in range(3):
        either.put("a", LARGE)
        either.swap("a", b"y", sha256(LARGE))
        chunks = getattr(either, "chunks", "chunks")
        counts += either._read(lambda cursor: either._all(cursor, f"SELECT count(*) FROM {chunks}"), ())  # noqa: B023
    either.delete("a")
    counts += either._read(lambda cursor: either._all(cursor, f"SELECT count(*) + 1 FROM {chunks}"), ())
    assert counts == [(1,)] * 4


# A team at one database, and stores of earlier releases.


def ask(place: Place, statement: str, *values: Any) -> list[Any]:
    """Run SQL as the owner of the server."""
    import psycopg2

    with closing(psycopg2.connect(place.url.replace("+psycopg2", ""))) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        connection.commit()
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def team(pg: Place) -> dict[str, Storage]:
    """A storage as its owner sees it, and as a reader, a writer and a collector see it, by the documentation."""
    url = fresh(pg)
    schema = url.rpartition("=")[2]
    open_storage(url).put("a/first", b"x")
    [rights] = re.findall("```sql\n(.*?)```", (ROOT / "docs/storages.md").read_text(), re.DOTALL)
    ask(pg, rights.replace("dataset_assets", schema).replace("assets_", f"{schema}_"))
    found = {"owner": open_storage(url)}
    for role in ("reader", "writer", "collector"):
        user = f"{schema}_one_{role}"
        ask(pg, f"CREATE ROLE {user} LOGIN PASSWORD '{SECRET}' IN ROLE {schema}_{role}")
        found[role] = open_storage(url.replace("//tests@", f"//{user}@"))
    ask(pg, f"CREATE ROLE {schema}_one_stranger LOGIN PASSWORD '{SECRET}'")
    found["stranger"] = open_storage(url.replace("//tests@", f"//{schema}_one_stranger@"))
    return found


def test_a_reader_a_writer_and_a_collector_do_what_their_rights_say(team: dict[str, Storage]) -> None:
    owner, reader, writer, collector = (team[role] for role in ("owner", "reader", "writer", "collector"))
    writer.put("a/by_writer", LARGE)
    owner.put("a/by_owner", b"z")
    writer.put("a/first", LARGE)
    assert writer.swap("a/current.json", b"1", None) and writer.swap("a/current.json", b"2", sha256(b"1"))
    for storage in (owner, reader, writer, collector):
        assert content(storage, "a/by_writer") == content(storage, "a/first") == LARGE
        assert content(storage, "a/current.json") == b"2" and len([*storage.list("")]) == 4
    refused: list[tuple[str, Callable[[], object]]] = [
        ("reader", lambda: reader.put("a/first", b"y")),
        ("reader", lambda: reader.swap("a/current.json", b"3", sha256(b"2"))),
        ("reader", lambda: reader.delete("a/first")),
        ("writer", lambda: writer.delete("a/first")),
        ("stranger", lambda: team["stranger"].get("a/first")),
        ("stranger", lambda: team["stranger"].put("a/first", b"y")),
    ]
    for role, act in refused:
        with pytest.raises(StorageError, match="permission denied.* the rights of a reader, a writer or a coll") as no:
            act()
        assert "PGPASSWORD" not in str(no.value), role
    collector.delete("a/by_writer")
    assert sorted(reader.list("")) == ["a/by_owner", "a/current.json", "a/first"]
    assert content(reader, "a/first") == LARGE


def test_a_team_prepares_loads_and_collects(team: dict[str, Storage], dataset: Dataset, home: Path) -> None:
    made = prepare(dataset, storage=team["writer"])
    assert prepare(dataset, storage=team["owner"])["train"].version == made["train"].version
    loaded = load(dataset.name, storage=team["reader"], verify="all")
    assert tiny.plain(loaded) == tiny.plain(made)
    with pytest.raises(StorageError, match="permission denied"):
        prepare(replace(dataset, version="2"), storage=team["reader"])
    pin(dataset.name, team["writer"])
    unpin(dataset.name, team["collector"])
    assert collect(team["collector"], grace_seconds=0)[0].problem is None
    assert tiny.plain(load(dataset.name, storage=team["reader"], verify="all")) == tiny.plain(made)


OLDER = """
    CREATE SCHEMA {0};
    CREATE TABLE {0}.objects (key text COLLATE "C" PRIMARY KEY, blob oid NOT NULL,
        bytes bigint NOT NULL, sha256 text NOT NULL, stored timestamptz NOT NULL DEFAULT now());
"""


def test_large_objects_of_earlier_releases_are_read_replaced_and_copied(pg: Place) -> None:
    url = fresh(pg)
    schema = url.rpartition("=")[2]
    ask(pg, OLDER.format(schema))
    for key, data in (("a", LARGE), ("b", b"small")):
        add = f"INSERT INTO {schema}.objects SELECT %s, lo_from_bytea(0, %s), %s, %s"
        ask(pg, add, key, data, len(data), sha256(data))
    storage: Any = open_storage(url)
    numbers = "SELECT count(*) FROM pg_largeobject_metadata"
    [(before,)] = ask(pg, numbers)
    assert (
        content(storage, "a") == LARGE and content(storage, "b") == b"small" and storage.stat("a").bytes == len(LARGE)
    )
    with storage.get("a") as file:
        file.seek(WHOLE + 3)
        assert file.read(2 * WHOLE) == LARGE[WHOLE + 3 :][: 2 * WHOLE]
    assert ask(pg, f"SELECT to_regclass('{schema}.chunks')") == [(None,)], "reading makes nothing"
    assert storage.swap("b", b"new", sha256(b"small"))
    storage.put("c", LARGE)
    assert [content(storage, key) for key in "abc"] == [LARGE, b"new", LARGE]
    other = open_storage(fresh(pg))
    for entry in storage.entries(""):
        other.put(entry.key, content(storage, entry.key))
    storage.put("a", b"moved")
    assert [content(other, key) for key in "abc"] == [LARGE, b"new", LARGE] and content(storage, "a") == b"moved"
    assert ask(pg, numbers) == [(before - 2,)]


# URLs and passwords.


@pytest.mark.parametrize("name", ["plain.db", "with space.db", "50%.db", "%20.db", "a?b#c.db", "ünï.db", "\udcff.db"])
def test_the_url_of_any_file_opens_it_again(fast_path: Path, name: str) -> None:
    storage = SqliteStorage(fast_path / name)
    storage.put("a", b"x")
    assert content(open_storage(storage.url), "a") == b"x"
    del storage
    assert [path.name for path in fast_path.iterdir()] == [name]


def test_a_path_may_start_at_the_working_folder(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fast_path)
    assert open_storage("sqlite:///store.db").url == f"sqlite:///{fast_path}/store.db"


@pytest.mark.parametrize(
    "url, says",
    [
        ("sqlite://host/a.db", "does not name a file"),
        ("sqlite:///", "does not name a file"),
        ("sqlite:///a.db?mode=ro", "does not name a file"),
        ("postgresql://me:pa55word@host", "Write it like postgresql"),
        ("postgresql://me:pa55/word@host/database", "port of this postgresql URL is not a number"),
        ("postgresql://me@host/database?password=pa55word", "'password' is not an option"),
        ("postgresql://me@host/database?schema=a-pa55word", "The schema of this postgresql URL is not valid"),
        ("mongodb://me:pa55word@host", "Write it like mongodb"),
        ("mongodb://me@host/database?authMechanismProperties=pa55word", "'authMechanismProperties' is not an option"),
    ],
)
def test_what_cannot_be_opened_is_said_without_what_may_be_secret(url: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_storage(url)
    assert says in str(caught.value)
    assert "pa55word" not in "".join(traceback.format_exception(caught.value))


def test_a_password_in_the_url_opens_it_and_is_not_shown(postgres: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    url = fresh(postgres).replace("tests@", f"tests:{SECRET}@")
    storage = open_storage(url)
    storage.put("a", b"x")
    assert storage.url == url.replace(f":{SECRET}", "")
    assert SECRET not in f"{storage} {storage!r} {vars(storage)}" and SECRET.encode() not in pickle.dumps(storage)
    with pytest.raises(StorageError, match="no password supplied.* Set PGPASSWORD") as caught:
        pickle.loads(pickle.dumps(storage)).get("a")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_wrong_password_is_one_error_that_says_so_and_does_not_show_it(
    postgres: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "wrong-pa55word")
    for verb in VERBS:
        with pytest.raises(StorageError, match='authentication failed for user "tests".* Set PGPASSWORD') as caught:
            VERBS[verb](open_storage(postgres.url), "a")
        assert "wrong-pa55word" not in "".join(traceback.format_exception(caught.value))


# One connection a thread.


class Counting(SqliteStorage):
    connections = 0

    def _connected(self, mode: str) -> sqlite3.Connection:
        self.connections += 1
        return super()._connected(mode)


def test_a_thread_keeps_one_connection_to_a_file(fast_path: Path) -> None:
    storage = Counting(fast_path / "store.db", merge_seconds=60)
    for i in range(20):
        storage.put(f"a/{i}", b"x")
        assert content(storage, f"a/{i}") == b"x" and storage.stat(f"a/{i}").bytes == 1
    assert len([*storage.entries("a")]) == 20 and storage.connections == 1
    at_once(3, lambda i: [storage.exists("a/0") for _ in range(20)])
    assert storage.connections == 4


def test_a_file_that_was_removed_is_made_anew(lite: SqliteStorage) -> None:
    lite.put("a", b"old")
    for path in lite.path.parent.iterdir():
        path.unlink()
    assert not lite.exists("a") and [*lite.list("")] == []
    lite.put("a", b"new")
    assert content(lite, "a") == content(SqliteStorage(lite.path), "a") == b"new"


def test_an_act_that_fails_leaves_no_transaction_open(lite: SqliteStorage) -> None:
    lite.put("a", b"x")
    for source in (Path("/proc/self/mem"), Path("/")):
        with pytest.raises(OSError):
            lite.put("a", source)
    hasty = SqliteStorage(lite.path, lock_seconds=0.1)
    hasty.put("a", b"y")
    assert content(lite, "a") == b"y"


def test_all_is_in_the_one_file_when_its_process_has_ended(fast_path: Path) -> None:
    code = """
import os, sys, threading
from dataset_assets.storage import open_storage
storage = open_storage(sys.argv[1])
storage.put("a", b"x")
threading.Thread(target=storage.put, args=("b", b"y")).start()
child = os.fork()
if child == 0:
    storage.put("c", storage.get("a").read())
    sys.exit()
os.waitpid(child, 0)
"""
    url = SqliteStorage(fast_path / "store.db").url
    subprocess.run([sys.executable, "-c", code, url], check=True)
    assert [path.name for path in fast_path.iterdir()] == ["store.db"]
    assert [content(open_storage(url), key) for key in "abc"] == [b"x", b"y", b"x"]


def test_when_its_process_pauses_the_file_alone_is_whole(fast_path: Path) -> None:
    storage = SqliteStorage(fast_path / "store.db", merge_seconds=0.05)
    for i in range(3):
        storage.put(f"a/{i}", some_bytes(100_000 + i))
    log, until = fast_path / "store.db-wal", time.monotonic() + 30
    while log.stat().st_size and time.monotonic() < until:
        time.sleep(0.01)
    (fast_path / "copy.db").write_bytes((fast_path / "store.db").read_bytes())
    copied = SqliteStorage(fast_path / "copy.db")
    assert [content(copied, f"a/{i}") for i in range(3)] == [some_bytes(100_000 + i) for i in range(3)]
    os.replace(fast_path / "copy.db", fast_path / "store.db")
    storage.put("a/0", b"new")
    assert content(SqliteStorage(fast_path / "store.db"), "a/0") == b"new"


# Files that may not be written.


def as_a_reader(path: Path, act: Callable[[], object]) -> None:
    """Act as a user who may only read a file and its folder."""

    def without_rights() -> None:
        if os.geteuid() == 0:
            os.setegid(65534)
            os.seteuid(65534)
        act()

    path.parent.parent.chmod(0o755)
    for one in path.parent.iterdir():
        one.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        assert ended(in_child(without_rights, wait=False)) == 0
    finally:
        path.parent.chmod(0o755)


@pytest.mark.parametrize("is_written", [False, True], ids=["while nobody writes", "while somebody writes"])
def test_who_may_only_read_reads_and_is_told_that_writing_is_refused(fast_path: Path, is_written: bool) -> None:
    path = fast_path / "kept" / "store.db"
    writer = SqliteStorage(path)
    writer.put("a/b", b"x")
    if not is_written:
        del writer

    def look() -> None:
        storage = SqliteStorage(path)
        assert content(storage, "a/b") == b"x" and [*storage.list("")] == ["a/b"] and not storage.exists("a/c")
        with pytest.raises(StorageError, match="may not be written here"):
            storage.put("a/b", b"y")
        assert content(storage, "a/b") == b"x"

    as_a_reader(path, look)
    assert content(SqliteStorage(path), "a/b") == b"x"


def test_what_is_not_in_the_file_yet_is_an_error_and_not_left_out(fast_path: Path) -> None:
    """As in a copy of the folder of a process that was killed, on a disk that takes nothing."""
    writer = SqliteStorage(fast_path / "store.db")
    writer.put("a", b"old")
    (fast_path / "copy").mkdir()
    for name in ("store.db", "store.db-wal"):
        (fast_path / "copy" / name).write_bytes((fast_path / name).read_bytes())
    path = fast_path / "copy" / "store.db"

    def look() -> None:
        for verb in ("get", "exists", "stat", "list"):
            with pytest.raises(StorageError, match="may not be written here"):
                VERBS[verb](SqliteStorage(path), "a")

    as_a_reader(path, look)
    assert content(SqliteStorage(path), "a") == b"old"


def test_on_a_full_disk_it_is_read(fast_path: Path) -> None:
    path = fast_path / "store.db"
    SqliteStorage(path).put("a", b"x")

    def look() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        assert content(SqliteStorage(path), "a") == b"x"
        with pytest.raises(StorageError):
            SqliteStorage(path).put("a", b"y")

    assert ended(in_child(look, wait=False)) == 0
    assert content(SqliteStorage(path), "a") == b"x"


# Processes.


def read_there(storage: Storage, results: Any) -> None:
    results.put(content(storage, "a"))


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_another_process_opens_connections_of_its_own(either: Storage, way: str) -> None:
    either.put("a", b"x")
    context: Any = multiprocessing.get_context(way)
    results = context.SimpleQueue()
    children = [context.Process(target=read_there, args=(either, results)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(200)
        assert child.exitcode == 0
    assert [results.get(), results.get()] == [b"x", b"x"]
    assert content(either, "a") == b"x"


@pytest.mark.parametrize("table", ["objects (key TEXT, title TEXT)", "chunks (document, number, text)"])
def test_tables_of_another_program_are_refused_and_left(fast_path: Path, table: str) -> None:
    path = fast_path / "theirs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE {table}")
    before = path.read_bytes()
    storage = SqliteStorage(path)
    acts: list[Callable[[], object]] = [
        lambda: storage.put("a", b"x"),
        lambda: storage.swap("a", b"x", None),
    ]
    for act in acts:
        with pytest.raises(Refused, match="that dataset_assets did not make"):
            act()
    assert path.read_bytes() == before
