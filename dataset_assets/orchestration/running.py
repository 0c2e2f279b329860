"""Running Dagster on one machine: materialize a dataset with its history kept, and serve the web UI."""

import fcntl
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator

import dagster as dg

from dataset_assets import files
from dataset_assets.definition import Dataset
from dataset_assets.errors import CheckFailed
from dataset_assets.orchestration.definitions import definitions
from dataset_assets.progress import Progress, watched_by
from dataset_assets.settings import settings
from dataset_assets.storage import Storage

MODULE = "dataset_assets.orchestration.definitions"

CONFIG = """\
telemetry: {enabled: false}
nux: {enabled: false}
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config: {dequeue_interval_seconds: 1}
concurrency:
  runs: {max_concurrent_runs: 4}
run_monitoring: {enabled: true}
"""


def materialize(dataset: Dataset, storage: Storage, progress: Progress | None = None) -> str:
    """Materialize all assets of a dataset with its run kept in the history; return the run's id.

    Raises what a maker raised, or `CheckFailed` when a check refused the release.
    """
    defined = definitions(datasets=[dataset], storage=storage.url)
    with history() as home, dg.DagsterInstance.from_config(str(home)) as instance, watched_by(progress):
        try:
            result = dg.materialize(
                [asset for asset in defined.assets or () if isinstance(asset, dg.AssetsDefinition)],
                instance=instance,
                resources=defined.resources,
                # Dagster would print every event; whoever wants them finds them in the history.
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        except dg.Failure as failure:
            raise CheckFailed(failure.description or str(failure)) from failure
    return result.run_id


def serve(port: int, storage: str, say: Callable[[str], None]) -> int:
    """Serve the web UI on 127.0.0.1 until it is interrupted; return its exit code."""
    with history() as home:
        say(f"Dagster's web UI: http://127.0.0.1:{port}   (Ctrl-C ends it)")
        say(f"data:    {storage}")
        say(f"history: {home}")
        environment = {
            **os.environ,
            "DAGSTER_HOME": str(home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "DATASET_ASSETS_STORAGE": storage,
            "DATASET_ASSETS_HOME": str(settings().home),
        }
        command = [sys.executable, "-m", "dagster", "dev", "-m", MODULE, "-h", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, env=environment)
        try:
            return process.wait()
        except KeyboardInterrupt:
            return process.wait(timeout=20)


@contextmanager
def history() -> Iterator[Path]:
    """Give Dagster's home, `DAGSTER_HOME` or a folder in ours, with its configuration and tables made.

    Several processes that begin on an empty home would make the tables at once, and all but one would fail; so one
    makes them while the others wait on the kernel's lock.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or settings().home / "dagster").expanduser().resolve()
    files.make_folder(home)
    with open(home / ".making.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "dagster.yaml").exists():
            temporary = home / f".dagster.yaml.{os.getpid()}"
            temporary.write_text(CONFIG)
            os.replace(temporary, home / "dagster.yaml")
        if not (home / "history").exists():
            with dg.DagsterInstance.from_config(str(home)) as instance:
                instance.get_run_records(limit=1)
                instance.all_asset_keys()
                instance.all_instigator_state()
    yield home


