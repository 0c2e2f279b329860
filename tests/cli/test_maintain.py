"""The verbs that keep and move what is stored, as a user calls them."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command_line import COMMAND, CommandLine, in_terminal

from dataset_assets.storage import LocalStorage

PENGUINS = "io.github.allisonhorst.penguins"


@pytest.fixture
def line(fast_path: Path) -> CommandLine:
    found = CommandLine(fast_path)
    found.run("prepare", PENGUINS, "--direct")
    return found


def test_a_copy_says_the_version_on_stdout_and_how_much_beside_it(line: CommandLine, fast_path: Path):
    done = line.run("copy", PENGUINS, "--to", f"{fast_path}/there")
    assert re.fullmatch(rf"{PENGUINS}@[0-9a-f]{{64}}  current\n", done.stdout)
    assert "2 files, 22.4 kB copied; 0 already there" in done.stderr
    again = line.json("copy", "--all", "--to", f"{fast_path}/there")
    assert again[0]["files"] == 0 and again[0]["present"] == 2
    assert line.run("copy", "--all", "--from", f"{fast_path}/there", "--to", "memory://x").stdout == done.stdout


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (2, ["copy", "--to", "/x"], "copy needs one dataset. Give a name, or --all"),
        (2, ["copy", PENGUINS, "--all", "--to", "/x"], "copy needs one dataset. Give a name, or --all"),
        (2, ["copy", PENGUINS], "--from URL, --to URL"),
        (2, ["copy", PENGUINS, "--to", "nowhere://x"], "No storage connector"),
        (3, ["copy", "com.lecun.mnist", "--to", "/tmp/x"], "com.lecun.mnist is not in"),
        (3, ["pin", "com.lecun.mnist"], "dataset-assets prepare com.lecun.mnist"),
        (3, ["pin", f"{PENGUINS}@{'0' * 64}"], "There is no version"),
        (3, ["gc", "com.lecun.mnist"], "is not in"),
        (2, ["gc", f"{PENGUINS}@0221"], "is not a qualified name"),
        (2, ["versions", f"{PENGUINS}@0221"], "is not a qualified name"),
        (3, ["bundle", "com.lecun.mnist", "--into", "x.tar"], "is not in"),
        (2, ["unbundle", "missing.tar"], "missing.tar"),
        (2, ["verify", "--from", "/x"], "Add --repair"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors_say_what_to_do(line: CommandLine, code: int, arguments: list[str], said: str):
    found = line.run(*arguments, code=code)
    assert said in found.stderr and found.stdout == ""


def test_a_bundle_goes_through_a_pipe(line: CommandLine, fast_path: Path):
    first = subprocess.Popen(
        [*COMMAND, "bundle", "--into", "-"], env=line.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    second = subprocess.run(
        [*COMMAND, "unbundle", "-", "--storage", f"{fast_path}/there"], env=line.environment, stdin=first.stdout,
        capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    assert (first.wait(), second.returncode) == (0, 0)
    assert PENGUINS in second.stdout
    assert line.run("verify", "--storage", f"{fast_path}/there").stdout.split() == [PENGUINS, "whole"]


def test_a_bundle_takes_the_place_of_no_pipe_and_removes_no_part_of_others(line: CommandLine, fast_path: Path):
    pipe, part = fast_path / "pipe", fast_path / f".b.tar.{os.getpid()}.part"
    os.mkfifo(pipe)
    part.write_text("theirs")
    reader = subprocess.Popen(["sha256sum", str(pipe)], stdout=subprocess.PIPE, text=True)
    line.run("bundle", "--into", str(pipe))
    line.run("bundle", "--into", str(fast_path / "b.tar"))
    said, _ = reader.communicate(timeout=250)
    assert said.split()[0] == hashlib.sha256((fast_path / "b.tar").read_bytes()).hexdigest()
    assert pipe.is_fifo() and part.read_text() == "theirs"


def test_a_bundle_that_fails_leaves_no_file(line: CommandLine, fast_path: Path):
    stream = next((line.home / "storage").rglob("*.arrow"))
    stream.write_bytes(b"x" * stream.stat().st_size)
    line.run("bundle", "--into", str(fast_path / "b.tar"), code=4)
    assert not [*fast_path.glob("*b.tar*")]


def test_a_truncated_bundle_is_refused_with_its_code(line: CommandLine, fast_path: Path):
    line.run("bundle", "--into", str(fast_path / "b.tar"))
    data = (fast_path / "b.tar").read_bytes()
    (fast_path / "b.tar").write_bytes(data[:-3000])
    done = line.run("unbundle", str(fast_path / "b.tar"), "--storage", f"{fast_path}/there", code=4)
    assert "ends early, at byte" in done.stderr
    assert [*LocalStorage(fast_path / "there").list("")] == []


def test_gc_obeys_the_settings_and_says_what_it_frees(line: CommandLine):
    stray = line.home / "storage" / "io/github/allisonhorst/penguins/all/bird" / f"{'0' * 64}.arrow"
    stray.write_bytes(b"x" * 1000)
    assert "removed 0 objects" in line.run("gc").stdout
    dry = line.run("gc", "--dry-run", DATASET_ASSETS_GRACE_DAYS="0")
    assert "would remove 1 objects, 1.0 kB; versions kept: 1" in dry.stdout and stray.exists()
    assert "nothing was changed" in dry.stderr
    assert line.json("du")[0]["free"] == 0
    done = line.run("gc", "--json", DATASET_ASSETS_GRACE_DAYS="0")
    assert json.loads(done.stdout)[0]["removed"] and not stray.exists()
    assert line.run("verify").stdout.split() == [PENGUINS, "whole"]


def test_verify_says_that_nothing_is_released(line: CommandLine) -> None:
    line.run("prepare", PENGUINS, "--direct")
    pointer = line.home / "storage" / "io/github/allisonhorst/penguins/current.json"
    pointer.unlink()
    said = line.run("verify").stdout
    assert "whole, but no version of it is released. Release one with: dataset-assets prepare" in said
    assert line.json("verify")[0]["released"] is None
    line.run("prepare", PENGUINS, "--direct")
    assert line.run("verify").stdout.split() == [PENGUINS, "whole"]


def test_gc_of_a_damaged_dataset_ends_with_its_code(line: CommandLine):
    (line.home / "storage/io/github/allisonhorst/penguins/current.json").write_text("{")
    assert "Repair it with" in line.run("gc", code=4, DATASET_ASSETS_GRACE_DAYS="0").stdout


def test_gc_goes_on_beside_a_broken_version_and_says_so(line: CommandLine):
    stream = next((line.home / "storage").rglob("*.arrow"))
    stream.unlink()
    assert "is gone. What may belong to it stays" in line.run("gc", DATASET_ASSETS_GRACE_DAYS="0").stdout


def test_every_verb_refuses_a_dataset_whose_folder_was_moved_away_and_goes_on_with_others(
    line: CommandLine, fast_path: Path
):
    folder = line.home / "storage/io/github/allisonhorst/penguins"
    line.run("copy", "--all", "--to", f"{fast_path}/there")
    shutil.copytree(folder, line.home / "storage/org/example/other")
    shutil.move(folder, fast_path / "moved")
    folder.symlink_to(fast_path / "moved")
    for words in (["verify"], ["info", PENGUINS], ["copy", "--all", "--to", f"{fast_path}/else"], ["du"]):
        done = line.run(*words, code=8)
        assert "is a link to" in done.stdout + done.stderr and str(fast_path / "moved") in done.stdout + done.stderr
    listed = line.run("ls").stdout
    assert PENGUINS in listed and "is a link to" in listed and "org.example.other" in listed
    assert "is a link to" in line.run("gc", code=4, DATASET_ASSETS_GRACE_DAYS="0").stdout
    assert [*(fast_path / "moved").rglob("*.arrow")]


def test_repair_says_how_each_object_was_repaired(line: CommandLine, fast_path: Path):
    line.run("copy", "--all", "--to", f"{fast_path}/there")
    stream = next((line.home / "storage").rglob("*.arrow"))
    before = stream.read_bytes()
    for more, how in ([], "made again"), (["--from", f"{fast_path}/there"], "fetched from file:"):
        stream.write_bytes(b"x" * stream.stat().st_size)
        assert f"verify --repair {PENGUINS}" in line.run("verify", code=4).stdout
        done = line.run("verify", "--repair", *more)
        assert done.stdout.split() == [PENGUINS, "whole,", "1", "repaired"] and how in done.stderr
        assert stream.read_bytes() == before


def test_du_shows_a_table_that_adds_up(line: CommandLine):
    shown = line.run("du").stdout.splitlines()
    assert shown[0].split() == ["bytes", "streams", "raw", "documents", "shared", "free"]
    assert shown[1].split()[0] == PENGUINS and shown[-1].split()[0] == "all"
    assert shown[1].split()[1:] == shown[-1].split()[1:]
    assert line.run("du", PENGUINS).stdout.splitlines() == shown
    assert "is not in" in line.run("du", "com.lecun.mnist", code=3).stderr


def test_ctrl_c_ends_a_copy_cleanly_and_it_goes_on(fast_path: Path):
    line = CommandLine(fast_path)
    large = "import numpy as np\nfrom dataset_assets import Array, Columns, Dataset, Split\n"
    large += "def zeros():\n    for i in range(200):\n        yield Columns(x=np.full((1 << 20,), i, np.uint8))\n"
    large += 'large = Dataset("org.example.large.one", "Large.", {"x": Array()}, {"all": Split(zeros)})\n'
    line.install("large", {"large_module": large}, datasets={"org.example.large": "large_module"})
    line.run("prepare", "org.example.large.one", "--direct", DATASET_ASSETS_FILE_BYTES="10000000")
    with in_terminal(line, "copy", "--all", "--to", f"{fast_path}/there") as terminal:
        target = fast_path / "there"
        until = time.monotonic() + 250
        while not [*target.rglob("*.npy")] and time.monotonic() < until:
            time.sleep(0.01)
        terminal.press(b"\x03")
        code = terminal.wait()
    if code != 0:  # it may have been quicker than the key
        assert code == 130
        assert "interrupted. Finished work is kept" in terminal.screen
        assert not (target / "org/example/large/one/current.json").exists()
    assert [*(target / ".scratch").iterdir()] == []
    done = line.run("copy", "--all", "--to", str(target))
    assert done.stdout.endswith("current\n")
    assert line.run("verify", "--storage", str(target)).stdout.split() == ["org.example.large.one", "whole"]


def test_a_copy_that_was_killed_goes_on(line: CommandLine, fast_path: Path):
    for delay in (0.05, 0.2, 0.3, 0.4, 0.5):
        process = subprocess.Popen(
            [*COMMAND, "copy", "--all", "--to", f"{fast_path}/there"], env=line.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    line.run("copy", "--all", "--to", f"{fast_path}/there")
    assert line.run("verify", "--storage", f"{fast_path}/there").stdout.split() == [PENGUINS, "whole"]
