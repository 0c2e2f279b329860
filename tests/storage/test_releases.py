"""Publishing: data, then the index, then the pointer; and what was published before is found again."""

from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from dataset_assets import Dataset, RemoteFile, load, prepare
from dataset_assets.core.canonical import digest_of
from dataset_assets.errors import DigestMismatch, NotPrepared, StoredFileDamaged
from dataset_assets.making.existing import made_split, publish_split
from dataset_assets.making.raw_files import check_raw, is_as_meant, made_raw, meant_raw, recorded_raw
from dataset_assets.making.steps import StagedSplit
from dataset_assets.reading.stored_files import index_of
from dataset_assets.storage import MemoryStorage
from dataset_assets.storage.keys import index_key, pointer_key, source_key, stream_key
from dataset_assets.storage.pins import pin
from dataset_assets.storage.raw_files import RawFile
from dataset_assets.storage.releases import release
from dataset_assets.storage.stored_dataset import StoredDataset


class Logged(MemoryStorage):
    """A storage that keeps the order of what was put; `taken` vanishes after it was put for the first time."""

    def __init__(self, taken: str = "") -> None:
        super().__init__()
        self.puts: list[str] = []
        self.taken = taken

    def put(self, key: str, source: Path | bytes) -> None:
        super().put(key, source)
        self.puts.append(key)
        if self.taken and self.taken in key:
            # A collector that saw no index of this file.
            self.delete(key)
            self.taken = ""

    def swap(self, key: str, new: bytes, expected: str | None) -> bool:
        self.puts.append(key)
        return super().swap(key, new, expected)


def test_the_index_comes_after_its_data_and_the_pointer_last(home: Path, dataset: Dataset) -> None:
    storage = Logged()
    prepare(dataset, storage=storage)
    kinds = [key.removeprefix("org/example/tiny/").rsplit("/", 1)[0] for key in storage.puts]
    streams = len(tiny.STREAMS)
    assert kinds[:4] == ["raw/numbers_csv", "raw/numbers_csv", "raw/backwards_csv", "raw/backwards_csv"]
    assert storage.puts[1].endswith("source.json")
    assert set(kinds[4 : 4 + streams]) == {f"train/{stream}" for stream in tiny.STREAMS}
    # Before an index comes the note of its recipe. The index of the first split proves the bytes of the file, which its
    # record says from then on.
    assert kinds[4 + streams : 7 + streams] == ["train/index", "train/index", "raw/numbers_csv"]
    note, index = storage.puts[4 + streams : 6 + streams]
    assert note.startswith(index.removesuffix(".json") + ".")
    assert kinds[7 + 2 * streams] == "test/index"
    assert kinds[-2:] == ["versions", "current.json"]
    assert len(kinds) == 11 + 2 * streams


def test_a_stream_that_was_collected_before_its_index_was_there_is_put_again(home: Path, dataset: Dataset) -> None:
    storage = Logged(taken="train/text/")
    assert tiny.plain(prepare(dataset, storage=storage)) == tiny.expected()


def test_a_release_that_is_current_already_writes_nothing(home: Path, dataset: Dataset) -> None:
    storage = Logged()
    views = prepare(dataset, storage=storage)
    version, digest, pointer = StoredDataset(storage, tiny.NAME).current()
    assert version is not None
    puts = len(storage.puts)
    assert release(StoredDataset(storage, tiny.NAME), version, pointer) == digest == views["train"].version
    assert len(storage.puts) == puts


def test_what_was_made_is_found_by_its_recipe_also_when_it_is_not_released(home: Path, dataset: Dataset) -> None:
    storage = Logged()
    first = prepare(dataset, storage=storage)
    index = index_of(first["train"])  # type: ignore[arg-type]
    prepare(replace(dataset, version="2"), storage=storage)
    found = made_split(StoredDataset(storage, dataset.name), "train", index.recipe)
    assert found is not None and (found.index, found.digest) == (index, first["train"].origin.index)
    assert made_split(StoredDataset(storage, dataset.name), "train", "0" * 64) is None
    assert made_split(StoredDataset(storage, dataset.name), "test", index.recipe) is None


def test_a_split_that_lost_a_file_counts_as_not_made(home: Path, dataset: Dataset) -> None:
    storage = MemoryStorage()
    index = index_of(prepare(dataset, storage=storage)["train"])  # type: ignore[arg-type]
    stream = index.streams["text"]
    storage.delete(stream_key(tiny.NAME, "train", "text", stream.files[0].sha256, stream.suffix))
    assert made_split(StoredDataset(storage, dataset.name), "train", index.recipe) is None


def test_an_index_is_named_by_its_digest(home: Path, dataset: Dataset) -> None:
    storage = MemoryStorage()
    view = prepare(dataset, storage=storage)["train"]
    index = index_of(view)  # type: ignore[arg-type]
    assert digest_of(index) == view.origin.index
    assert storage.exists(index_key(tiny.NAME, "train", digest_of(index)))
    other = publish_split(StoredDataset(storage, tiny.NAME), StagedSplit(replace(index, streams={}), {}))
    assert StoredDataset(storage, tiny.NAME).index("train", other).streams == {}


def test_raw_files_are_known_by_record_bytes_and_definition(home: Path, dataset: Dataset) -> None:
    storage = MemoryStorage()
    prepare(dataset, storage=storage)
    file = dataset.remote_files["numbers_csv"]
    raw = meant_raw(StoredDataset(storage, dataset.name), file)
    assert raw is not None
    assert (raw.name, raw.bytes, raw.url, raw.digest) == (
        "numbers_csv",
        len(tiny.NUMBERS),
        tiny.NOWHERE + "numbers.csv",
        None,
    )
    assert raw.source.url.endswith("/published/numbers.csv")
    assert raw.retrieved
    assert StoredDataset(storage, dataset.name).has_raw(raw)
    check_raw(StoredDataset(storage, dataset.name), raw)
    assert meant_raw(StoredDataset(storage, dataset.name), replace(file, digest=f"sha256:{raw.sha256}")) == raw
    assert meant_raw(StoredDataset(storage, dataset.name), replace(file, digest="md5:" + "0" * 32)) is None
    moved = RemoteFile("https://example.org/numbers.csv")
    assert meant_raw(StoredDataset(storage, dataset.name), moved) is None
    assert recorded_raw(StoredDataset(storage, dataset.name), moved) is None
    assert made_raw(StoredDataset(storage, dataset.name), "backwards_csv", "0" * 64) is None


def test_raw_files_that_are_gone_or_damaged_are_said(home: Path, dataset: Dataset) -> None:
    storage = MemoryStorage()
    prepare(dataset, storage=storage)
    raw = StoredDataset(storage, tiny.NAME).raw("numbers_csv")
    assert isinstance(raw, RawFile)
    key = f"org/example/tiny/raw/numbers_csv/{raw.sha256}"
    storage.put(key, tiny.CHANGED)
    with pytest.raises(DigestMismatch, match=f"raw file {key}"):
        check_raw(StoredDataset(storage, dataset.name), raw)
    storage.delete(key)
    with pytest.raises(NotPrepared, match=f"raw file {key} is gone"):
        check_raw(StoredDataset(storage, dataset.name), raw)
    file = dataset.remote_files["numbers_csv"]
    assert not is_as_meant(StoredDataset(storage, dataset.name), file, raw)
    assert is_as_meant(StoredDataset(storage, dataset.name), replace(file, keep=False), raw)
    assert recorded_raw(StoredDataset(storage, dataset.name), dataset.remote_files["numbers_csv"]) == raw


def test_a_lost_record_is_replaced_by_what_the_release_says(home: Path, dataset: Dataset) -> None:
    storage = MemoryStorage()
    prepare(dataset, storage=storage)
    raw = StoredDataset(storage, tiny.NAME).raw("numbers_csv")
    assert raw is not None
    storage.delete(source_key(tiny.NAME, "numbers_csv"))
    found = recorded_raw(StoredDataset(storage, dataset.name), dataset.remote_files["numbers_csv"])
    assert found is not None
    assert (found.sha256, found.bytes, found.url) == (raw.sha256, raw.bytes, raw.url)
    assert recorded_raw(StoredDataset(storage, dataset.name), RemoteFile("https://example.org/numbers.csv")) is None


def test_a_version_names_its_splits_and_findings(home: Path, dataset: Dataset) -> None:
    storage = MemoryStorage()
    views = prepare(dataset, storage=storage)
    digest, _ = StoredDataset(storage, tiny.NAME).pointer()
    version = StoredDataset(storage, tiny.NAME).version(str(digest))
    assert dict(version.splits) == {split: view.origin.index for split, view in views.items()}
    assert [finding.check for finding in version.findings] == [
        "train.counts",
        "train.schema",
        "train.classes",
        "test.counts",
        "test.schema",
        "test.classes",
        "leakage",
    ]
    assert load(tiny.NAME, "test", storage=storage).version == digest


def test_a_version_that_was_there_before_stays_when_it_cannot_be_released(dataset: Dataset, home: Path) -> None:
    storage = MemoryStorage()
    first = prepare(dataset, storage=storage)["train"]
    version, digest = StoredDataset(storage, dataset.name).version(str(first.version)), str(first.version)
    pin(f"{dataset.name}@{digest}", storage)
    storage.delete(pointer_key(dataset.name))
    storage.delete(next(key for key in storage.list("") if "/train/label/" in key))
    stored = StoredDataset(storage, dataset.name)
    with pytest.raises(StoredFileDamaged):
        release(stored, version, None)
    assert stored.version(digest) == version and stored.pointer().version is None
