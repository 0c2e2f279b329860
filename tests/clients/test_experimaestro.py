"""Experimaestro prepares a dataset before the tasks that use it, and knows it by its version."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import TESTS

TASKS = """
from pathlib import Path
from experimaestro import Param, Task
from dataset_assets.experiments import DatasetConfig

class Count(Task):
    data: Param[DatasetConfig]

    def execute(self):
        (Path(__file__).parent / "counted").write_text(str(sum(map(len, self.data.load().values()))))
"""
RUN = """
import sys
from pathlib import Path
from experimaestro import experiment
from tasks import Count, DatasetConfig

with experiment(Path("work"), "count", no_environmental_impact=True) as xp:
    xp.setenv("PYTHONPATH", sys.argv[1])
    data = DatasetConfig.of(sys.argv[2])
    print("of", data.version, data.__xpm__.identifier.main.hex())
    Count.C(data=data).submit()
"""
NAME = "org.example.numbers"
DEFINITION = """
from dataset_assets import Array, Dataset, Split

def numbers(count):
    for i in range(count):
        yield {"i": i}

dataset = Dataset("org.example.numbers", "Numbers.", {"i": Array()}, {"train": Split(numbers, count=COUNT)})
"""


def run(folder: Path, name: str = NAME) -> tuple[str, str]:
    """Return the version and the identity of the dataset."""
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", ""), str(TESTS.parent)])
    given = {"DATASET_ASSETS_DEFINITIONS": str(folder / "defined.py"), "DATASET_ASSETS_HOME": str(folder / "home")}
    environment = {**os.environ, **given, "PYTHONPATH": path, "HOME": str(folder)}
    command = [sys.executable, "run.py", path, name]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    said = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("of ")]
    assert said and not done.returncode, done.stdout + done.stderr
    return said[0][0], said[0][1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pytest.importorskip("experimaestro")
    for name, text in {"tasks": TASKS, "run": RUN, "defined": DEFINITION.replace("COUNT", "9")}.items():
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def test_a_dataset_is_prepared_before_the_task_and_its_version_is_part_of_the_identity(folder: Path) -> None:
    first = run(folder)
    assert (folder / "counted").read_text() == "9"
    (folder / "counted").unlink()
    assert run(folder) == first and not (folder / "counted").exists()
    # What is no longer stored is prepared again, as a task needs it.
    (folder / "home").rename(folder / "elsewhere")
    (folder / "work").rename(folder / "old")
    assert run(folder, f"{NAME}@{first[0]}") == first and (folder / "counted").read_text() == "9"
    (folder / "defined.py").write_text(DEFINITION.replace("COUNT", "10"))
    (folder / "home").rename(folder / "older")
    again = run(folder)
    assert again[0] != first[0] and again[1] != first[1]
