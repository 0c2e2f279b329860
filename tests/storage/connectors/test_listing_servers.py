"""Listings of databases whose connections break at any byte or whose policies hide rows."""

import os
import socket
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Iterator
from urllib.parse import urlsplit

import pytest
from bson import ObjectId
from servers import SECRET, Place

from dataset_assets.errors import ListingCut, StorageError
from dataset_assets.storage import open_storage

KEYS = sorted(f"a/{i}" for i in range(300))


@contextmanager
def relay(port: int, most: int) -> Iterator[int]:
    """Pass connections on to a server, and break each after so many bytes of its answers."""
    listening = socket.create_server(("127.0.0.1", 0))

    def copied(source: socket.socket, target: socket.socket, left: int) -> None:
        with suppress(OSError):
            while left > 0 and (data := source.recv(65536)):
                target.sendall(data[:left])
                left -= len(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client = listening.accept()[0]
                server = socket.create_connection(("127.0.0.1", port))
                threading.Thread(target=copied, args=(client, server, 1 << 60), daemon=True).start()
                threading.Thread(target=copied, args=(server, client, most), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listening.getsockname()[1]
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


def entered(place: Place, monkeypatch: pytest.MonkeyPatch) -> int:
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    return int(urlsplit(place.url).port or 0)


def listed_through(url: str, port: int, most: int) -> int:
    """List through a relay; return how many keys there were, or -1 for an error of ours."""
    with relay(port, most) as other:
        try:
            return len(list(open_storage(url.replace(f":{port}/", f":{other}/")).list("")))
        except StorageError:
            return -1


def expect_all_or_an_error(url: str, port: int, step: int, most: int) -> None:
    found = {listed_through(url, port, n) for n in range(100, most, step)}
    assert found <= {-1, len(KEYS)} and -1 in found


def test_a_listing_of_mongodb_that_breaks_anywhere_is_an_error(
    secantus: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = entered(secantus, monkeypatch)
    bucket = f"b{os.urandom(4).hex()}"
    store: Any = open_storage(f"{secantus.url}listing?bucket={bucket}")
    file = {"file": ObjectId(), "stored": datetime.now(UTC), "bytes": 1, "sha256": "0"}
    store._call(lambda db: store._objects(db).insert_many([{"_id": key, **file} for key in KEYS]))
    assert sorted(store.list("")) == KEYS
    url = f"{secantus.url}listing?bucket={bucket}&serverSelectionTimeoutMS=100&directConnection=true"
    expect_all_or_an_error(url, port, 1500, 22_000)


def test_a_listing_of_postgresql_that_breaks_anywhere_is_an_error(
    postgres: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = entered(postgres, monkeypatch)
    url = f"{postgres.url}?schema=s{os.urandom(4).hex()}"
    store: Any = open_storage(url)
    store.put("a/0", b"x")
    values = ", ".join(f"('{key}', 1, 1, '0')" for key in KEYS[1:])
    store._write(
        "a", lambda cursor: store._do(cursor, f"INSERT INTO {store.table} (key, blob, bytes, sha256) VALUES {values}")
    )
    expect_all_or_an_error(url, port, 500, 9_000)


def test_rows_that_a_policy_hides_are_an_error_and_not_absent(postgres: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    entered(postgres, monkeypatch)
    role = f"r{os.urandom(4).hex()}"
    store: Any = open_storage(f"{postgres.url}?schema={role}")
    store.put("a", b"x")
    for statement in (
        f"CREATE ROLE {role} LOGIN PASSWORD '{SECRET}'",
        f"GRANT USAGE ON SCHEMA {role} TO {role}",
        f"GRANT SELECT ON {store.table} TO {role}",
    ):
        store._write("a", lambda cursor, statement=statement: cursor.execute(statement))
    limited = open_storage(store.url.replace("tests@", f"{role}@"))
    assert list(limited.list("")) == ["a"]
    store._write("a", lambda cursor: cursor.execute(f"ALTER TABLE {store.table} ENABLE ROW LEVEL SECURITY"))
    for verb in (lambda: list(limited.list("")), lambda: limited.exists("a"), lambda: limited.stat("a")):
        with pytest.raises(StorageError, match="refused: .*row-level security"):
            verb()
    undone = f"ALTER TABLE {store.table} DISABLE ROW LEVEL SECURITY; REVOKE ALL ON {store.table} FROM {role}"
    store._write("a", lambda cursor: cursor.execute(undone))
    with pytest.raises(StorageError, match="refused: permission denied"):
        list(limited.list(""))


def test_a_stray_of_mongodb_is_no_file_that_an_object_names(secantus: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    entered(secantus, monkeypatch)
    store: Any = open_storage(f"{secantus.url}listing?bucket=b{os.urandom(4).hex()}")
    store.put("a", b"x")
    assert list(store.strays(-60)) == []
    named = store._document("a")["file"]
    store._unnamed = lambda db, older_than: [named]
    with pytest.raises(ListingCut):
        list(store.strays(-60))
