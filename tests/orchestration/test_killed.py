"""B2: killed at any moment under Dagster, a dataset is absent or whole, and a re-run has a clean one's digest."""

import os
import random
import signal
import time
from pathlib import Path

import dagster as dg
import pytest
import tiny
from orchestrated import run

from dataset_assets import Dataset, load, prepare
from dataset_assets.errors import NotPrepared

pytestmark = pytest.mark.processes
LEAST, KILLS = 10, 24
SECONDS = 45


def in_child(dataset: Dataset, home: Path, seconds: float | None) -> int:
    """Materialize in a forked process, and kill it after some seconds; return its exit status."""
    child = os.fork()
    if child == 0:
        os.environ["DATASET_ASSETS_HOME"] = str(home)
        with dg.DagsterInstance.ephemeral() as instance:
            os._exit(0 if run(dataset, instance).success else 1)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def test_a_killed_run_leaves_nothing_half_done(
    dataset: Dataset, fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    began = time.perf_counter()
    assert in_child(dataset, fast_path / "clean", None) == 0
    lasts = time.perf_counter() - began
    clean = load(tiny.NAME, storage=fast_path / "clean" / "storage")["train"].version
    kills = tried = 0
    while kills < LEAST or (kills < KILLS and time.perf_counter() - began < SECONDS):
        tried += 1
        home = fast_path / f"home{tried}"
        monkeypatch.setenv("DATASET_ASSETS_HOME", str(home))
        if in_child(dataset, home, chance.uniform(0, lasts)):
            kills += 1
        else:
            # The run that was measured may have waited for others.
            lasts *= 0.9
        try:
            assert tiny.plain(load(tiny.NAME)) == tiny.expected()
        except NotPrepared:
            pass
        # A re-run under Dagster takes as long as the run; the others go the short way.
        if tried % 4 == 0:
            assert in_child(dataset, home, None) == 0
        else:
            prepare(dataset)
        assert load(tiny.NAME)["train"].version == clean
        assert not list((home / "scratch").iterdir())
