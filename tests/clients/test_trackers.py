"""MLflow and W&B are told what a run used, with the real packages; `make test-clients` installs and runs them."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_assets import Array, Columns, Dataset, Split, load, prepare, view_of
from dataset_assets.errors import UsageError
from dataset_assets.experiments import Run, create_experiment, log_to_mlflow, log_to_wandb
from dataset_assets.loader import Loader


def numbers() -> Any:
    yield Columns(i=np.arange(9))


@pytest.fixture
def run(home: Path) -> Run:
    prepare(Dataset("org.example.numbers", "Numbers.", {"i": Array()}, {"train": Split(numbers)}))
    with create_experiment("x").run() as run:
        run.uses(load("org.example.numbers", split="train"))
    return run


def test_mlflow_has_the_datasets_as_inputs(run: Run, tmp_path: Path) -> None:
    mlflow: Any = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    with mlflow.start_run() as theirs:
        log_to_mlflow(run)
    (found,) = mlflow.get_run(theirs.info.run_id).inputs.dataset_inputs
    version = run.used[0]["data"][0]["version"]
    assert (found.dataset.name, found.dataset.digest) == ("org.example.numbers/train", version[:36])
    assert json.loads(found.dataset.source)["tags"]["dataset_assets"] == f"org.example.numbers@{version}"


def test_wandb_has_the_datasets_in_its_config_offline(run: Run, tmp_path: Path, monkeypatch: Any) -> None:
    wandb: Any = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    with wandb.init(project="x", mode="offline", dir=str(tmp_path)) as theirs:
        log_to_wandb(run, theirs)
        assert theirs.config["dataset_assets"][0]["version"] == run.used[0]["data"][0]["version"]
    (log,) = tmp_path.rglob("*.wandb")
    assert b"org.example.numbers" in log.read_bytes()


def test_mlflow_has_the_numbers_of_each_step(tmp_path: Path) -> None:
    mlflow: Any = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    loader = Loader(view_of(i=np.arange(22)), 4)
    with mlflow.start_run() as run:
        for step, _ in enumerate(loader):
            mlflow.log_metrics(loader.stats(), step=step)
    client = mlflow.MlflowClient()
    logged = {name: client.get_metric_history(run.info.run_id, name) for name in loader.stats()}
    assert [(one.step, one.value) for one in logged["steps"]] == [(step, 1) for step in range(6)]
    assert sum(one.value for one in logged["samples"]) == 22
    assert sum(one.value for one in logged["bytes"]) == 22 * 8
    assert all(one.value > 0 for one in logged["waited_seconds"])


def test_wandb_has_the_numbers_of_each_step_offline(tmp_path: Path, monkeypatch: Any) -> None:
    wandb: Any = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    loader = Loader(view_of(i=np.arange(22)), 4, threads=0)
    with wandb.init(project="x", mode="offline", dir=str(tmp_path)) as run:
        for _ in loader:
            run.log(loader.stats())
        assert run.step == 6 and {name: run.summary[name] for name in ("steps", "waited_seconds")}["steps"] == 1
    (log,) = tmp_path.rglob("*.wandb")
    # A process of its own writes the log, and may do so after the run has ended here.
    deadline = time.monotonic() + 60
    while log.read_bytes().count(b"waited_seconds") < 6 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert log.read_bytes().count(b"waited_seconds") >= 6


def test_a_run_that_used_nothing_is_not_logged(home: Path) -> None:
    with create_experiment("x").run() as run:
        pass
    with pytest.raises(UsageError, match=r"run\.uses\(view\)"):
        log_to_wandb(run, None)
