"""Killed at any moment under Dagster, a dataset is absent or whole, and a re-run gives the digest of a clean one."""

import os
import random
import signal
import time
from pathlib import Path
from typing import Iterator

import dagster as dg
import pytest
import tiny

from dataset_assets import load
from dataset_assets.definition import Dataset
from dataset_assets.errors import NotPrepared
from dataset_assets.orchestration.definitions import definitions

KILLS = 50


@pytest.fixture
def dataset(folder: Path) -> Iterator[Dataset]:
    yield tiny.tiny(folder.as_uri() + "/")


def materialized(dataset: Dataset) -> bool:
    defined = definitions(datasets=[dataset])
    with dg.DagsterInstance.ephemeral() as instance:
        assets = [asset for asset in defined.assets or () if isinstance(asset, dg.AssetsDefinition)]
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        return dg.materialize(assets, instance=instance, resources=defined.resources, run_config=quiet).success


def in_child(dataset: Dataset, home: Path, seconds: float | None) -> int:
    """Materialize in a forked process, and kill it after some seconds; return its exit status."""
    child = os.fork()
    if child == 0:
        os.environ["DATASET_ASSETS_HOME"] = str(home)
        os._exit(0 if materialized(dataset) else 1)
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
    killed = 0
    # A run that was quicker than its killer is none of the fifty.
    for k in range(4 * KILLS):
        if killed == KILLS:
            break
        home = fast_path / f"home{k}"
        monkeypatch.setenv("DATASET_ASSETS_HOME", str(home))
        killed += in_child(dataset, home, chance.uniform(0, lasts)) != 0
        try:
            assert tiny.plain(load(tiny.NAME)) == tiny.expected()
        except NotPrepared:
            pass
        if k % 5 == 0:  # a re-run through Dagster takes as long as the run; the others go the short way
            assert in_child(dataset, home, None) == 0
        else:
            from dataset_assets import prepare

            prepare(dataset)
        assert load(tiny.NAME)["train"].version == clean
        assert not list((home / "scratch").iterdir())
    assert killed == KILLS
