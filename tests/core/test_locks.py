"""Locks: their files may be anybody's, and what is in them stays as it is."""

import os
import threading
from pathlib import Path

import pytest

from dataset_assets.core import locks
from dataset_assets.core.scratch import scratch_folder
from dataset_assets.errors import Refused, StorageError
from dataset_assets.orchestration.instance import history
from dataset_assets.storage import LocalStorage
from dataset_assets.testing.storage import sha256

THEIRS = b"export IMPORTANT=1\n" * 100


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_bytes(THEIRS)
    return path


def test_a_lock_is_made_and_excludes_others(tmp_path: Path) -> None:
    with locks.opened(tmp_path / ".a.lock") as one, locks.opened(tmp_path / ".a.lock") as other:
        assert locks.taken(one) and not locks.taken(other)
        locks.sign(one)
        assert locks.holder(other) == f"process {os.getpid()} on {os.uname().nodename}"
        locks.release(one)
        assert locks.taken(other)
        locks.sign(other)


@pytest.mark.parametrize("planted", ["link", "link to nothing", "folder", "pipe"])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, victim: Path, planted: str) -> None:
    lock = tmp_path / ".a.lock"
    if planted == "folder":
        lock.mkdir()
    elif planted == "pipe":
        os.mkfifo(lock)
    else:
        lock.symlink_to(victim if planted == "link" else tmp_path / "nothing")
    with pytest.raises(Refused, match=r"\.a\.lock is (a link|not a plain file).*remove it"):
        locks.opened(lock)
    assert victim.read_bytes() == THEIRS and not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("planted", ["hard link", "notes", "long zeros"])
def test_a_file_of_others_is_locked_and_not_written(tmp_path: Path, victim: Path, planted: str) -> None:
    lock = tmp_path / ".a.lock"
    if planted == "long zeros":
        victim.write_bytes(bytes(5000))
    elif planted == "hard link":
        victim.write_bytes(b"process 1 on purpose\n")
    held = victim.read_bytes()
    os.link(victim, lock) if planted == "hard link" else victim.rename(lock)
    with locks.opened(lock) as file:
        assert locks.taken(file)
        locks.sign(file)
    assert lock.read_bytes() == held


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_lock_that_may_only_be_read_is_a_lock_all_the_same(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder.stat().st_uid == 0 and folder != Path("/tmp"):
            folder.chmod(0o755)
    lock = tmp_path / ".a.lock"
    lock.write_bytes(b"")
    child = os.fork()
    if child == 0:
        os.seteuid(65534)
        with locks.opened(lock) as file:
            os._exit(0 if locks.taken(file) and not locks.sign(file) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert lock.read_bytes() == b""


def test_many_that_make_one_at_once_have_the_same(tmp_path: Path) -> None:
    found: list[int] = []

    def make() -> None:
        with locks.opened(tmp_path / ".a.lock") as file:
            found.append(os.fstat(file.fileno()).st_ino)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len({*found}) == 1


# Wherever locks are made.


def test_a_swap_in_a_shared_storage_writes_through_no_link(tmp_path: Path, victim: Path) -> None:
    storage = LocalStorage(tmp_path / "store")
    storage.put("a/b", b"x")
    (storage.root / "a/.c.lock").symlink_to(victim)
    with pytest.raises(Refused):
        storage.swap("a/c", b"y", None)
    assert victim.read_bytes() == THEIRS and not storage.exists("a/c")
    os.link(victim, storage.root / "a/.b.lock")
    assert storage.swap("a/b", b"y", sha256(b"x"))
    assert victim.read_bytes() == THEIRS


def test_the_lock_of_dagsters_history_writes_through_no_link(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster/.dataset_assets_lock").symlink_to(victim)
    with pytest.raises(Refused), history():
        pass
    assert victim.read_bytes() == THEIRS


def test_dagsters_configuration_is_written_through_no_link(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    (tmp_path / "dagster").mkdir()
    (tmp_path / f"dagster/.dagster.yaml.{os.getpid()}").symlink_to(victim)
    with history() as home:
        assert "telemetry" in (home / "dagster.yaml").read_text()
    assert victim.read_bytes() == THEIRS


def test_a_refusal_is_not_taken_for_a_failing_disk(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/.scratch").symlink_to(tmp_path)
    with pytest.raises(Refused) as caught, scratch_folder(tmp_path / "store/.scratch"):
        pass
    assert not isinstance(caught.value, StorageError) and "DATASET_ASSETS_STORAGE" in str(caught.value)


def test_only_this_module_locks_by_the_kernel() -> None:
    package = Path(locks.__file__).parents[1]
    using = [path for path in package.rglob("*.py") if "fcntl" in path.read_text()]
    assert using == [Path(locks.__file__)]
