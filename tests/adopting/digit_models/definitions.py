"""What Dagster loads: assets of our own, and the datasets that they are made of, in a storage of our choice."""

import dagster as dg

from dataset_assets.orchestration.definitions import definitions
from digit_models import assets

ours = dg.Definitions(
    assets=dg.load_assets_from_modules([assets], group_name="digits"),
    jobs=[dg.define_asset_job("train", dg.AssetSelection.groups("digits").upstream())],
    resources={"io_manager": dg.FilesystemIOManager(base_dir=dg.EnvVar("DIGIT_MODELS_RESULTS"))},
    executor=dg.multi_or_in_process_executor,
)

defs = dg.Definitions.merge(
    ours,
    definitions("io.github.rasbt.mnist_5k", storage=dg.EnvVar("DIGIT_MODELS_DATA")),
    definitions("io.github.allisonhorst.*", storage=dg.EnvVar("DIGIT_MODELS_DATA")),
)


def train() -> dg.JobDefinition:
    """Return the job that makes everything, for processes that look it up."""
    return defs.resolve_job_def("train")
