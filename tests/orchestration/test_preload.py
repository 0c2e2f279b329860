"""What the process imports from which steps are forked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import json, os, sys, threading
import dataset_assets.orchestration.preload
before = {*sys.modules}
import dagster as dg
with dg.DagsterInstance.get() as instance:
    instance.get_run_records(limit=1)
here = "/proc/self/fd"
files = [os.readlink(f"{here}/{n}") for n in os.listdir(here) if os.path.islink(f"{here}/{n}")]
found = {"more": sorted({*sys.modules} - before), "open": [file for file in files if ".db" in file]}
print(json.dumps(found | {"threads": threading.active_count()}))
"""


@pytest.mark.processes
def test_a_step_that_is_forked_from_it_imports_no_more_to_open_the_history(fast_path: Path) -> None:
    (fast_path / "dagster").mkdir()
    (fast_path / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    variables = {"DAGSTER_HOME": str(fast_path / "dagster"), "DATASET_ASSETS_HOME": str(fast_path / "home")}
    ran = subprocess.run(
        [sys.executable, "-c", CODE], env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout.splitlines()[-1]) == {"more": [], "threads": 1, "open": []}


@pytest.mark.processes
def test_it_is_imported_where_there_is_no_history(fast_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    subprocess.run([sys.executable, "-c", "import dataset_assets.orchestration.preload"], env=environment, check=True)
