"""Datasets in Dagster: every raw file, stream, split and dataset is an asset. Only this package imports Dagster."""

import warnings
from typing import TYPE_CHECKING

import dagster as dg

from dataset_assets.core.lazy import lazily

# `Output(data_version=...)` is marked beta and is the public way to say what was stored; said once a step it is noise.
warnings.filterwarnings("ignore", category=dg.BetaWarning, module=r"dataset_assets\.orchestration")

__all__ = ["DatasetComponent", "StorageIOManager", "definitions", "experiment_spec", "report_experiment"]

if TYPE_CHECKING:
    from dataset_assets.orchestration.component import DatasetComponent as DatasetComponent
    from dataset_assets.orchestration.experiments import experiment_spec as experiment_spec
    from dataset_assets.orchestration.experiments import report_experiment as report_experiment
    from dataset_assets.orchestration.io_manager import StorageIOManager as StorageIOManager

__getattr__, __dir__ = lazily(
    globals(),
    {
        "DatasetComponent": "component",
        "StorageIOManager": "io_manager",
        "experiment_spec": "experiments",
        "report_experiment": "experiments",
    },
)

# At once, and last: the name means the function here, also after somebody imported the module that is called so.
from dataset_assets.orchestration.definitions import definitions  # noqa: E402
