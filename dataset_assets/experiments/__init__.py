"""Experiments: runs with their fields, and a store for values that are too large for a record."""

from typing import TYPE_CHECKING

from dataset_assets.core.lazy import lazily
from dataset_assets.experiments.bunch import Bunch, DataStore
from dataset_assets.experiments.data_store_io import DataStoreIO
from dataset_assets.experiments.experiment import Experiment, create_experiment, experiments, load_experiment, who_used
from dataset_assets.experiments.folders import Folder, StoredFolder
from dataset_assets.experiments.kinds import codec
from dataset_assets.experiments.ledger import Ledger
from dataset_assets.experiments.place import datastore
from dataset_assets.experiments.run import Run, Runs, Sources
from dataset_assets.experiments.trackers import log_to_mlflow, log_to_wandb

__all__ = [
    "Bunch",
    "DataStore",
    "DataStoreIO",
    "DatasetConfig",
    "Experiment",
    "Folder",
    "Ledger",
    "Run",
    "Runs",
    "Sources",
    "StoredFolder",
    "codec",
    "create_experiment",
    "datastore",
    "experiments",
    "load_experiment",
    "log_to_mlflow",
    "log_to_wandb",
    "who_used",
]

if TYPE_CHECKING:
    from dataset_assets.experiments.dataset_config import DatasetConfig as DatasetConfig

# It is defined by experimaestro's classes, which are imported when it is used.
__getattr__, __dir__ = lazily(globals(), {"DatasetConfig": "dataset_config"})
