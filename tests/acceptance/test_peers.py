import json
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

PEERS = ROOT / "benchmarks" / "peers"


def test_the_benchmark_measures_what_is_installed_and_leaves_out_the_rest(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    systems = "limit,ours,datastack"
    sizes = ["--scale", "0.005", "--repeats", "1", "--seconds", "0.01", "--root", str(tmp_path)]
    command = [sys.executable, str(PEERS), "W1", "--systems", systems, *sizes]
    found = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert found.returncode == 0, found.stderr
    assert "datastack: left out, data_stack is not installed" in found.stdout
    rows = json.loads((tmp_path / "W1.json").read_text())
    assert list(rows) == ["limit", "ours"]
    for row in rows.values():
        assert row["shuffled"]["ratio"] > 0 and row["samples"]["rate"] > 0 and row["first_ms"] > 0
    assert (tmp_path / "W1.png").read_bytes().startswith(b"\x89PNG")
