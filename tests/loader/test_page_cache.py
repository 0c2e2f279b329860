import mmap
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dataset_assets import Array, Columns, Dataset, Split, prepare
from dataset_assets.loader.page_cache import PAGE, PageCache, available_memory, is_cold
from dataset_assets.loader.reader import mapped

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pages are asked for on Linux only")
ROWS, WIDTH = 16_384, 4096


def evict(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def opened(path: Path) -> np.ndarray:
    with open(path, "rb") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8).reshape(ROWS, WIDTH)


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder on a disk: temporary ones may lie in memory."""
    with tempfile.TemporaryDirectory(dir="/var/tmp" if os.access("/var/tmp", os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture
def cold(disk: Path) -> Iterator[np.ndarray]:
    """64 MB on a disk, not in memory."""
    path = disk / "rows"
    path.write_bytes(random.Random(0).randbytes(ROWS * WIDTH))
    evict(path)
    array = opened(path)
    if not is_cold([array]):
        pytest.skip("this filesystem keeps files in memory")
    yield array


def wait_until_read(array: np.ndarray) -> None:
    deadline = time.monotonic() + 60
    while is_cold([array]):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_file_that_fits_in_memory_is_read_whole_after_the_first_rows_are_expected(cold: np.ndarray) -> None:
    page_cache = PageCache([[cold]])
    assert page_cache.active and is_cold([cold])
    page_cache.expect(np.arange(8))
    wait_until_read(cold)


def test_of_a_file_that_does_not_fit_only_the_expected_rows_are_read(cold: np.ndarray) -> None:
    page_cache = PageCache([[cold]], available=0)
    rows = np.arange(0, ROWS, 16)
    page_cache.expect(rows)
    deadline = time.monotonic() + 60
    while any(is_cold([cold[row : row + 1]]) for row in rows[::50]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_cold([cold])
    assert not any(is_cold([cold[row : row + 1]]) for row in rows[::50])


def test_a_stream_of_several_files_is_read_as_one(cold: np.ndarray) -> None:
    parts = [cold[: ROWS // 4], cold[ROWS // 4 : ROWS // 2], cold[ROWS // 2 :]]
    page_cache = PageCache([parts], available=0)
    page_cache.expect(np.array([5, ROWS // 2 + 7, ROWS // 4 + 3, ROWS - 1]))
    deadline = time.monotonic() + 60
    rows = [parts[0][5:6], parts[1][3:4], parts[2][7:8], parts[2][-1:]]
    while is_cold(rows) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_cold(rows) and is_cold([cold])
    page_cache = PageCache([parts])
    page_cache.expect(np.arange(8))
    wait_until_read(cold)


def large() -> Iterator[Columns]:
    yield Columns(x=np.arange(400_000))


def test_the_loader_reads_ahead_in_all_files_of_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_ASSETS_FILE_BYTES", "1000000")
    dataset = Dataset("org.example.large", "L.", {"x": Array()}, {"all": Split(large)})
    view = prepare(dataset, storage=tmp_path.as_uri())["all"]
    arrays = mapped(view.columns["x"])
    assert len(arrays) == 4 and np.array_equal(np.concatenate(arrays), np.arange(400_000))


def test_nothing_is_done_for_what_is_in_memory(cold: np.ndarray) -> None:
    assert not PageCache([[np.zeros((ROWS, WIDTH), np.uint8) + 1]]).active
    cold.sum()
    assert not PageCache([[cold]]).active
    assert not PageCache([[np.zeros(3)]]).active


def test_reading_ahead_stops_when_the_epoch_is_closed(cold: np.ndarray) -> None:
    page_cache = PageCache([[cold]], available=0)
    page_cache.close()
    assert not page_cache.active
    page_cache.expect(np.arange(ROWS))
    assert is_cold([cold])


def test_the_memory_that_may_be_used_is_less_than_the_machine_has() -> None:
    whole = os.sysconf("SC_PHYS_PAGES") * PAGE
    assert 0 < available_memory() < whole
