"""MLflow and W&B are told what a run used, with the real packages; `make test-clients` installs and runs them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_assets import Array, Columns, Dataset, Split, load, prepare
from dataset_assets.errors import UsageError
from dataset_assets.experiments import Run, create_experiment, log_to_mlflow, log_to_wandb


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


def test_a_run_that_used_nothing_is_not_logged(home: Path) -> None:
    with create_experiment("x").run() as run:
        pass
    with pytest.raises(UsageError, match=r"run\.uses\(view\)"):
        log_to_wandb(run, None)
