"""A job whose steps run in processes that share nothing but a bucket and a database, as on several machines."""

import os
from pathlib import Path

import dagster as dg
import tiny

from dataset_assets import View, load
from dataset_assets.orchestration import asset_in, definitions

JOB = "of_all_machines"
PROCESSES = {"start_method": {"forkserver": {"preload_modules": ["dataset_assets.orchestration.preload"]}}}


@dg.asset(ins={"train": asset_in(tiny.NAME, "train")})
def seen(train: View) -> dg.MaterializeResult:
    """Read a released split on the machine of this step."""
    assert train.version == load(tiny.NAME, "train", storage=os.environ["STORAGE_OF_ALL"]).version
    return dg.MaterializeResult(metadata={"texts": [sample["text"] for sample in train]})


def job() -> dg.JobDefinition:
    """Return the job; called in the process of a step, give that process a home of its own."""
    homes = Path(os.environ["HOMES"])
    os.environ["DATASET_ASSETS_HOME"] = str(homes / str(os.getpid()))
    found = definitions(datasets=[tiny.tiny(os.environ["SOURCE"])], storage=os.environ["STORAGE_OF_ALL"])
    executor = dg.multiprocess_executor.configured({"max_concurrent": 2, **PROCESSES})
    own = dg.Definitions(assets=[seen], jobs=[dg.define_asset_job(JOB)], executor=executor)
    return dg.Definitions.merge(found, own).resolve_job_def(JOB)
