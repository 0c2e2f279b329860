"""Small files that arrive are published together; large ones, and those that have waited, without others."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import part_work as work
import pytest

from dataset_assets import Array, Dataset, ForEach, RemoteFile, Split, Text, prepare
from dataset_assets.core.canonical import sha256_hex
from dataset_assets.making import batches
from dataset_assets.storage import LocalStorage
from dataset_assets.storage.keys import source_key
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.testing import FaultyServer
from dataset_assets.testing.server import Reply

NAME, FILES = "org.example.small", 40


class Noting(LocalStorage):
    """Notes which raw files, and which of their records, are stored by one call."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.raw: list[int] = []
        self.records: list[int] = []

    def put(self, key: str, source: Path | bytes) -> None:
        self._note([key])
        super().put(key, source)

    def put_all(self, sources: Mapping[str, Path | bytes]) -> None:
        self._note([*sources])
        super().put_all(sources)

    def _note(self, keys: list[str]) -> None:
        raw = [key for key in keys if "/raw/" in key]
        records = [key for key in raw if key.endswith("source.json")]
        self.records += [len(records)] if records else []
        self.raw += [len(raw) - len(records)] if len(raw) > len(records) else []


@pytest.fixture
def dataset(home: Path, fast_path: Path) -> Dataset:
    for k in range(FILES):
        (fast_path / f"{k:02}.txt").write_text(f"{k}\n")
    files = [RemoteFile(fast_path / f"{k:02}.txt") for k in range(FILES)]
    streams: dict[str, Any] = {"number": Array("int64"), "text": Text()}
    return Dataset(NAME, "Numbers.", streams, {"all": Split(work.lines, table=ForEach(files))})


@pytest.fixture
def storage(home: Path) -> Noting:
    return Noting(home / "noting")


def test_small_files_are_stored_together_and_then_their_records(
    dataset: Dataset, storage: Noting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MOST_FILES", 15)
    monkeypatch.setattr(batches, "MOST_SECONDS", 1000.0)
    assert len(prepare(dataset, storage=storage, jobs=1)["all"]) == FILES  # type: ignore[arg-type]
    assert storage.raw == [15, 15, 10]
    # The last is that of all records: the split proves the bytes.
    assert storage.records == [15, 15, 10, FILES]
    stored = StoredDataset(storage, NAME)
    assert all(raw.state == "" for k in range(FILES) if (raw := stored.raw(f"{k:02}_txt")))
    assert {*storage.list("")} >= {source_key(NAME, f"{k:02}_txt") for k in range(FILES)}


@pytest.mark.parametrize(("limit", "value"), [("MOST_BYTES", 1), ("MOST_SECONDS", -1.0)])
def test_large_files_and_those_that_waited_are_stored_at_once(
    dataset: Dataset, storage: Noting, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    monkeypatch.setattr(batches, limit, value)
    prepare(dataset, storage=storage, jobs=1)
    assert storage.raw == [1] * FILES


class Waiting(FaultyServer):
    """Answers for the last file when the storage has the first one."""

    def __init__(self, files: dict[str, bytes], storage: LocalStorage) -> None:
        super().__init__(files)
        self.storage, self.arrived = storage, False

    def reply(self, request: Any) -> Reply:
        until = time.monotonic() + 20
        while request.path == "/b.txt" and not self.arrived and time.monotonic() < until:
            self.arrived = self.storage.exists(source_key(NAME, "a_txt"))
            time.sleep(0.01)
        return super().reply(request)


def test_a_file_does_not_wait_for_one_that_does_not_arrive(storage: Noting) -> None:
    with Waiting({"/a.txt": b"1\n", "/b.txt": b"2\n"}, storage) as server:
        files = [RemoteFile(f"{server.url}/{name}.txt") for name in "ab"]
        streams: dict[str, Any] = {"number": Array("int64"), "text": Text()}
        defined = Dataset(NAME, "Numbers.", streams, {"all": Split(work.lines, table=ForEach(files))})
        assert len(prepare(defined, storage=storage, jobs=1)["all"]) == 2  # type: ignore[arg-type]
        assert server.arrived


def test_files_of_one_digest_wait_for_the_first_alone(storage: Noting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_SECONDS", 1000.0)
    digest = f"sha256:{sha256_hex(b'1' + bytes([10]))}"
    with FaultyServer({f"/{k}.txt": b"1\n" for k in range(8)}) as server:
        files = [RemoteFile(f"{server.url}/{k}.txt", digest=digest, identifier=f"n{k}") for k in range(8)]
        streams: dict[str, Any] = {"number": Array("int64"), "text": Text()}
        defined = Dataset(NAME, "Numbers.", streams, {"all": Split(work.lines, table=ForEach(files))})
        assert len(prepare(defined, storage=storage, jobs=1)["all"]) == 8  # type: ignore[arg-type]
        assert len(server.requests) == 1
    assert storage.raw == [1, 7]
