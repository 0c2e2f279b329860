"""Marks: what was found out about a file is remembered, and forgotten when the file changes."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from counting import calls

from dataset_assets.core import marks
from dataset_assets.core.marks import once, remember, remembered
from dataset_assets.testing.faults import installed


@pytest.fixture
def file(fast_path: Path) -> Path:
    path = fast_path / "file"
    path.write_bytes(b"right")
    return path


def table(home: Path) -> Path:
    return home / f".marks-{os.geteuid()}"


def in_another_process(purpose: str, path: Path) -> bool:
    code = "import sys; from pathlib import Path; from dataset_assets.core.marks import remembered; "
    code += "print(remembered(sys.argv[1], Path(sys.argv[2])))"
    run = subprocess.run([sys.executable, "-c", code, purpose, str(path)], capture_output=True, text=True, check=True)
    return run.stdout == "True\n"


def test_what_was_remembered_is_known_to_other_processes_for_its_purpose_alone(home: Path, file: Path) -> None:
    assert not remembered("whole", file)
    remember("whole", file)
    assert remembered("whole", file) and in_another_process("whole", file)
    assert not remembered("valid", file)


def overwrite(path: Path) -> None:
    info = path.stat()
    path.write_bytes(b"wrong")
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def exchange(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"wrong")
    os.replace(other, path)


def touch(path: Path) -> None:
    os.utime(path)


@pytest.mark.parametrize("change", [overwrite, exchange, touch])
def test_a_file_that_changed_at_the_next_moment_is_not_known(home: Path, file: Path, change: Any) -> None:
    for _ in range(20):
        remember("whole", file)
        assert remembered("whole", file)
        change(file)
        assert not remembered("whole", file)


def test_once_looks_once_and_again_after_a_failure_or_a_change(home: Path, file: Path) -> None:
    looked: list[bytes] = []

    def look() -> None:
        looked.append(file.read_bytes())
        if looked[-1] != b"right":
            raise ValueError

    once("whole", file, look)
    once("whole", file, look)
    assert looked == [b"right"]
    overwrite(file)
    for _ in range(2):
        with pytest.raises(ValueError):
            once("whole", file, look)
    assert len(looked) == 3


def test_a_file_that_changes_while_it_is_looked_at_is_not_remembered(home: Path, file: Path) -> None:
    once("whole", file, lambda: overwrite(file))
    assert not remembered("whole", file)
    seen = os.stat(file)
    overwrite(file)
    remember("whole", file, seen=seen)
    assert not remembered("whole", file)


def test_marks_of_another_key_are_not_believed(home: Path, file: Path) -> None:
    remember("whole", file)
    forged = bytearray(table(home).read_bytes())
    forged[32:64] = bytes(32)
    table(home).write_bytes(forged)
    assert not remembered("whole", file)


def test_a_table_whose_key_others_can_read_is_made_anew(home: Path, file: Path) -> None:
    remember("whole", file)
    table(home).chmod(0o644)
    assert not remembered("whole", file)
    remember("whole", file)
    assert remembered("whole", file) and table(home).stat().st_mode & 0o777 == 0o600


def test_a_table_that_a_crash_cut_is_made_anew(home: Path, file: Path) -> None:
    for size in (0, 40):
        remember("whole", file)
        os.truncate(table(home), size)
        assert not remembered("whole", file)
    remember("whole", file)
    assert remembered("whole", file)


@pytest.mark.parametrize("planted", ["link", "hard link", "notes"])
def test_a_stranger_in_its_place_is_neither_followed_nor_written(home: Path, file: Path, planted: str) -> None:
    home.mkdir(parents=True, exist_ok=True)
    victim = home / "victim"
    victim.write_text("three years")
    if planted == "link":
        table(home).symlink_to(victim)
    elif planted == "hard link":
        os.link(victim, table(home))
    else:
        victim.rename(table(home))
        victim = table(home)
    remember("whole", file)
    assert victim.read_text() == "three years"
    assert remembered("whole", file), "this process remembers"
    assert not in_another_process("whole", file)


def test_a_home_that_cannot_be_made_is_no_error(home: Path, file: Path, fast_path: Path) -> None:
    remember("whole", file, home=fast_path / "file" / "home")
    assert remembered("whole", file, home=fast_path / "file" / "home")


def test_its_size_is_bounded_and_what_is_pushed_out_is_forgotten(
    home: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "_BUCKETS", 1)
    monkeypatch.setattr(marks, "_BYTES", marks._START + marks._PLACES * marks._MARK)
    for number in range(50):
        remember(str(number), file)
    assert remembered("49", file)
    assert sum(remembered(str(number), file) for number in range(50)) == marks._PLACES
    assert table(home).stat().st_size == marks._BYTES


def keep(path: Path, start: int) -> None:
    for number in range(start, start + 50):
        remember(str(number), path)


def test_many_processes_remember_at_once(home: Path, file: Path) -> None:
    remember("made", file)
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=keep, args=(file, 50 * i)) for i in range(8)]
    for child in children:
        child.start()
    for child in children:
        child.join(200)
        assert child.exitcode == 0
    assert sum(remembered(str(number), file) for number in range(400)) > 390


def test_asking_makes_few_calls_and_does_not_read_the_file(home: Path, file: Path) -> None:
    remember("whole", file, home=home)
    passed: list[tuple[str, Path]] = []
    with installed(lambda operation, path, size: passed.append((operation, path))):
        # Garbage of other tests may be collected in one of them.
        assert min(calls(lambda: remembered("whole", file, home=home)) for _ in range(5)) < 150
    assert {path for _, path in passed} == {table(home)}
