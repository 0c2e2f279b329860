"""Tells MLflow and W&B what a run used: one call each, which sends nothing but these facts."""

from typing import Any

from dataset_assets.core.extras import needed
from dataset_assets.errors import UsageError
from dataset_assets.experiments.run import Run
from dataset_assets.experiments.used import data_of

MLFLOW_DIGEST = 36
"""The longest digest that MLflow takes."""


def log_to_mlflow(run: Run) -> None:
    """Log the datasets that a run used as inputs of MLflow's active run; their digest is the version's beginning."""
    mlflow: Any = needed("mlflow", "all")
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    for one in _data(run):
        version = one["version"] or one["index"]
        source = CodeDatasetSource({"dataset_assets": f"{one['dataset']}@{version}", "split": one["split"]})
        name = f"{one['dataset']}/{one['split']}"
        mlflow.log_input(MetaDataset(source, name=name, digest=version[:MLFLOW_DIGEST]), context="training")


def log_to_wandb(run: Run, wandb_run: Any) -> None:
    """Write the datasets that a run used into the config of a run of W&B, online or offline."""
    data = _data(run)
    wandb_run.config.update({"dataset_assets": data}, allow_val_change=True)


def _data(run: Run) -> list[dict[str, Any]]:
    if not (found := data_of(run.used)):
        raise UsageError("The run used no dataset. Record it with run.uses(view), or Loader(..., ledger=Ledger(run)).")
    return found
