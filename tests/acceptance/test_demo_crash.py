"""The crash demo: each of its lines is found to be so when it runs; here it runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

from places import ROOT

DEMO = ROOT / "examples" / "demo_crash.py"
LINE = re.compile(r"^ *[0-9.]+ s  (ok   |FALSE)  ", re.MULTILINE)


def test_a_killed_run_goes_on_at_the_exact_next_sample_while_its_data_changes(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, DEMO, "--folder", tmp_path / "demo"],
        env={**os.environ, "DATASET_ASSETS_HOME": str(tmp_path / "not used")},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert LINE.findall(result.stdout) == ["ok   "] * 13
    assert "Every line above was found to be so." in result.stdout
    assert not (tmp_path / "not used").exists()
