"""Steps in processes of their own: seconds a step, with each way in which Dagster's executor starts them.

    python benchmarks/processes.py

Goal: less than 3 s a step with `forkserver` on a quiet machine. The processes of `spawn` import Dagster each; those of
`forkserver` are forked from one that did so once in the run, before its first step.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
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


def seconds(instance, run):
    """Return when the first step runs, and of each later one how long it took to start, and in all."""
    at = {}
    for record in instance.all_logs(run):
        if record.dagster_event is not None and record.step_key:
            at.setdefault(record.step_key, {}).setdefault(record.dagster_event.event_type_value, record.timestamp)
    began = min(event["STEP_WORKER_STARTING"] for event in at.values())
    first, *later = sorted(at.values(), key=lambda event: event["STEP_START"])
    starts = [event["STEP_START"] - event["STEP_WORKER_STARTING"] for event in later]
    return first["STEP_START"] - began, starts, [e["STEP_SUCCESS"] - e["STEP_WORKER_STARTING"] for e in later]


def ran(way):
    import dagster as dg

    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"WAY": way, "DATASET_ASSETS_HOME": folder, "DAGSTER_HOME": folder}
        with dg.DagsterInstance.local_temp(folder, OVERRIDES) as instance:
            quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
            with dg.execute_job(dg.reconstructable(job), instance, quiet) as result:
                assert result.success
                return seconds(instance, result.run_id)


def apart(way):
    """Run one way in a process of its own: Dagster keeps the first job that it loads, with its executor."""
    code = f"import json, processes; print(json.dumps(processes.ran({way!r})))"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    return json.loads(ran.stdout.splitlines()[-1])


def main() -> None:
    ways, found = sys.argv[1:] or [*WAYS], {}
    for way in [*ways, *ways, *ways]:  # in turn, because the machine may have other work
        first, starts, steps = apart(way)
        kept = found.setdefault(way, ([], [], []))
        kept[0].append(first)
        kept[1].extend(starts)
        kept[2].extend(steps)
    for way, (first, starts, steps) in found.items():
        print(
            f"{way}: the first step runs after {statistics.median(first):.1f} s; each further one takes "
            f"{statistics.median(steps):.2f} s, {statistics.median(starts):.2f} s of them until it runs "
            f"(medians of {len(first)} runs and {len(steps)} steps)"
        )


if __name__ == "__main__":
    main()
