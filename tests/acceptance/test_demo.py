"""The demo: real data through Dagster to a trained model, and nothing done twice."""

import os
import re
import subprocess
import sys
from pathlib import Path

from places import ROOT

DEMO = ROOT / "examples" / "demo.py"


def run(home: Path) -> str:
    environment = {**os.environ, "DATASET_ASSETS_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}
    result = subprocess.run([sys.executable, DEMO], env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_it_learns_digits_and_cannot_learn_shuffled_labels_and_its_second_run_changes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first, second = run(home), run(home)
    found = re.search(r"test accuracy (\S+) .*majority class (\S+); trained on shuffled labels (\S+)\)", first)
    assert found, first
    accuracy, majority, shuffled = map(float, found.groups())
    assert accuracy >= 0.9
    assert majority <= 0.12
    assert abs(shuffled - 0.1) < 0.1
    assert (home / "digits.png").read_bytes().startswith(b"\x89PNG")
    assert "second run" not in first
    assert re.search(r"second run: 0 downloads, 0 of \d+ stored files changed", second)
    # The line that it ends with opens what it made from any folder.
    line = next(line for line in second.splitlines() if " -c " in line)
    opened = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert opened.returncode == 0, opened.stderr
    assert "train: 4000 samples" in opened.stdout
