"""Steps in processes of their own: seconds a step, with each way in which Dagster's executor starts them.

    python benchmarks/processes.py

Goal: less than 3 s a step with `forkserver` on a quiet machine. The processes of `spawn` import Dagster each.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

# Else each step starts two more programs, which capture what it prints.
NOOP = "dagster._core.storage.noop_compute_log_manager"
OVERRIDES = {"compute_logs": {"module": NOOP, "class": "NoOpComputeLogManager"}}
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
WAYS = {
    "spawn": {},
    "forkserver": {"preload_modules": ["dataset_assets.orchestration.preload"]},
}


def numbers(first, last):
    for n in range(first, last):
        yield {"n": n}


def job():
    import dagster as dg

    from dataset_assets import Array, Dataset, Split
    from dataset_assets.orchestration import definitions

    way = os.environ["WAY"]
    splits = {f"part{k}": Split(numbers, first=10 * k, last=10 * k + 10) for k in range(4)}
    ours = definitions(datasets=[Dataset("org.example.numbers", "Numbers.", {"n": Array("int64")}, splits)])
    executor = dg.multiprocess_executor.configured({"max_concurrent": 1, "start_method": {way: WAYS[way]}})
    own = dg.Definitions(jobs=[dg.define_asset_job("all")], executor=executor)
    return dg.Definitions.merge(ours, own).resolve_job_def("all")


def main() -> None:
    ways = sys.argv[1:] or [*WAYS]
    import dagster as dg

    for way in ways:
        with tempfile.TemporaryDirectory() as folder:
            os.environ |= {"WAY": way, "DATASET_ASSETS_HOME": folder, "DAGSTER_HOME": folder}
            began = time.perf_counter()
            with dg.DagsterInstance.local_temp(folder, OVERRIDES) as instance:
                quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
                with dg.execute_job(dg.reconstructable(job), instance, quiet) as result:
                    steps = len({event.step_key for event in result.all_events if event.is_step_success})
                    assert result.success
            seconds = time.perf_counter() - began
            print(f"{way}: {steps} steps in {seconds:.1f} s, {seconds / steps:.1f} s a step")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    import processes

    processes.main()
