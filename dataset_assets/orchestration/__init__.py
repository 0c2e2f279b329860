"""Datasets in Dagster: every raw file, stream, split and dataset is an asset. Only this package imports Dagster."""

import warnings
from typing import TYPE_CHECKING

import dagster as dg

from dataset_assets.core.lazy import lazily

# `Output(data_version=...)` is marked beta and is the public way to say what was stored; said once a step it is noise.
warnings.filterwarnings("ignore", category=dg.BetaWarning, module=r"dataset_assets\.orchestration")

__all__ = [
    "DatasetComponent",
    "OpOptions",
    "StorageIOManager",
    "asset_in",
    "dataset_specs",
    "definitions",
    "experiment_spec",
    "on_new_data",
    "report_experiment",
]

if TYPE_CHECKING:
    from dataset_assets.orchestration.automation import on_new_data as on_new_data
    from dataset_assets.orchestration.component import DatasetComponent as DatasetComponent
    from dataset_assets.orchestration.experiments import experiment_spec as experiment_spec
    from dataset_assets.orchestration.experiments import report_experiment as report_experiment
    from dataset_assets.orchestration.inputs import asset_in as asset_in
    from dataset_assets.orchestration.inputs import dataset_specs as dataset_specs
    from dataset_assets.orchestration.io_manager import StorageIOManager as StorageIOManager
    from dataset_assets.orchestration.ops import OpOptions as OpOptions

__getattr__, __dir__ = lazily(
    globals(),
    {
        "DatasetComponent": "component",
        "OpOptions": "ops",
        "StorageIOManager": "io_manager",
        "asset_in": "inputs",
        "dataset_specs": "inputs",
        "experiment_spec": "experiments",
        "on_new_data": "automation",
        "report_experiment": "experiments",
    },
)

# At once, and last: the name means the function here, also after somebody imported the module that is called so.
from dataset_assets.orchestration.definitions import definitions  # noqa: E402
