"""The verb `trust`, and what a stranger's folder may not do to the command line that is run in it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import COMMAND, CommandLine

HOSTILE = "open({made!r}, 'w').write(__name__)\nraise RuntimeError('a module of the working folder was imported')\n"


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    """A command line of a user with folders of settings of their own."""
    line = CommandLine(tmp_path)
    for name, folder in (("HOME", "person"), ("XDG_CONFIG_HOME", "config"), ("XDG_DATA_HOME", "data")):
        line.environment[name] = str(tmp_path / folder)
    del line.environment["DATASET_ASSETS_HOME"]
    return line


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "repository"
    (path / "deep").mkdir(parents=True)
    (path / "dataset_assets.toml").write_text('home = "d"\nstorage = "s3://ada:hunter2@bucket/x"\n')
    return path


def test_a_file_is_trusted_listed_changed_and_trusted_no_longer(line: CommandLine, repository: Path) -> None:
    path = repository / "dataset_assets.toml"
    assert line.run("trust", "--list").stdout == "\n"
    found = line.run("trust", str(repository / "deep"))
    assert found.stdout == f"{path}\n" and "home = 'd'" in found.stderr and "hunter2" not in found.stderr
    assert line.run("trust", "--list").stdout == f"trusted  {path}\n"
    path.write_text("offline = true")
    assert line.run("trust", "--list").stdout == f"changed  {path}\n"
    path.unlink()
    assert line.run("trust", "--list").stdout == f"gone     {path}\n"
    assert line.run("trust", "--remove", str(repository)).stdout == f"{path}\n"
    assert line.run("trust", "--list").stdout == "\n"


@pytest.mark.parametrize(
    "arguments, code, said",
    [
        (["trust", "person"], 3, "has a project file of yours"),
        (["trust", "--remove", "repository"], 3, "is trusted. List trusted files with: dataset-assets trust --list"),
        (["trust", "--remove", "--list"], 2, "cannot be combined"),
    ],
)
def test_what_cannot_be_trusted_is_said(
    arguments: list[str], code: int, said: str, line: CommandLine, repository: Path
) -> None:
    assert said in line.run(*arguments, code=code).stderr


def test_what_is_ignored_is_one_line_and_doctor_says_it_of_each_setting(line: CommandLine, repository: Path) -> None:
    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *arguments], cwd=repository / "deep", env=line.environment, capture_output=True, text=True
        )

    found = run("ls")
    assert found.returncode == 0 and len(found.stderr.splitlines()) == 2
    assert f"home, storage are ignored. Read the file; to apply it, run: dataset-assets trust {repository}\n" in (
        found.stderr
    )
    assert run("ls", "--quiet").stderr == ""
    said = run("doctor").stdout
    assert f"(default; ignored: {repository}/dataset_assets.toml)" in said and "warning  project file" in said
    run("trust", "..")
    found = run("doctor")
    assert f"{repository}/d ({repository}/dataset_assets.toml)" in found.stdout and "hunter2" not in found.stdout
    assert "not trusted" not in found.stderr


def test_no_module_or_plugin_of_the_working_folder_is_imported(line: CommandLine, repository: Path) -> None:
    made = repository / "made"
    for module in ("click", "dagster", "yaml", "numpy", "platformdirs", "planted"):
        (repository / f"{module}.py").write_text(HOSTILE.format(made=str(made)))
    info = repository / "planted-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dataset_assets.datasets]\norg.planted = planted\n")
    for arguments in (["ls"], ["search", "planted"], ["prepare", "org.scikit_learn.iris"]):
        found = subprocess.run(
            [*COMMAND, *arguments], cwd=repository, env=line.environment, capture_output=True, text=True
        )
        assert "of the working folder" not in found.stderr and not made.exists(), arguments
        assert found.returncode == (3 if "planted" in arguments else 0), found.stderr


SPAWNING = """
import multiprocessing
from dataset_assets import Array, Dataset, Split

def twice(number):
    return 2 * number

def rows():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for number in pool.map(twice, range(3)):
            yield {"number": number}

spawned = Dataset("org.spawning.spawned", "Numbers.", {"number": Array("int64")}, {"train": Split(rows)})
"""


def test_a_worker_that_a_definition_spawns_imports_nothing_of_the_working_folder(
    line: CommandLine, repository: Path
) -> None:
    line.install("spawning", {"spawning": SPAWNING}, datasets={"org.spawning": "spawning"})
    made = repository / "made"
    (repository / "multiprocessing.py").write_text(HOSTILE.format(made=str(made)))
    command = [*COMMAND, "prepare", "org.spawning.spawned", "--direct"]
    found = subprocess.run(command, cwd=repository, env=line.environment, capture_output=True, text=True, timeout=250)
    assert found.returncode == 0, found.stderr
    assert not made.exists()


def test_the_process_beside_a_forked_reader_looks_where_its_parent_looks(repository: Path) -> None:
    made = repository / "made"
    (repository / "obstore.py").write_text(HOSTILE.format(made=str(made)))
    code = "from dataset_assets.storage.connectors.bucket import fork_client as c; c.Helper().process.communicate()"
    (repository / "json.py").write_text(HOSTILE.format(made=str(made)))
    subprocess.run([sys.executable, "-P", "-c", code], cwd=repository, check=True, timeout=250)
    assert not made.exists()


def test_a_path_with_control_characters_is_trusted_by_a_command_that_works(line: CommandLine, tmp_path: Path) -> None:
    odd = tmp_path / "a\x1b[31mb"
    odd.mkdir()
    (odd / "dataset_assets.toml").write_text('home = "d"\n')
    found = subprocess.run([*COMMAND, "ls"], cwd=odd, env=line.environment, capture_output=True, text=True)
    assert "\x1b" not in found.stderr and "run: dataset-assets trust .\n" in found.stderr
    found = subprocess.run([*COMMAND, "trust", "."], cwd=odd, env=line.environment, capture_output=True, text=True)
    # To a pipe a path is what it is.
    assert found.stdout == f"{odd}{os.sep}dataset_assets.toml\n" and "\x1b" not in found.stderr
