"""Scratch: a folder of one's own, that goes with its owner."""

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Iterator

import pytest

from dataset_assets.errors import StorageError
from dataset_assets.scratch import DAY_SECONDS, scratch_folder, sweep

HOLD = """
import sys, time
from pathlib import Path
from dataset_assets.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "x").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "home" / "scratch"


@pytest.fixture
def holder(root: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process that holds a folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.wait()


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_it_is_there_and_then_it_is_gone(root: Path) -> None:
    with scratch_folder(root) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("x")
        assert len(names(root)) == 2
    assert names(root) == []


def test_it_is_gone_after_an_error_too(root: Path) -> None:
    with pytest.raises(KeyboardInterrupt), scratch_folder(root):
        raise KeyboardInterrupt
    assert names(root) == []


def test_two_in_one_process_do_not_meet(root: Path) -> None:
    with scratch_folder(root) as one, scratch_folder(root) as other:
        assert one != other
        sweep(root)
        assert one.is_dir()
        assert other.is_dir()
    assert names(root) == []


def test_that_of_a_living_process_stays_and_that_of_a_killed_one_goes(
    root: Path, holder: tuple[subprocess.Popen[str], Path]
) -> None:
    process, folder = holder
    with scratch_folder(root):
        assert (folder / "x").exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert folder.exists()
    sweep(root)
    assert names(root) == []


def test_locks_that_lock_nothing_take_no_folder_from_the_living(
    root: Path, holder: tuple[subprocess.Popen[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, folder = holder
    monkeypatch.setattr(fcntl, "flock", lambda *arguments: None)
    with scratch_folder(root) as mine:
        sweep(root)
        assert folder.exists()
        assert mine.exists()
    process.kill()
    process.wait()
    sweep(root)
    assert names(root) == []


def test_without_any_locks_it_works_all_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with scratch_folder(root) as folder:
        sweep(root)
        assert folder.exists()
    assert names(root) == []


def test_that_of_another_host_stays_for_a_day(root: Path) -> None:
    root.mkdir(parents=True)
    for name in ("elsewhere-1-abc", "1234-abc"):
        (root / name).mkdir()
        (root / f"{name}.lock").touch()
    sweep(root)
    assert len(names(root)) == 4
    old = time.time() - DAY_SECONDS - 60
    for lock in root.glob("*.lock"):
        os.utime(lock, (old, old))
    sweep(root)
    assert names(root) == []


def test_a_process_of_our_number_before_us_is_gone(root: Path) -> None:
    name = f"{re.sub('[^A-Za-z0-9]+', '_', os.uname().nodename)}-{os.getpid()}-abc"
    (root / name).mkdir(parents=True)
    (root / f"{name}.lock").touch()
    sweep(root)
    assert names(root) == []


def test_a_folder_without_a_lock_goes_when_it_is_old(root: Path) -> None:
    (root / "left").mkdir(parents=True)
    sweep(root)
    assert names(root) == ["left"]
    old = time.time() - DAY_SECONDS - 60
    os.utime(root / "left", (old, old))
    sweep(root)
    assert names(root) == []


class Leaving(Exception):
    pass


def test_a_forked_child_does_not_take_it_from_its_parent(root: Path) -> None:
    try:
        with scratch_folder(root) as folder:
            child = os.fork()
            if child == 0:
                raise Leaving
            os.waitpid(child, 0)
            assert folder.exists()
            sweep(root)
            assert folder.exists()
    except Leaving:
        os._exit(0)
    assert names(root) == []


def test_many_at_once_lose_nothing(root: Path) -> None:
    lost: list[Path] = []

    def work() -> None:
        for _ in range(30):
            with scratch_folder(root) as folder:
                (folder / "x").write_text("x")
                if not (folder / "x").exists():
                    lost.append(folder)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == []
    assert names(root) == []


def test_a_root_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError), scratch_folder(tmp_path / "file" / "scratch"):
        pass


def test_sweeping_nothing_is_no_error(tmp_path: Path) -> None:
    sweep(tmp_path / "nowhere")
    sweep(tmp_path)
