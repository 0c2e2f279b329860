"""To write into what a view gives ends no process and changes no stored value, whichever way it came."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from places import SUPPORT

from dataset_assets import Array, Columns, Dataset, Split, prepare


def rows() -> Any:
    yield Columns(x=np.ones((100, 10), np.float32), y=np.arange(100))


def test_who_writes_into_a_batch_changes_only_the_batch(home: Path) -> None:
    prepare(Dataset("org.example.written", "Written.", {"x": Array(), "y": Array()}, {"all": Split(rows)}))
    child = subprocess.run([sys.executable, str(SUPPORT / "writing_child.py")], capture_output=True, text=True)
    ended = json.loads(child.stdout.splitlines()[-1])
    assert ended.pop("Batches without a copy") == 3
    assert set(ended.values()) == {0}, (ended, child.stderr)
