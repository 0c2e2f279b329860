"""A stored dataset answers what is stored of it; what is damaged counts as absent only where that is asked for."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import BinaryIO

import pytest
import tiny

from dataset_assets import Dataset, prepare
from dataset_assets.core.canonical import sha256_hex
from dataset_assets.errors import DecodeError, NameNotAllowed, NotPrepared, StoredFileDamaged
from dataset_assets.storage import MemoryStorage
from dataset_assets.storage.keys import pointer_key, source_key, version_key
from dataset_assets.storage.part_record import PartRecord
from dataset_assets.storage.stored_dataset import READS_AT_ONCE, StoredDataset


@pytest.fixture
def stored(home: Path, dataset: Dataset) -> StoredDataset:
    storage = MemoryStorage()
    prepare(dataset, storage=storage)
    return StoredDataset(storage, tiny.NAME)


def test_opening_views_loads_no_connector(fast_path: Path) -> None:
    code = "import sys, dataset_assets.reading.views; print([m for m in sys.modules if '.connectors' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_door_still_gives_the_connectors_and_names_what_it_has_not() -> None:
    import dataset_assets.storage as door

    assert door.LocalStorage.__name__ in dir(door)
    with pytest.raises(AttributeError, match="CloudStorage"):
        _ = door.CloudStorage  # type: ignore[attr-defined]


def test_nothing_is_stored_of_a_dataset_that_was_not_prepared() -> None:
    stored = StoredDataset(MemoryStorage(), "org.example.nothing")
    assert stored.pointer() == (None, None) and stored.current() == (None, None, None)
    assert stored.versions() == set() and stored.listed().places == []
    assert stored.raw("numbers_csv") is None and not stored.has_version("0" * 64)
    with pytest.raises(NotPrepared):
        stored.version("0" * 64)
    with pytest.raises(NotPrepared):
        stored.index("train", "0" * 64)
    with pytest.raises(NameNotAllowed):
        StoredDataset(stored.storage, "no name")


def test_it_answers_with_what_prepare_stored(stored: StoredDataset) -> None:
    current = stored.current()
    assert current.version and current.digest and stored.versions() == {current.digest}
    assert stored.pointer() == (current.digest, current.pointer) and stored.has_version(current.digest)
    for split, digest in current.version.splits.items():
        stored.check_sizes(stored.index(split, digest))
    raw = stored.raw("numbers_csv")
    assert raw and stored.has_raw(raw) and stored.open_raw(raw).read() == tiny.NUMBERS


def test_a_damaged_pointer_raises_or_counts_as_absent(stored: StoredDataset) -> None:
    stored.storage.put(pointer_key(stored.name), b"nonsense")
    with pytest.raises(DecodeError):
        stored.pointer()
    # The digest of the damaged one is what `swap` expects.
    assert stored.pointer(damage_is_absence=True) == (None, sha256_hex(b"nonsense"))
    assert stored.current() == (None, None, sha256_hex(b"nonsense"))


def test_a_damaged_version_or_record_counts_as_absent(stored: StoredDataset) -> None:
    digest, pointer = stored.pointer()
    assert digest
    stored.storage.put(version_key(stored.name, digest), b"{}")
    stored.storage.put(source_key(stored.name, "numbers_csv"), b"{}")
    assert stored.current() == (None, None, pointer) and not stored.has_version(digest)
    assert stored.raw("numbers_csv") is None


def test_a_stream_that_is_gone_or_cut_is_named(stored: StoredDataset) -> None:
    version = stored.current().version
    assert version
    index = stored.index("train", version.splits["train"])
    key = index.key_of("text", index.streams["text"].files[0])
    stored.storage.put(key, b"cut")
    with pytest.raises(StoredFileDamaged, match=f"Stream text of {tiny.NAME}, split train, file {key} .* has 3 bytes"):
        stored.check_sizes(index)
    stored.storage.delete(key)
    with pytest.raises(StoredFileDamaged, match="is gone"):
        stored.check_sizes(index)


class Met(MemoryStorage):
    """Answers for a record of a part when so many are asked for at once."""

    def __init__(self, many: int) -> None:
        super().__init__()
        self.barrier = threading.Barrier(many)

    def get(self, key: str) -> BinaryIO:
        if "/parts/" in key:
            self.barrier.wait(60)
        return super().get(key)


def test_records_of_parts_are_read_several_at_once() -> None:
    stored = StoredDataset(Met(READS_AT_ONCE), tiny.NAME)
    records = [PartRecord("train", sha256_hex(b"%d" % k), 0, 0, (), {}) for k in range(2 * READS_AT_ONCE)]
    stored.put_parts(records)
    found = stored.parts("train", [record.recipe for record in reversed(records)])
    assert [*found] == [record.recipe for record in reversed(records)]
    assert found == {record.recipe: record for record in records}
