"""Files: all of a write or a typed error, and a fail point in every call that changes the disk."""

import errno
import gc
import hashlib
import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from dataset_assets.core import files
from dataset_assets.core.files import Written
from dataset_assets.errors import NoSpace, StorageError
from dataset_assets.testing import DiskFault, counting, failing
from dataset_assets.testing.faults import DISK_FAULTS, installed
from dataset_assets.testing.storage import at_once


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


# Writing.


def test_what_is_written_is_in_the_file(path: Path) -> None:
    with Written(path) as file:
        assert file.write(b"one, ") == 5
        assert file.write(bytearray(b"two")) == 3
        assert file.tell() == file.bytes == 8
    assert path.read_bytes() == b"one, two"


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 3), ()])
def test_any_buffer_is_written_also_an_empty_one(path: Path, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, dtype="<i4")
    with Written(path) as file:
        assert file.write(array) == array.nbytes
    assert path.read_bytes() == array.tobytes()


def test_a_short_write_is_continued(path: Path) -> None:
    with installed(lambda operation, path, size: 3 if operation == "write" else None), Written(path) as file:
        file.write(b"0123456789")
        file.write_at(2, b"abcde")
    assert path.read_bytes() == b"01abcde789"


def test_writing_at_a_place_moves_no_end(path: Path) -> None:
    with Written(path) as file:
        file.write(b"....")
        file.write_at(0, b"ab")
        file.write(b"!")
    assert path.read_bytes() == b"ab..!"


def test_restarting_empties_the_file(path: Path) -> None:
    with Written(path) as file:
        file.write(b"a long beginning")
        file.restart()
        assert file.bytes == 0
        file.write(b"end")
    assert path.read_bytes() == b"end"


def test_an_existing_file_is_continued_from_what_is_kept_of_it(path: Path) -> None:
    path.write_bytes(b"abcdef")
    with Written(path, keep=3) as file:
        assert file.bytes == 3
        file.write(b"xy")
    assert path.read_bytes() == b"abcxy"
    link = path.with_name("link")
    link.symlink_to(path)
    with pytest.raises(StorageError):
        Written(link, keep=3)
    assert path.read_bytes() == b"abcxy"


def test_a_file_is_moved_over_another(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"new")
    (tmp_path / "old").write_bytes(b"old")
    files.move(path, tmp_path / "old")
    assert (tmp_path / "old").read_bytes() == b"new"
    assert not path.exists()


def test_a_file_that_exists_is_not_written_over(path: Path) -> None:
    path.write_bytes(b"old")
    with pytest.raises(StorageError) as caught:
        Written(path)
    assert caught.value.errno == errno.EEXIST
    assert path.read_bytes() == b"old"


def test_closing_twice_is_no_error(path: Path) -> None:
    file = Written(path)
    file.close()
    file.close()
    file.discard()


@pytest.mark.parametrize("fails", [True, False])
def test_no_file_stays_open(path: Path, fails: bool) -> None:
    # What other tests left is closed before descriptors are counted.
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises((StorageError, KeyError)), Written(path) as file:
        if not fails:
            raise KeyError("the block failed")
        with failing(1, "EIO"):
            file.close()
    assert len(os.listdir("/proc/self/fd")) == before


# Errors.


@pytest.mark.parametrize("number, kind", [("EIO", StorageError), ("ENOSPC", NoSpace), ("EDQUOT", NoSpace)])
def test_an_error_of_the_disk_is_typed_and_names_the_file(path: Path, number: DiskFault, kind: type[OSError]) -> None:
    with Written(path) as file, failing(1, number), pytest.raises(kind) as caught:
        file.write(b"x")
    assert type(caught.value) is kind and caught.value.errno == getattr(errno, number)
    assert str(path) in str(caught.value)


def test_what_is_missing_stays_a_file_not_found_error(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    for call in (files.renew, files.sync, files.sha256_of, lambda path: files.replace(path, tmp_path / "target")):
        with pytest.raises(FileNotFoundError):
            call(missing)
    for give in (files.link, files.copy):
        with pytest.raises(FileNotFoundError):
            give(missing, tmp_path / "target")
    files.remove(missing)


def test_copying_a_folder_is_one_typed_error(tmp_path: Path) -> None:
    for give in (files.link, files.copy):
        with pytest.raises(StorageError, match="Is a directory"):
            give(tmp_path, tmp_path / "target")


# Names.


def synced_by(path: Path, below: Path) -> list[tuple[str, str]]:
    """Make a folder; return what was done below another one."""
    done: list[tuple[str, Path]] = []
    with installed(lambda operation, path, size: done.append((operation, path))):
        files.make_folder(path)
    return [(operation, str(one.relative_to(below))) for operation, one in done if one.is_relative_to(below)]


def test_folders_are_made_with_those_above_and_forced_to_the_disk(tmp_path: Path) -> None:
    assert synced_by(tmp_path / "a/b", tmp_path) == [("mkdir", "a"), ("fsync", "."), ("mkdir", "a/b"), ("fsync", "a")]
    assert synced_by(tmp_path / "a/b", tmp_path) == []


def test_folders_of_a_killed_maker_are_forced_to_the_disk_once(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    assert synced_by(tmp_path / "a/b/c", tmp_path) == [
        ("fsync", "."), ("fsync", "a"), ("mkdir", "a/b/c"), ("fsync", "a/b"),
    ]  # fmt: skip
    shutil.rmtree(tmp_path / "a/b")
    (tmp_path / "a/other").mkdir()
    (tmp_path / "a/b").mkdir()
    assert synced_by(tmp_path / "a/b", tmp_path) == [("fsync", "a")]


def test_a_folder_below_one_of_somebody_else_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs/ours").mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path / "theirs")
    assert synced_by(tmp_path / "theirs/ours/a", tmp_path) == [("mkdir", "theirs/ours/a"), ("fsync", "theirs/ours")]


def test_many_folders_are_made_with_one_sync_of_the_folder_above(tmp_path: Path) -> None:
    (tmp_path / "a/there").mkdir(parents=True)
    done: list[tuple[str, Path]] = []
    with installed(lambda operation, path, size: done.append((operation, path))):
        files.make_folders([tmp_path / "a" / name for name in ("b", "there", "c", "c/d")])
    assert done.count(("fsync", tmp_path / "a")) == 2  # once for those in it, and once for c, which has d in it
    for path in (tmp_path / "a/b", tmp_path / "a/c"):
        assert done.index(("mkdir", path)) < len(done) - 1 - done[::-1].index(("fsync", tmp_path / "a"))
    assert done.index(("mkdir", tmp_path / "a/c/d")) < done.index(("fsync", tmp_path / "a/c"))
    with installed(lambda operation, path, size: done.append((operation, path))):
        done.clear()
        files.make_folders([tmp_path / "a/b", tmp_path / "a/there"])
    assert done == []


def test_a_folder_may_be_made_by_many_at_once(tmp_path: Path) -> None:
    at_once(8, lambda i: files.make_folder(tmp_path / "a/b/c/d"))
    assert (tmp_path / "a/b/c/d").is_dir()


def test_a_folder_is_not_made_where_a_file_is(path: Path) -> None:
    path.touch()
    for folder in (path, path / "a", path / "a/b"):
        with pytest.raises(StorageError):
            files.make_folder(folder)


def test_a_link_is_a_second_name(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"x")
    files.link(path, tmp_path / "second")
    assert path.samefile(tmp_path / "second")


def test_a_link_to_a_symbolic_link_names_the_file(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"x")
    (tmp_path / "symbolic").symlink_to(path)
    files.link(tmp_path / "symbolic", tmp_path / "second")
    assert not (tmp_path / "second").is_symlink() and path.samefile(tmp_path / "second")


def test_a_link_to_another_filesystem_is_a_copy(path: Path, tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second filesystem")
    source = other / f"dataset-assets-test-{os.getpid()}"
    source.write_bytes(bytes(3_000_000))
    try:
        files.link(source, path)
    finally:
        source.unlink()
    assert path.read_bytes() == bytes(3_000_000)


def test_replacing_keeps_what_is_open(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"old")
    (tmp_path / "new").write_bytes(b"new")
    with open(path, "rb") as file:
        files.replace(tmp_path / "new", path)
        assert file.read() == b"old"
    assert path.read_bytes() == b"new" and not (tmp_path / "new").exists()


def test_a_digest_is_of_the_whole_file(path: Path) -> None:
    data = os.urandom(files.CHUNK * 2 + 1)
    path.write_bytes(data)
    assert files.sha256_of(path) == hashlib.sha256(data).hexdigest()
    file = io.BytesIO(data)
    file.seek(100)
    assert files.sha256_in(file) == hashlib.sha256(data).hexdigest()
    assert b"".join(files.chunks_of(io.BytesIO(data), size=1000)) == data


# Fail points.


def test_every_read_and_change_passes_a_fail_point(path: Path, tmp_path: Path) -> None:
    passed: list[str] = []
    files.make_folder(tmp_path)
    with installed(lambda operation, path, size: passed.append(operation)):
        change_everything(tmp_path)
        files.sha256_of(tmp_path / "a/one")
    assert passed == [
        "mkdir", "fsync",
        "create", "write", "truncate", "write", "fsync",
        "link", "utime", "replace", "fsync", "unlink",
        "open", "read", "read", "read",
    ]  # fmt: skip


def change_everything(folder: Path) -> None:
    files.make_folder(folder / "a")
    with Written(folder / "a/one") as file:
        file.write(b"xxxx")
        file.restart()
        file.write_at(0, b"yyyy")
    files.link(folder / "a/one", folder / "a/two")
    files.renew(folder / "a/two")
    files.replace(folder / "a/two", folder / "a/three")
    files.remove(folder / "a/three")


@pytest.mark.parametrize("n", range(1, 13))
def test_the_call_that_is_asked_to_fail_does(tmp_path: Path, n: int) -> None:
    files.make_folder(tmp_path)
    with failing(n, "EIO") as calls, pytest.raises(StorageError):
        change_everything(tmp_path)
    assert calls.tripped and calls.calls == n


@pytest.mark.parametrize("fault", DISK_FAULTS)
def test_nothing_fails_when_there_are_fewer_calls(tmp_path: Path, fault: DiskFault) -> None:
    files.make_folder(tmp_path)
    with failing(13, fault) as calls:
        change_everything(tmp_path)
    assert not calls.tripped and calls.calls == 12


def test_a_short_write_is_cut_in_half_and_may_be_the_last(path: Path, tmp_path: Path) -> None:
    with failing(2, "short") as calls, Written(path) as file:
        file.write(b"0123456789")
    assert calls.tripped and calls.calls == 4
    assert path.read_bytes() == b"0123456789"
    with failing(2, "short-ENOSPC") as calls, pytest.raises(NoSpace), Written(tmp_path / "half") as file:
        file.write(b"0123456789")
    assert (tmp_path / "half").read_bytes() == b"01234"


def test_only_writes_are_cut(tmp_path: Path) -> None:
    files.make_folder(tmp_path)
    with failing(1, "short-ENOSPC") as calls:
        change_everything(tmp_path)
    assert calls.tripped and calls.calls == 12


def test_calls_of_all_threads_are_counted(tmp_path: Path) -> None:
    def remove(i: int) -> None:
        for _ in range(200):
            files.remove(tmp_path / "missing")

    with counting() as calls:
        at_once(8, remove)
    assert calls.calls == 1600


def test_reads_fail_where_they_are_to_and_with_nothing_but_an_io_error(path: Path) -> None:
    path.write_bytes(b"0123456789")
    with failing(1, "ENOSPC") as calls:
        assert files.opened(path).read(4) == b"0123"
    assert not calls.tripped
    for n in (1, 2):
        with failing(n, "ENOSPC", reads=True) as calls, pytest.raises(StorageError) as caught:
            files.opened(path).read(4)
        assert calls.struck == "EIO" and caught.value.errno == errno.EIO
    with failing(2, "short", reads=True) as calls, files.opened(path) as file:
        assert file.read(4) == b"0123" and calls.tripped


def test_hooks_end_with_their_block(tmp_path: Path) -> None:
    with counting() as outer:
        with counting() as inner:
            files.remove(tmp_path / "missing")
        files.remove(tmp_path / "missing")
    files.remove(tmp_path / "missing")
    assert (outer.calls, inner.calls) == (1, 1)
    assert files.hook is None


# Reading.


def test_a_file_that_cannot_be_read_is_a_storage_error_that_names_it(tmp_path: Path) -> None:
    # The kernel opens this file and fails to read it, as a worn disk does.
    worn = Path("/proc/self/mem")
    with files.opened(worn) as file, pytest.raises(StorageError, match="/proc/self/mem: Input/output error"):
        file.read(10)
    with pytest.raises(StorageError, match="/proc/self/mem"):
        files.sha256_of(worn)
    with pytest.raises(StorageError, match="Is a directory"):
        files.opened(tmp_path)
    with pytest.raises(FileNotFoundError):
        files.opened(tmp_path / "absent")
