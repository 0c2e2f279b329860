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
from typing import Callable, Iterator

import pytest

from dataset_assets.core.scratch import (
    DAY_SECONDS,
    MARKER,
    NOTE,
    kept_folder,
    leftovers,
    problem,
    root_below,
    scratch_folder,
    sweep,
)
from dataset_assets.errors import Refused, StorageError

HOLD = """
import sys, time
from pathlib import Path
from dataset_assets.core.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "x").write_text("x")
    print(folder, flush=True)
    time.sleep(600)
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


def left_by(root: Path, host: str, process: int, marked: bool = True) -> Path:
    """Leave what a killed process leaves: a folder with something in it, and its lock."""
    folder = root / f"{host}-{process}-0123456789ab"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").write_text("x")
    if marked:
        (folder / MARKER).touch()
    folder.with_suffix(".lock").touch()
    return folder


def age(*paths: Path) -> None:
    old = time.time() - DAY_SECONDS - 60
    for path in paths:
        os.utime(path, (old, old), follow_symlinks=False)


HOST = re.sub("[^A-Za-z0-9]+", "_", os.uname().nodename)
GONE = 2**22 + 1
"""The number of a process that no system gives."""


def test_that_of_another_host_stays_for_a_day(root: Path) -> None:
    left_by(root, "elsewhere", 1)
    left_by(root, "1234", 1)
    sweep(root)
    assert len(names(root)) == 4
    age(*root.glob("*.lock"))
    sweep(root)
    assert names(root) == []


def test_a_process_of_our_number_before_us_is_gone(root: Path) -> None:
    left_by(root, HOST, os.getpid())
    sweep(root)
    assert names(root) == []


def test_a_folder_without_a_lock_goes_when_it_is_old(root: Path) -> None:
    folder = left_by(root, HOST, GONE)
    folder.with_suffix(".lock").unlink()
    sweep(root)
    assert names(root) == [folder.name]
    age(folder)
    sweep(root)
    assert names(root) == []


# What is not ours.


def stranger(path: Path) -> Path:
    """Make somebody's folder, three days old."""
    path.mkdir(parents=True)
    (path / "results").write_text("three years")
    age(path / "results", path)
    return path


@pytest.fixture
def used(root: Path) -> Path:
    """A root that was used before others put something into it."""
    with scratch_folder(root):
        pass
    return root


@pytest.mark.parametrize("name", ["thesis", "2024-11-29", f"{HOST}-{GONE}-0123456789ab", "elsewhere-1-0123456789ab"])
def test_what_others_put_there_is_left_and_said_once(used: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    theirs = stranger(used / name)
    (used / "thesis.lock").touch()
    age(used / "thesis.lock")
    for _ in range(2):
        with scratch_folder(used) as folder:
            sweep(used)
            assert folder.is_dir()
    assert (theirs / "results").read_text() == "three years"
    assert names(used) == sorted([name, "thesis.lock"])
    [said] = caplog.records
    assert "dataset_assets did not make" in said.getMessage() and str(used) in said.getMessage()


def test_a_folder_of_our_name_without_a_marker_is_left_with_its_lock(used: Path) -> None:
    folder = left_by(used, HOST, GONE, marked=False)
    sweep(used)
    assert names(used) == [folder.name, f"{folder.name}.lock"]
    assert (folder / "sub" / "file").exists()


def test_a_folder_whose_maker_was_killed_before_it_was_marked_goes(used: Path) -> None:
    folder = used / f"{HOST}-{GONE}-0123456789ab"
    folder.mkdir()
    folder.with_suffix(".lock").touch()
    sweep(used)
    assert names(used) == []


@pytest.mark.parametrize("entry", ["thesis", "notes.lock"])
def test_a_folder_that_others_use_is_refused_with_the_setting_to_change(root: Path, entry: str) -> None:
    stranger(root / entry)
    with pytest.raises(Refused, match=f"{entry}, which dataset_assets did not make.*Set DATASET_ASSETS_HOME"):
        scratch_folder(root).__enter__()
    sweep(root)
    assert names(root) == [entry]


def test_a_root_that_is_a_link_is_refused(root: Path, tmp_path: Path) -> None:
    theirs = stranger(tmp_path / "disk" / "docs")
    left_by(tmp_path / "disk", HOST, GONE)
    root.parent.mkdir()
    for target in (tmp_path / "disk", tmp_path / "nowhere"):
        root.unlink(missing_ok=True)
        root.symlink_to(target)
        with pytest.raises(Refused, match="is a link to .*Set DATASET_ASSETS_HOME"):
            scratch_folder(root).__enter__()
        sweep(root)
        assert leftovers(root) == []
    assert (theirs / "results").exists() and len(names(tmp_path / "disk")) == 3
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_root_of_another_user_is_refused(root: Path) -> None:
    root.mkdir(parents=True)
    os.chown(root, 65534, 65534)
    with pytest.raises(Refused, match="belongs to another user .id 65534.*DATASET_ASSETS_HOME"):
        scratch_folder(root).__enter__()
    assert names(root) == []
    os.chown(root.parent, 65534, 65534)
    with scratch_folder(root):
        assert len(names(root)) == 2, "whose home it is may have made it"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_users_who_share_a_storage_have_a_root_each(tmp_path: Path) -> None:
    assert root_below(tmp_path) == tmp_path / ".scratch"
    (tmp_path / ".scratch").mkdir()
    assert root_below(tmp_path) == tmp_path / ".scratch"
    os.chown(tmp_path / ".scratch", 65534, 65534)
    assert root_below(tmp_path) == tmp_path / ".scratch-0"
    (tmp_path / ".scratch").rmdir()
    (tmp_path / ".scratch").symlink_to(tmp_path)
    assert root_below(tmp_path) == tmp_path / ".scratch", "a link is refused, and not passed by"


def test_a_home_of_an_earlier_release_goes_on(root: Path) -> None:
    left = left_by(root, HOST, GONE, marked=False)
    (root / "lost+found").mkdir()
    with scratch_folder(root) as folder:
        assert folder.is_dir()
    assert names(root) == ["lost+found", left.name, f"{left.name}.lock"]


def test_links_in_place_of_a_folder_or_a_lock_are_not_followed(used: Path, tmp_path: Path) -> None:
    theirs = stranger(tmp_path / "disk")
    (theirs / MARKER).touch()
    for number in (1, 2):
        name = f"{HOST}-{GONE}-00000000000{number}"
        (used / name).symlink_to(theirs)
        (used / f"{name}.lock").touch() if number == 1 else (used / f"{name}.lock").symlink_to(theirs / "results")
    age(*used.iterdir())
    sweep(used)
    assert (theirs / "results").read_text() == "three years" and (theirs / MARKER).exists()
    assert len(names(used)) == 4


def test_links_inside_are_removed_and_not_followed(used: Path, tmp_path: Path) -> None:
    theirs = stranger(tmp_path / "disk")
    with scratch_folder(used) as folder:
        (folder / "sub").mkdir()
        for link in (folder / "link", folder / "sub" / "link"):
            link.symlink_to(theirs)
    assert names(used) == [] and (theirs / "results").exists()


def test_a_lock_with_something_in_it_is_not_ours(used: Path) -> None:
    notes = used / f"{HOST}-{GONE}-0123456789ab.lock"
    notes.write_text("three years")
    age(notes)
    sweep(used)
    assert notes.read_text() == "three years"


def test_names_of_others_reach_no_terminal_as_they_are(root: Path) -> None:
    stranger(root / "a\x1b]0;owned\x07")
    with pytest.raises(Refused) as caught:
        scratch_folder(root).__enter__()
    assert str(caught.value).isprintable()


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


@pytest.mark.parametrize("make", [Path.touch, os.mkfifo])
def test_a_root_that_is_no_folder_is_refused_and_doctor_says_so(root: Path, make: Callable[[Path], None]) -> None:
    root.parent.mkdir()
    make(root)
    with pytest.raises(Refused, match="is not a folder.* DATASET_ASSETS_HOME"), scratch_folder(root):
        pass
    assert "is not a folder" in (problem(root) or "")


# --- folders that are kept for the next process


def test_a_kept_folder_stays_while_it_has_a_note(root: Path) -> None:
    with kept_folder(root, "https://a.example/x?token=1", 1) as folder:
        assert folder is not None
        (folder / "x").write_text("x")
    assert names(root) == []
    with kept_folder(root, "a", 1) as folder:
        assert folder is not None
        (folder / NOTE).write_text("x")
    sweep(root)
    assert leftovers(root) == []
    with kept_folder(root, "b", 1) as other, kept_folder(root, "a", 1) as again:
        assert again == folder != other
        assert again is not None and (again / NOTE).read_text() == "x"
        (again / NOTE).unlink()
    assert names(root) == []


def test_a_kept_folder_goes_after_a_day_or_without_its_note_but_not_while_it_is_used(root: Path) -> None:
    with kept_folder(root, "a", 1) as folder:
        assert folder is not None
        sweep(root)
        assert folder.is_dir()
        (folder / NOTE).touch()
        age(folder / NOTE, folder.with_suffix(".lock"))
        sweep(root)
        assert folder.is_dir()
    assert leftovers(root) == [folder]
    sweep(root)
    assert names(root) == []
    left = left_by(root, "kept", 0)
    sweep(root)
    assert not left.exists() and names(root) == []


def test_a_kept_folder_is_given_to_one_at_a_time(root: Path) -> None:
    given: list[int] = []

    def take(number: int) -> None:
        with kept_folder(root, "a", 60) as folder:
            assert folder is not None
            with open(folder / "alone", "x"):
                time.sleep(0.02)
            (folder / "alone").unlink()
            given.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == [0, 1, 2, 3, 4]
    assert names(root) == []


def test_a_kept_folder_is_not_waited_for_without_end(root: Path) -> None:
    taken = threading.Event()
    done = threading.Event()

    def hold() -> None:
        with kept_folder(root, "a", 1):
            taken.set()
            done.wait(250)

    holder = threading.Thread(target=hold)
    holder.start()
    assert taken.wait(60)
    with kept_folder(root, "a", 0.2) as folder:
        assert folder is None
    done.set()
    holder.join()
    with kept_folder(root, "a", 1) as one, kept_folder(root, "a", 60) as again:
        assert one is not None and again is None
    assert names(root) == []


@pytest.mark.parametrize("error", [None, OSError(errno.ENOLCK, "No locks available")])
def test_without_locks_that_lock_no_folder_is_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch, error: OSError | None
) -> None:
    def flock(*arguments: object) -> None:
        if error:
            raise error

    monkeypatch.setattr(fcntl, "flock", flock)
    with kept_folder(root, "a", 1) as folder:
        assert folder is None
    assert names(root) == []


def test_a_link_is_no_kept_folder(root: Path, tmp_path: Path) -> None:
    with kept_folder(root, "a", 1) as folder:
        assert folder is not None
    folder.symlink_to(tmp_path)
    with kept_folder(root, "a", 1) as again:
        assert again is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]
