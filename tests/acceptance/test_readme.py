"""What the README promises runs: every Python block, every command."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

README = ROOT / "README.md"
TEXT = README.read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", TEXT, re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
COMMANDS = [line for language, text in BLOCKS if not language for line in text.splitlines()]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("home")
    return {**os.environ, "DATASET_ASSETS_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}


@pytest.fixture(scope="module")
def ran(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> "subprocess.CompletedProcess[str]":
    """Run the Python blocks in order; the commands are about what they stored."""
    command, folder = [sys.executable, "-c", "\n".join(PYTHON)], tmp_path_factory.mktemp("code")
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)


def test_training_code_begins_by_line_15() -> None:
    lines = TEXT.splitlines()[:15]
    assert any(line.startswith("digits = prepare(") for line in lines)


def test_every_python_block_runs_in_order(ran: "subprocess.CompletedProcess[str]") -> None:
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[:2] == ["(8, 8) 0", "(256, 8, 8) uint8"]


@pytest.mark.usefixtures("ran")
def test_every_command_runs(environment: dict[str, str], tmp_path: Path) -> None:
    count = 0
    for line in COMMANDS:
        if not line.startswith("dataset-assets") or line == "dataset-assets ui":
            continue
        command = [sys.executable, "-m", *shlex.split(line.replace("dataset-assets", "dataset_assets", 1))]
        result = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
        assert result.returncode == 0, f"{line}: {result.stderr}"
        count += 1
    assert count >= 7


def test_every_verb_is_in_the_readme() -> None:
    from dataset_assets.cli.main import commands

    assert [verb for verb in commands.commands if f"dataset-assets {verb}" not in TEXT] == []
