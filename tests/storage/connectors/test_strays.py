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
from servers import Place, Proxy

from dataset_assets.errors import StorageError
from dataset_assets.moving.gc import collect_strays
from dataset_assets.storage import LeavesStrays, LocalStorage, MemoryStorage, Storage, Stray, open_storage
from dataset_assets.storage.connectors.bucket.unfinished_uploads import unfinished
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


# Uploads to S3.


@pytest.fixture
def s3(seaweed: Place, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    return open_storage(f"{seaweed.url}strays_{os.urandom(4).hex()}")


def begin_an_upload(storage: Any, key: str) -> None:
    """Send a part of five megabytes, and no more."""
    from botocore.session import Session

    bucket = storage.bucket
    client = Session().create_client("s3", endpoint_url=bucket.endpoint, region_name="us-east-1")
    where = {"Bucket": bucket.name, "Key": f"{bucket.prefix}/{key}"}
    upload = client.create_multipart_upload(**where)["UploadId"]
    client.upload_part(**where, UploadId=upload, PartNumber=1, Body=DATA[: 5 << 20])


def test_O3_uploads_that_nobody_ended_are_found_by_age_page_by_page_and_given_up(s3: Any) -> None:
    s3.put("kept", DATA)
    for name in ("a/b", "a/b", "a/c", "d", "e"):
        begin_an_upload(s3, name)
    assert strays(s3, HOUR) == []
    found, names = strays(s3), ["a/b", "a/b", "a/c", "d", "e"]
    assert sorted((stray.key, stray.bytes) for stray in found) == [(name, 5 << 20) for name in names]
    assert sorted(stray.key or "" for stray in unfinished(s3.bucket, 0, at_once=2)) == names
    for stray in found:
        stray.remove()
    assert strays(s3) == []
    found[0].remove()
    assert content(s3, "kept") == DATA and list(s3.list("")) == ["kept"]


def test_beside_the_prefix_no_upload_is_looked_at(s3: Any) -> None:
    other = open_storage(f"{s3.url}_more")
    begin_an_upload(other, "a")
    assert strays(s3) == []
    [left] = strays(other)
    left.remove()


def test_what_cannot_be_asked_for_is_one_error_without_a_secret(
    s3: Any, monkeypatch: pytest.MonkeyPatch, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-pa55word")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-pa55word")
    with pytest.raises(StorageError, match="refused the request.*403") as caught:
        strays(s3)
    assert caught.value.errno == errno.EACCES and caught.value.__context__ is None
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match="no answer .EndpointConnectionError.") as caught:
        strays(s3)
    assert "pa55word" not in caplog.text + str(caught.value)


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


def test_a_store_that_refuses_is_told_and_costs_the_rest_nothing(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    found = collect_strays(s3)
    assert found and "refused the request" in str(found.problem) and "Errno" not in str(found.problem)


def test_stores_that_leave_nothing_are_asked_nothing() -> None:
    assert collect_strays(MemoryStorage()) is None
