"""What one dataset retrieved, another one of the same storage does not retrieve again, and never gets other bytes."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from children import ended, in_child

from dataset_assets import Array, Dataset, DerivedFile, RemoteFile, Split, prepare
from dataset_assets.core.scratch import kept_folder
from dataset_assets.errors import DigestMismatch, RetrievalError
from dataset_assets.making.maker import Maker
from dataset_assets.making.shared import of_url
from dataset_assets.making.steps import StagedRaw
from dataset_assets.storage import LocalStorage, MemoryStorage, Storage
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.testing import ChangeEtag, FaultyServer, Headers, Slow

BODY, NEW = b"1\n2\n3\n", b"4\n5\n"
SHA256 = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
MD5 = f"md5:{hashlib.md5(BODY).hexdigest()}"


@pytest.fixture
def server(home: Path) -> Iterator[FaultyServer]:
    with FaultyServer({"/a.txt": BODY, "/b.txt": BODY}) as server:
        yield server


def lines(table: Any) -> Iterator[Any]:
    for line in table:
        yield {"n": int(line)}


def copied(table: Any) -> Iterator[bytes]:
    yield table.read()


def numbers(name: str, url: str, storage: Storage | None = None, refresh: bool = False, **file: Any) -> list[int]:
    """Prepare a dataset of the numbers at a URL, and return them."""
    split = Split(lines, table=RemoteFile(url, **file))
    dataset = Dataset(f"org.example.{name}", "Numbers.", {"n": Array()}, {"all": split})
    return [int(n) for n in prepare(dataset, storage=storage, refresh=refresh)["all"].to_numpy()["n"]]


def sent(server: FaultyServer) -> int:
    """Return how often a file was sent, or asked for without a condition."""
    return sum("If-None-Match" not in request.headers for request in server.requests)


@pytest.mark.parametrize(
    "digests", [(SHA256, SHA256), (MD5, MD5), (MD5, SHA256), (None, SHA256)], ids=["sha256", "md5", "both", "late"]
)
@pytest.mark.parametrize("place", [None, MemoryStorage], ids=["local", "memory"])
def test_one_content_is_downloaded_once_whatever_its_url(
    server: FaultyServer, digests: tuple[str | None, str], place: Callable[[], Storage] | None
) -> None:
    storage = place() if place else None
    assert numbers("one", server.url + "/a.txt", storage, digest=digests[0]) == [1, 2, 3]
    assert numbers("two", server.url + "/b.txt", storage, digest=digests[1], size=len(BODY)) == [1, 2, 3]
    assert [request.path for request in server.requests] == ["/a.txt"]


def test_a_url_without_a_digest_is_only_asked_whether_its_file_changed(server: FaultyServer) -> None:
    numbers("one", server.url + "/a.txt")
    assert numbers("two", server.url + "/a.txt") == [1, 2, 3]
    assert (len(server.requests), sent(server)) == (2, 1)
    server.files["/a.txt"] = NEW
    assert numbers("three", server.url + "/a.txt") == [4, 5]


def test_a_url_without_validators_is_downloaded_again(server: FaultyServer) -> None:
    plain = (ChangeEtag(None), Headers({"Last-Modified": None}))
    server.script("/a.txt", [plain, plain])
    numbers("one", server.url + "/a.txt")
    server.files["/a.txt"] = NEW
    assert numbers("two", server.url + "/a.txt") == [4, 5]


def test_another_storage_has_its_own_copy(server: FaultyServer, home: Path) -> None:
    numbers("one", server.url + "/a.txt", digest=SHA256)
    assert numbers("one", server.url + "/a.txt", LocalStorage(home / "other"), digest=SHA256) == [1, 2, 3]
    assert sent(server) == 2


def test_a_refresh_asks_the_source(server: FaultyServer) -> None:
    numbers("one", server.url + "/a.txt")
    numbers("two", server.url + "/a.txt")
    server.files["/a.txt"] = NEW
    assert numbers("one", server.url + "/a.txt", refresh=True) == [4, 5]


def test_what_a_refresh_brought_another_refresh_only_asks_for(server: FaultyServer) -> None:
    for name in ("one", "two", "three"):
        numbers(name, server.url + "/a.txt")
    server.forget()
    server.files["/a.txt"] = NEW
    for name in ("one", "two"):
        assert numbers(name, server.url + "/a.txt", refresh=True) == [4, 5]
    new = f'"{hashlib.sha256(NEW).hexdigest()}"'
    assert server.requests[1].headers["If-None-Match"] == new
    server.files["/a.txt"] = BODY
    assert numbers("three", server.url + "/a.txt", refresh=True) == [1, 2, 3]


def test_without_a_network_what_another_dataset_has_is_enough(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers("one", server.url + "/a.txt")
    monkeypatch.setenv("DATASET_ASSETS_OFFLINE", "1")
    assert numbers("two", server.url + "/b.txt", digest=SHA256) == [1, 2, 3]
    with pytest.raises(RetrievalError, match="offline"):
        numbers("three", server.url + "/a.txt")


@pytest.mark.parametrize("digest", [SHA256, None])
@pytest.mark.parametrize(
    "spoil", [lambda path: path.write_bytes(b"7\n8\n9\n"), Path.unlink, lambda path: path.write_bytes(b"")]
)
def test_what_is_damaged_or_gone_is_downloaded_again(
    server: FaultyServer, home: Path, spoil: Callable[[Path], None], digest: str | None
) -> None:
    numbers("one", server.url + "/a.txt", digest=digest)
    (stored,) = (home / "storage/org/example/one/raw/a_txt").glob("?" * 64)
    stored.chmod(0o644)
    spoil(stored)
    assert numbers("two", server.url + "/a.txt", digest=digest) == [1, 2, 3]


@pytest.mark.parametrize("text", [b"", b"{}", b'{"dataset":5}', b"\xff", b"[" * 5000])
def test_a_note_that_cannot_be_read_is_no_note(server: FaultyServer, home: Path, text: bytes) -> None:
    numbers("one", server.url + "/a.txt", digest=SHA256)
    for note in (home / "retrieved").iterdir():
        note.write_bytes(text)
    assert numbers("two", server.url + "/a.txt", digest=SHA256) == [1, 2, 3]


def test_a_digest_of_other_bytes_is_never_met_by_a_note(server: FaultyServer, home: Path) -> None:
    numbers("one", server.url + "/a.txt", digest=SHA256)
    other = f"sha256:{hashlib.sha256(NEW).hexdigest()}"
    with pytest.raises(DigestMismatch):
        numbers("two", server.url + "/a.txt", digest=other)
    assert sent(server) == 2


def test_derived_files_are_not_noted(server: FaultyServer, home: Path) -> None:
    derived = DerivedFile("copy.txt", copied, keep=True, table=RemoteFile(server.url + "/a.txt"))
    prepare(Dataset("org.example.one", "Numbers.", {"n": Array()}, {"all": Split(lines, table=derived)}))
    assert len([*(home / "retrieved").iterdir()]) == 2


def test_nobody_waits_for_a_refresh_that_brought_the_same_bytes(server: FaultyServer, home: Path) -> None:
    url = server.url + "/a.txt"
    dataset = Dataset("org.example.one", "Numbers.", {"n": Array()}, {"all": Split(lines, table=RemoteFile(url))})
    plain = (ChangeEtag(None), Headers({"Last-Modified": None}))
    server.script("/a.txt", [plain, plain])
    prepare(dataset)
    with Maker(dataset, StoredDataset(LocalStorage(home / "storage"), dataset.name), refresh=True) as maker:
        assert not isinstance(maker.raw("a_txt"), StagedRaw)
        assert sent(server) == 2
        with kept_folder(home / "scratch", url, 0.1) as folder:
            assert folder is not None


def test_whoever_waited_for_a_file_finds_its_note(server: FaultyServer, home: Path) -> None:
    file = RemoteFile(server.url + "/a.txt")
    dataset = Dataset("org.example.one", "Numbers.", {"n": Array()}, {"all": Split(lines, table=file)})
    stored, notes = StoredDataset(LocalStorage(home / "storage"), dataset.name), []
    with Maker(dataset, stored) as maker:
        staged = maker.raw("a_txt")
        assert isinstance(staged, StagedRaw)
        maker.publish(replace(staged, published=lambda: notes.append(of_url(stored, file))))
    assert [note.raw.sha256 for note in notes if note] == [SHA256.removeprefix("sha256:")]


@pytest.mark.parametrize("digest", [SHA256, None])
@pytest.mark.parametrize("etag", ['"1"', None])
def test_processes_that_want_one_file_at_once_download_it_once(
    server: FaultyServer, home: Path, digest: str | None, etag: str | None
) -> None:
    plain = (ChangeEtag(etag), Headers({"Last-Modified": None}))
    server.script("/a.txt", [(*plain, Slow(bytes_per_s=10)), plain, plain])
    children = [in_child(lambda: numbers("one", server.url + "/a.txt", digest=digest), wait=False)]
    while not server.requests:
        time.sleep(0.01)
    for name in ("one", "two"):
        children.append(in_child(lambda name=name: numbers(name, server.url + "/a.txt", digest=digest), wait=False))
    assert [ended(child) for child in children] == [0, 0, 0]
    assert sent(server) == 1
    assert numbers("two", server.url + "/a.txt", digest=digest) == [1, 2, 3]
    assert [*(home / "scratch").iterdir()] == []
