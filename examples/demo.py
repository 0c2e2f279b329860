"""The demo: three real datasets, carried by Python packages, through Dagster to a trained model.

Everything is kept in `demo/` (or DATASET_ASSETS_HOME), the history of the runs in `dagster_home/` (or DAGSTER_HOME).
"""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.setdefault("DATASET_ASSETS_HOME", str(ROOT / "demo"))).resolve()
HISTORY = Path(os.environ.setdefault("DAGSTER_HOME", str(ROOT / "dagster_home"))).resolve()
NAMES = ("io.github.rasbt.mnist_5k", "io.github.allisonhorst.penguins", "au.edu.adelaide.lee_documents")


def stored() -> dict[str, tuple[int, int, int]]:
    """Return inode, time of change and size of every stored file."""
    files = [path for path in sorted((HOME / "storage").rglob("*")) if path.is_file() and not path.name.startswith(".")]
    return {str(path): (stat.st_ino, stat.st_mtime_ns, stat.st_size) for path in files for stat in [path.stat()]}


def materialize() -> bool:
    """Materialize all assets of the three datasets, with a line for each."""
    import dagster as dg

    from dataset_assets.orchestration import definitions

    defined = definitions(*NAMES)
    # The UI's overview lists the runs of jobs that have a name.
    job = dg.define_asset_job("demo", dg.AssetSelection.all())
    named = dg.Definitions(assets=defined.assets, resources=defined.resources, jobs=[job]).resolve_job_def("demo")
    with dg.DagsterInstance.get() as instance:
        print(f"{'asset':<56} {'bytes':>10} {'samples':>8}  {'digest':<12} {'seconds':>7}")
        result = named.execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        )
        before = None
        for entry in instance.all_logs(result.run_id):
            event = entry.dagster_event
            if event is not None and event.is_step_start:
                before = entry.timestamp
            if event is None or not event.is_step_materialization:
                continue
            made = event.step_materialization_data.materialization
            facts = {name: value.value for name, value in made.metadata.items()}
            size, samples = facts.get("bytes", ""), facts.get("dagster/row_count", "")
            digest, seconds = made.tags["dagster/data_version"][:12], entry.timestamp - (before or entry.timestamp)
            print(f"{made.asset_key.to_user_string():<56} {size:>10} {samples:>8}  {digest} {seconds:>7.2f}")
            before = entry.timestamp
        checks = result.get_asset_check_evaluations()
    print(f"{sum(check.passed for check in checks)} of {len(checks)} checks passed")
    for event in result.all_events:
        if event.is_failure:
            print(event.message)
    return result.success


def main() -> int:
    from dataset_assets.core.settings import settings
    from dataset_assets.storage import open_storage

    began, before = time.perf_counter(), stored()
    HISTORY.mkdir(parents=True, exist_ok=True)
    if not materialize():
        return 1
    after = stored()
    # A home may have other datasets, as one has that is named by DATASET_ASSETS_HOME.
    if all(any(name.replace(".", "/") in path for path in before) for name in NAMES):
        raw = [path for path in after if "/raw/" in path and after[path] != before.get(path)]
        changed = [path for path in after.keys() | before.keys() if after.get(path) != before.get(path)]
        print(f"second run: {len(raw)} downloads, {len(changed)} of {len(after)} stored files changed")
    print()
    sys.stdout.flush()
    picture = HOME / "digits.png"
    trained = subprocess.run([sys.executable, ROOT / "examples" / "train.py", NAMES[0], "--picture", picture])
    storage = open_storage(settings().storage).url
    print(f"\n{time.perf_counter() - began:.0f} s. From any directory:")
    line = f'from dataset_assets import load; print(load("{NAMES[0]}", storage="{storage}"))'
    print(f"  {sys.executable} -c {shlex.quote(line)}")
    print("The assets, runs and pictures in Dagster's web UI, at http://127.0.0.1:3000:")
    print(f"  make -C {ROOT} ui DATASET_ASSETS_HOME={HOME} DAGSTER_HOME={HISTORY}")
    return trained.returncode


if __name__ == "__main__":
    sys.exit(main())
