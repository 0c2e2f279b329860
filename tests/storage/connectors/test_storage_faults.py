"""What object stores and databases do to us, by the rows of the fault matrix: expiry, resets, lags, races, restarts."""

import io
import itertools
import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import obstore
import pytest
import tiny
from conftest import url as url_of
from servers import ACCOUNT, BUCKET, KEY, LATER_KEY, SECRET, Place, Proxy, start_postgres, started, stop
from servers import folder as server_folder

from dataset_assets import Dataset, load, prepare
from dataset_assets.errors import Conflict, DatasetAssetsError, StorageError, StoreUnavailable
from dataset_assets.reading.stored_files import index_of
from dataset_assets.storage import open_storage
from dataset_assets.storage.connectors.bucket.address import bucket_of
from dataset_assets.storage.connectors.bucket.store import ObjectStorage
from dataset_assets.storage.connectors.sqlite import SqliteStorage
from dataset_assets.storage.keys import stream_key
from dataset_assets.storage.object_file import WHOLE
from dataset_assets.testing import Reset, Status
from dataset_assets.testing.proxy import Answer
from dataset_assets.testing.storage import at_once, content, file_of, sha256, some_bytes

LARGE = some_bytes(12 * WHOLE + 5)
NOTHING_LISTED = Status(
    200, body=b'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>'
)
numbers = itertools.count()


@pytest.fixture
def place(seaweed: Place, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty bucket."""
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    return f"{seaweed.url}faults/{os.getpid()}/{next(numbers)}"


@pytest.fixture
def storage(place: str, proxy: Proxy) -> ObjectStorage:
    """A bucket behind the proxy, which asks twice again."""
    return ObjectStorage(bucket_of(f"{place}?endpoint={proxy.url}"), retries=2)


# O1: 503, resets.


@pytest.mark.parametrize("verb", ["GET", "HEAD", "PUT"])
def test_O1_a_connection_that_is_reset_is_made_again(storage: ObjectStorage, proxy: Proxy, verb: str) -> None:
    left: list[Answer] = [Reset(), Reset()]
    proxy.fault = lambda method, path: left.pop() if left and method == verb else None
    storage.put("a", b"x")
    assert content(storage, "a") == b"x" and not left


@pytest.fixture
def azure(azurite: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ObjectStorage, Proxy]]:
    """A container behind a proxy, which asks twice again."""
    for name, value in azurite.environment.items():
        monkeypatch.setenv(name, value)
    with Proxy(azurite.endpoint) as proxy:
        place = f"{azurite.url}faults/{os.getpid()}/{next(numbers)}?endpoint={proxy.url}/{ACCOUNT}"
        yield ObjectStorage(bucket_of(place), retries=2), proxy


@pytest.mark.parametrize("fault", [Reset(), 503, 500])
@pytest.mark.parametrize("verb", ["GET", "HEAD", "PUT"])
def test_O1_azure_is_asked_again_too(
    azure: tuple[ObjectStorage, Proxy], verb: str, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, proxy = azure
    monkeypatch.setenv("DATASET_ASSETS_STALL_SECONDS", "0")
    left = [fault, fault]
    proxy.fault = lambda method, path: left.pop() if left and method == verb else None
    storage.put("a", b"x")
    assert content(storage, "a") == b"x" and not left
    proxy.fault = lambda method, path: fault
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="after 2 retries. Nothing was published"):
        storage.get("a")
    assert time.monotonic() - begun < 120


# O2: credentials.


class Provider:
    """Gives credentials as the container of a provider does; whoever changes `key` has renewed them."""

    def __init__(self) -> None:
        self.key, self.asked = KEY, 0
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                found = {"AccessKeyId": provider.key, "SecretAccessKey": SECRET, "Token": ""}
                body = json.dumps({**found, "Expiration": "2099-01-01T00:00:00Z"}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/credentials"


@pytest.fixture
def provider(place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Provider]:
    """Where the credentials come from, instead of the environment."""
    found = Provider()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.05,))
    thread.start()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "token").write_text("token-of-the-container")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", found.url)
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def test_O2_credentials_that_expire_in_mid_stream_are_renewed(
    storage: ObjectStorage, proxy: Proxy, provider: Provider
) -> None:
    storage.put("a", LARGE)
    with storage.get("a") as file:
        begun = file.read(WHOLE)
        provider.key, proxy.expired = LATER_KEY, {KEY}
        file.seek(3 * WHOLE)
        rest = file.read()
    assert begun + LARGE[WHOLE : 3 * WHOLE] + rest == LARGE
    assert provider.asked == 2


def test_O2_credentials_that_expire_in_mid_upload_are_renewed(
    storage: ObjectStorage, proxy: Proxy, provider: Provider, tmp_path: Path
) -> None:
    def expire(method: str, path: str) -> None:
        if "partNumber=2" in path and not proxy.expired:
            provider.key, proxy.expired = LATER_KEY, {KEY}

    proxy.fault = expire
    storage.put("a", file_of(tmp_path, 2 * LARGE))
    assert proxy.expired and content(storage, "a") == 2 * LARGE
    assert provider.asked == 2


def test_O2_credentials_that_stay_expired_are_one_error_and_not_asked_for_at_every_call(
    storage: ObjectStorage, proxy: Proxy, provider: Provider
) -> None:
    storage.put("a", b"x")
    proxy.expired = {KEY}
    for _ in range(5):
        with pytest.raises(StorageError, match="(ExpiredToken|400).*The credentials are wrong or have expired"):
            content(storage, "a")
    assert provider.asked == 2


# O3: uploads that are killed; more of it in test_storage_object_store.py and test_strays.py.

UPLOADING = """
import sys
from pathlib import Path
from dataset_assets.storage import open_storage
open_storage(sys.argv[1]).put("a", Path(sys.argv[2]))
"""


def test_O3_an_upload_to_azure_that_is_killed_in_the_middle_leaves_what_was_there(
    azure: tuple[ObjectStorage, Proxy], tmp_path: Path
) -> None:
    storage, proxy = azure
    storage.put("a", b"old")
    command = [sys.executable, "-c", UPLOADING, storage.url, str(file_of(tmp_path, 4 * LARGE))]

    def kill(method: str, path: str) -> int | None:
        # Parts come in odd orders: at the latest it is killed when it says that it has sent all.
        if proxy.count("PUT", "comp=block&") >= 3 or "comp=blocklist" in path:
            child.kill()
            return 500
        return None

    proxy.fault = kill
    child = subprocess.Popen(command)
    assert child.wait(200) == -signal.SIGKILL
    proxy.fault = lambda method, path: None
    assert content(storage, "a") == b"old" and list(storage.list("")) == ["a"]
    storage.put("a", file_of(tmp_path, 2 * LARGE))
    assert content(storage, "a") == 2 * LARGE


# O4: listings.


def test_O4_nothing_depends_on_listings_that_lag(
    storage: ObjectStorage, proxy: Proxy, dataset: Dataset, home: Path
) -> None:
    proxy.fault = lambda method, path: NOTHING_LISTED if "list-type=2" in path else None
    assert list(storage.list("")) == []
    made = prepare(dataset, storage=storage)  # type: ignore[arg-type]
    assert tiny.plain(load(tiny.NAME, storage=storage, verify="all")) == tiny.plain(made) == tiny.expected()
    proxy.requests.clear()
    again = prepare(dataset, storage=storage)  # type: ignore[arg-type]
    assert again["train"].version == made["train"].version and not proxy.count("PUT")


# O5: ETags.


def test_O5_another_etag_of_the_same_bytes_is_not_another_version(
    storage: ObjectStorage, proxy: Proxy, dataset: Dataset, home: Path
) -> None:
    made = prepare(dataset, storage=storage)["train"]  # type: ignore[arg-type]
    stream = index_of(made).streams["image"]  # type: ignore[arg-type]
    key = stream_key(tiny.NAME, "train", "image", stream.files[0].sha256, stream.suffix)
    path, data = f"{storage.bucket.prefix}/{key}", content(storage, key)
    before = obstore.head(storage.clients.current(""), path)["e_tag"]
    # As a replica, or another client, would store it: in parts, whose ETag is of another kind.
    obstore.put(storage.clients.current(""), path, data, use_multipart=True, chunk_size=1 << 20)
    assert obstore.head(storage.clients.current(""), path)["e_tag"] != before
    proxy.requests.clear()
    assert prepare(dataset, storage=storage)["train"].version == made.version  # type: ignore[arg-type]
    assert not proxy.count("PUT")
    assert tiny.plain(load(tiny.NAME, storage=storage, verify="all")) == tiny.expected()


# O6: conditional puts.


def test_O6_of_two_publishers_on_one_pointer_one_wins(place: str) -> None:
    one, other = open_storage(place), open_storage(place)
    for round_ in range(5):
        expected = sha256(content(one, "current.json")) if round_ else None
        new = [b"%d of round %d" % (i, round_) for i in range(2)]
        done = at_once(2, lambda i: (one, other)[i].swap("current.json", new[i], expected))  # noqa: B023
        assert sorted(done) == [False, True]
        assert content(one, "current.json") == new[done.index(True)]


def test_O6_where_conditions_are_ignored_the_last_of_two_publishers_leaves_a_whole_version(
    storage: ObjectStorage, proxy: Proxy, home: Path, fast_path: Path
) -> None:
    def store(method: str, path: str) -> Any:
        key = path.partition("?")[0].partition(f"/{BUCKET}/")[2]
        return (lambda body: stored(key, body)) if method == "PUT" else None

    def stored(key: str, body: bytes) -> Status:
        return Status(200, {"ETag": obstore.put(direct, key, body)["e_tag"] or ""})

    direct, proxy.fault = open_storage(storage.url.partition("?")[0]).clients.current(""), store  # type: ignore[attr-defined]
    made = two_of_one_name(fast_path)
    found = at_once(2, lambda i: tried(made[i], storage))
    # Who looks when the other is done is told that it lost.
    won = [one for one in found if not isinstance(one, Conflict)]
    assert won and not [one for one in won if isinstance(one, DatasetAssetsError)]
    released = load(tiny.NAME, storage=storage, verify="all")
    assert released["train"].version in {views["train"].version for views in won}


def two_of_one_name(folder: Path) -> list[Dataset]:
    """Return two definitions of one dataset."""
    (folder / "numbers.csv").write_bytes(tiny.NUMBERS)
    return [tiny.tiny(url_of(folder), version=version) for version in ("1", "2")]


def tried(dataset: Dataset, storage: Any) -> Any:
    try:
        return prepare(dataset, storage=storage)
    except DatasetAssetsError as error:
        return error


def test_O6_a_store_that_refuses_conditions_is_for_one_writer(storage: ObjectStorage, proxy: Proxy) -> None:
    proxy.fault = lambda method, path: 501 if method == "PUT" and not path.endswith("a") else None
    with pytest.raises(StorageError, match="501"):
        storage.swap("b", b"new", None)


# C: several at once.


def prepared_there(url: str, folder: str, results: Any) -> None:
    results.put(prepare(tiny.tiny(folder), storage=url)["train"].version)


@pytest.mark.parametrize("kind", ["s3", "postgresql"])
def test_C1_two_processes_that_prepare_at_once_have_one_result(
    kind: str, place: str, postgres: Place, monkeypatch: pytest.MonkeyPatch, home: Path, fast_path: Path
) -> None:
    for name, value in postgres.environment.items():
        monkeypatch.setenv(name, value)
    url = place if kind == "s3" else f"{postgres.url}?schema=c1_{os.getpid()}_{next(numbers)}"
    source = fast_path / "published"
    source.mkdir()
    (source / "numbers.csv").write_bytes(tiny.NUMBERS)
    context: Any = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    children = [context.Process(target=prepared_there, args=(url, url_of(source), results)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(200)
        assert child.exitcode == 0
    assert results.get() == results.get() == load(tiny.NAME, "train", storage=url).version
    assert tiny.plain(load(tiny.NAME, storage=url, verify="all")) == tiny.expected()


def test_C2_who_opened_a_version_reads_it_to_the_end_while_another_is_published(
    place: str, home: Path, fast_path: Path
) -> None:
    older, later = two_of_one_name(fast_path)
    prepare(older, storage=place)
    opened = load(tiny.NAME, "train", storage=place)
    newer = prepare(later, storage=place)["train"]
    assert newer.version != opened.version and load(tiny.NAME, "train", storage=place).version == newer.version
    pinned = load(f"{tiny.NAME}@{opened.version}", "train", storage=place)
    assert tiny.plain({"train": opened}) == tiny.plain({"train": pinned})


# B: databases.


@pytest.mark.parametrize("seconds", [0.1, 2.0])
def test_B1_a_sqlite_file_that_is_locked_for_a_while_is_waited_for(fast_path: Path, seconds: float) -> None:
    storage = SqliteStorage(fast_path / "store.db")
    storage.put("a", b"old")
    holder = sqlite3.connect(storage.path, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    assert content(storage, "a") == b"old", "readers do not wait"
    begun = time.monotonic()
    threading.Timer(seconds, lambda: holder.execute("ROLLBACK")).start()
    storage.put("a", b"new")
    assert time.monotonic() - begun >= seconds
    assert content(storage, "a") == b"new"
    holder.close()


def test_B1_twelve_writers_of_one_sqlite_file_all_get_their_turn(fast_path: Path) -> None:
    storage = SqliteStorage(fast_path / "store.db")
    at_once(12, lambda i: [storage.put(f"{i}/{n}", b"%d" % n) for n in range(5)])
    assert len(list(storage.list(""))) == 60


def test_B2_a_postgres_that_restarts_is_used_again_and_a_lost_write_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    with server_folder() as base:
        server, port = started(lambda: start_postgres(base))
        try:
            storage: Any = open_storage(f"postgresql+psycopg2://tests@127.0.0.1:{port}/postgres")
            storage.put("a", b"old")
            stop(server, signal.SIGINT)
            with pytest.raises(StoreUnavailable, match="Nothing was published|not known whether"):
                storage.put("a", b"new")
            server, port = start_postgres(base, port)
            assert content(storage, "a") == b"old"
            # Killed while it has the new bytes, but not the transaction.
            with pytest.raises(StoreUnavailable):
                storage._write("a", lambda cursor: crash_after_writing(storage, cursor, server))
            server, port = start_postgres(base, port)
            assert content(storage, "a") == b"old"
            storage.put("a", b"new")
            assert content(storage, "a") == b"new"
        finally:
            stop(server, signal.SIGINT)


def crash_after_writing(storage: Any, cursor: Any, server: Any) -> None:
    storage._replace(cursor, "a", io.BytesIO(b"new"))
    # What PostgreSQL does when one of its own crashes: nobody tidies up.
    stop(server, signal.SIGQUIT)
