"""What killed writers leave under no key: nothing in databases, and elsewhere what is found, counted and removed."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
from servers import Place

from dataset_assets.errors import StorageError
from dataset_assets.moving.gc import collect_strays
from dataset_assets.storage import LeavesStrays, LocalStorage, MemoryStorage, Storage, Stray, open_storage
from dataset_assets.storage.keys import stream_key
from dataset_assets.testing.storage import content, file_of, some_bytes

DATA = some_bytes(20_000_000)
LARGE, HOUR = 60_000_000, 3600.0
KEY = stream_key(tiny.NAME, "train", "image", "0" * 64, ".npy")

WRITER = """
import os, signal, sys
from pathlib import Path
from dataset_assets.storage import open_storage
from dataset_assets.storage.connectors import mongodb
from dataset_assets.storage.connectors import sqlite
from dataset_assets.storage.connectors.postgres import PostgresStorage

def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)

def die_after(write):
    def act(self, cursor, chunks):
        write(self, cursor, chunks)
        die()
    return act

class Hashed(mongodb._Hashed):
    def read(self, size=-1):
        # The driver sends pieces when it has 48 MB of them.
        return die() if self.bytes > 55_000_000 else super().read(size)

when = sys.argv[3]
if when == "in the middle":
    mongodb._Hashed = Hashed
else:
    mongodb._replaced = die
for kind in (PostgresStorage, sqlite.SqliteStorage):
    kind._write_blob = die_after(kind._write_blob)
open_storage(sys.argv[1]).put("a/b", Path(sys.argv[2]))
"""


def kill_a_writer(storage: Storage, folder: Path, when: str = "in the middle") -> None:
    """Have another process put an object, and be killed before it is there."""
    source = file_of(folder, b"")
    os.truncate(source, LARGE)
    command = [sys.executable, "-c", WRITER, storage.url, str(source), when]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not storage.exists("a/b")


def strays(storage: Any, older_than: float = -2) -> list[Stray]:
    """Return what is left; of what was begun in this second too."""
    return [*storage.strays(older_than)]


def test_files_of_another_program_in_a_bucket_of_gridfs_are_left(
    secantus: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gridfs

    for name, value in secantus.environment.items():
        monkeypatch.setenv(name, value)
    storage: Any = open_storage(f"{secantus.url}strays?bucket=b{os.urandom(4).hex()}")
    storage.put("kept", b"x")

    def use(db: Any) -> None:
        theirs = gridfs.GridFSBucket(db, storage.bucket)
        theirs.upload_from_stream("report.pdf", DATA[:600_000])
        nameless = theirs.upload_from_stream(KEY, DATA[:2_000_000])
        db[storage.bucket].files.update_one({"_id": nameless}, {"$unset": {"filename": ""}})
        going_on = theirs.upload_from_stream("going on", DATA[:600_000])
        db[storage.bucket].files.delete_one({"_id": going_on})

    storage._call(use)
    assert strays(storage) == []


@pytest.mark.parametrize("when", ["in the middle", "before it is shown"])
def test_O3_what_a_killed_writer_left_in_gridfs_is_removed_when_it_is_old(
    secantus: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, when: str
) -> None:
    for name, value in secantus.environment.items():
        monkeypatch.setenv(name, value)
    storage: Any = open_storage(f"{secantus.url}strays?bucket=b{os.urandom(4).hex()}")
    storage.put("kept", DATA)
    kill_a_writer(storage, tmp_path, when)
    assert strays(storage, HOUR) == []
    [left] = strays(storage)
    assert left.key == (None if when == "in the middle" else "a/b")
    assert 40_000_000 <= left.bytes <= LARGE
    left.remove()
    assert strays(storage) == []
    count = storage._call(lambda db: [db[storage.bucket][name].count_documents({}) for name in ("files", "chunks")])
    assert count == [1, -(-len(DATA) // (1 << 20))] and content(storage, "kept") == DATA


def test_O3_a_killed_writer_leaves_no_large_object(
    postgres: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import psycopg2

    for name, value in postgres.environment.items():
        monkeypatch.setenv(name, value)
    storage = open_storage(f"{postgres.url}?schema=s{os.urandom(4).hex()}")
    storage.put("kept", b"x")

    def large_objects() -> int:
        connection = psycopg2.connect(postgres.url.replace("+psycopg2", ""))
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_largeobject_metadata")
            [count] = cursor.fetchone() or [0]
        connection.close()
        return int(count)

    before = large_objects()
    kill_a_writer(storage, tmp_path)
    assert large_objects() == before and content(storage, "kept") == b"x"
    assert not isinstance(storage, LeavesStrays)


def test_O3_a_killed_writer_leaves_no_piece_in_sqlite(fast_path: Path) -> None:
    storage: Any = open_storage(f"sqlite:///{fast_path}/store.db")
    storage.put("kept", b"x")
    kill_a_writer(storage, fast_path)
    with sqlite3.connect(storage.path) as connection:
        assert connection.execute("SELECT count(*) FROM chunks").fetchall() == [(1,)]
    assert content(storage, "kept") == b"x"


def test_parts_of_files_are_found_in_a_folder_and_nobody_elses(fast_path: Path) -> None:
    storage = LocalStorage(fast_path / "store")
    storage.put("a/b", b"x")
    for name in ("a/.1-0123456789abcdef.part", ".hidden/.1-0123456789abcdef.part", "a/.download.part", "a/c.part"):
        (storage.root / name).parent.mkdir(exist_ok=True)
        (storage.root / name).write_bytes(b"half")
    assert strays(storage, HOUR) == []
    [left] = strays(storage)
    assert (left.key, left.bytes) == (None, 4)
    left.remove()
    assert strays(storage) == [] and len([*storage.root.rglob("*.part")]) == 3


# What of it is collected.


class Left(MemoryStorage):
    """A storage that remembers what it was asked."""

    def __init__(self, *keys: str | None) -> None:
        super().__init__()
        self.left, self.asked = [*keys], 0.0

    def strays(self, older_than: float) -> Iterator[Stray]:
        self.asked = older_than
        for key in [*self.left]:
            yield Stray(key, 10, lambda key=key: self.left.remove(key))  # type: ignore[misc]


def test_what_is_no_datasets_is_left_and_a_dry_run_removes_nothing() -> None:
    storage = Left(KEY, None, "somebody/elses.bin")
    planned = collect_strays(storage, dry_run=True)
    assert planned and planned.bytes == 20 and len(storage.left) == 3
    assert collect_strays(storage) == planned
    assert storage.left == ["somebody/elses.bin"] and collect_strays(storage) is None


def test_nothing_is_removed_within_a_day_whatever_the_grace_is() -> None:
    storage = Left()
    for grace, asked in ((0, 86_400), (10 * 86_400, 10 * 86_400)):
        collect_strays(storage, grace_seconds=grace)
        assert storage.asked == asked


class Refusing(MemoryStorage):
    def strays(self, older_than: float) -> Iterator[Stray]:
        raise StorageError(errno.EACCES, "The bucket refused the request.")


def test_a_store_that_refuses_is_told_and_costs_the_rest_nothing() -> None:
    found = collect_strays(Refusing())
    assert found and found.problem == "The bucket refused the request."


def test_stores_that_leave_nothing_are_asked_nothing() -> None:
    assert collect_strays(MemoryStorage()) is None


def test_a_bucket_is_asked_for_no_strays_because_a_rule_of_it_removes_them() -> None:
    assert not isinstance(open_storage("s3://bucket"), LeavesStrays)
    assert collect_strays(open_storage("s3://bucket?endpoint=http://127.0.0.1:9")) is None
