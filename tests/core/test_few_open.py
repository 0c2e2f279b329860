"""Thousands of files are read and written with the descriptors of a few, as if all were open."""

import gc
import os
import resource
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.core import files
from dataset_assets.core.few_open import descriptor, most, open_all

MANY = 300


@pytest.fixture(autouse=True, scope="module")
def few_descriptors() -> Iterator[None]:
    """Allow this process the descriptors that macOS does."""
    # What other tests left is closed before descriptors are counted.
    gc.collect()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("many")
    found = [folder / str(k) for k in range(MANY)]
    for k, path in enumerate(found):
        path.write_bytes(content(k))
    return found


def content(k: int) -> bytes:
    return f"file {k} ".encode() * 2000


def open_descriptors() -> int:
    # What tests before left in cycles would be closed at any time.
    gc.collect()
    return len(os.listdir("/dev/fd"))


@given(st.lists(st.tuples(st.integers(0, MANY - 1), st.integers(0, 20_000), st.integers(0, 9000)), max_size=60))
def test_each_file_reads_as_if_it_were_open_alone(paths: list[Path], steps: list[tuple[int, int, int]]) -> None:
    opened = open_all([partial(files.opened, path) for path in paths])
    places = dict.fromkeys(range(MANY), 0)
    for k, seek, count in steps:
        if seek % 2:
            places[k] = opened[k].seek(seek)
        assert opened[k].tell() == places[k]
        assert opened[k].read(count) == content(k)[places[k] : places[k] + count]
        places[k] = opened[k].tell()
    for file in opened:
        file.close()


def test_the_files_share_few_descriptors_and_give_them_back(paths: list[Path]) -> None:
    before = open_descriptors()
    opened = open_all([partial(files.opened, path) for path in paths])
    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(lambda file: file.read(), opened)] == [*map(content, range(MANY))]
    assert open_descriptors() - before <= most()
    for file in opened:
        file.close()
    assert open_descriptors() <= before
    with pytest.raises(ValueError, match="closed"):
        opened[0].read(1)


def test_a_descriptor_that_was_given_away_stays_that_of_its_file(paths: list[Path]) -> None:
    opened = open_all([partial(files.opened, path) for path in paths])
    number = opened[0].fileno()
    for file in opened[1:]:
        with descriptor(file) as other:
            assert other != number
    assert os.pread(number, 7, 0) == content(0)[:7]
    for file in opened:
        file.close()


def test_many_files_are_written_in_turns(tmp_path: Path) -> None:
    before = open_descriptors()
    written = [files.Written(tmp_path / str(k)) for k in range(MANY)]
    for part in (b"one ", b"two ", b"three"):
        for file in written:
            file.write(part)
    assert open_descriptors() - before <= most()
    for file in written:
        file.write_at(0, b"ONE")
        file.write(b"!")
        file.close()
    assert {(tmp_path / str(k)).read_bytes() for k in range(MANY)} == {b"ONE two three!"}
    assert open_descriptors() <= before


def test_more_files_are_opened_in_turn_and_each_once_if_it_is_read_and_closed(paths: list[Path]) -> None:
    seen: list[int] = []

    def opener(k: int) -> BinaryIO:
        seen.append(k)
        return files.opened(paths[k])

    opened = open_all([partial(opener, k) for k in range(MANY)])
    assert seen == [] and len(opened) == MANY
    for k, file in enumerate(opened):
        assert seen == [*range(k + 1)]
        assert file.read() == content(k)
        file.close()
    assert opened[-1] is opened[MANY - 1] and len(opened[5:8]) == 3
    assert seen == [*range(MANY)]
    with pytest.raises(IndexError):
        opened[MANY]
