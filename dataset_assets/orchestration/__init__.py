"""Datasets in Dagster: every raw file, stream, split and dataset is an asset. The only room that imports dagster."""

import warnings

import dagster as dg

# `Output(data_version=...)` is marked beta and is the public way to say what was stored; said once a step it is noise.
warnings.filterwarnings("ignore", category=dg.BetaWarning, module=r"dataset_assets\.orchestration")
