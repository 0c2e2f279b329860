"""What Dagster loads: assets of our own, and the datasets that they are made of, in a storage of our choice."""

import dagster as dg

from dataset_assets.orchestration import definitions
from digit_models import assets

DATA = dg.EnvVar("DIGIT_MODELS_DATA")

defs = dg.Definitions.merge(
    dg.Definitions(
        assets=dg.load_assets_from_modules([assets], group_name="digits"),
        jobs=[dg.define_asset_job("train", dg.AssetSelection.groups("digits").upstream())],
        resources={"io_manager": dg.FilesystemIOManager(base_dir=dg.EnvVar("DIGIT_MODELS_RESULTS"))},
        executor=dg.multi_or_in_process_executor,
    ),
    definitions("io.github.rasbt.mnist_5k", storage=DATA),
    definitions("io.github.allisonhorst.*", storage=DATA),
)


def train() -> dg.JobDefinition:
    """Return the job that makes everything, for processes that look it up."""
    return defs.resolve_job_def("train")
