"""Runs Dagster on one machine: materializes a dataset and keeps the history, and serves the web UI."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import dagster as dg
import sqlalchemy.exc
from yaml import YAMLError  # type: ignore[import-untyped]

from dataset_assets.core import commands, files, locks
from dataset_assets.core.progress import Progress, watched_by
from dataset_assets.core.settings import ENVIRONMENT, as_variable, settings
from dataset_assets.definition.dataset import Dataset
from dataset_assets.definition.linked import linked
from dataset_assets.errors import CheckFailed, Conflict, DatasetAssetsError, Refused, StorageError, UsageError
from dataset_assets.orchestration.definitions import definitions
from dataset_assets.orchestration.refresh import REFRESH
from dataset_assets.orchestration.shown import VARIABLE, in_words, shown
from dataset_assets.storage import Storage

SERVER = "dataset_assets.orchestration.webserver"
JOB = "dataset_assets_prepare"
"""The name of the job of the runs of `prepare`."""
HOST = "127.0.0.1"
ENDING_SECONDS = 20

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
# The schedule of refreshes ticks each minute.
retention:
  schedule: {purge_after_days: {skipped: 3, failure: 30, success: 30}}
  sensor: {purge_after_days: {skipped: 3, failure: 30, success: 30}}
  auto_materialize: {purge_after_days: {skipped: 3, failure: 30, success: 30}}
"""

# Without this Dagster starts four processes to capture what steps print, and Ctrl-C reaches those too.
OVERRIDES = {
    "compute_logs": {"module": "dagster.core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"},
    "telemetry": {"enabled": False},
}


def materialize(dataset: Dataset, storage: Storage, progress: Progress | None = None, refresh: bool = False) -> str:
    """Materialize all assets of a dataset and of those that it is made of; return the id of the run in the history.

    With `refresh`, ask the sources whether they changed, as the schedule does.

    Raises the errors of the steps, or `CheckFailed` if a check refused the release.
    """
    defined = definitions(datasets=[*linked(dataset, storage), dataset], storage=storage.url)
    with history() as home, opened(home) as instance, watched_by(progress), _errors_of_ours():
        result = _job(defined).execute_in_process(
            instance=instance,
            tags={REFRESH: "true"} if refresh else None,
            # Dagster would print every event; they are in the history.
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    return result.run_id


def _job(defined: dg.Definitions) -> dg.JobDefinition:
    """Return the job of all assets, under a name by which the UI lists its runs."""
    assets = [asset for asset in defined.assets or () if isinstance(asset, dg.AssetsDefinition)]
    job = dg.define_asset_job(JOB, dg.AssetSelection.assets(*(key for asset in assets for key in asset.keys)))
    return dg.Definitions(assets=assets, resources=defined.resources, jobs=[job]).resolve_job_def(JOB)


@contextmanager
def _errors_of_ours() -> Iterator[None]:
    """Raise the error of a step itself, not Dagster's wrapper."""
    try:
        yield
    except dg.Failure as failure:
        if isinstance(failure.__cause__, DatasetAssetsError):
            raise failure.__cause__ from None
        raise CheckFailed(failure.description or str(failure)) from failure
    except dg.DagsterExecutionInterruptedError as interrupted:
        raise KeyboardInterrupt from interrupted


def serve(
    port: int,
    storage: Storage,
    say: Callable[[str], None],
    hosts: Sequence[str] = (),
    datasets: Sequence[str] = (),
    every: bool = False,
) -> None:
    """Serve the web UI on 127.0.0.1 until interrupted. Raises `Conflict` if the port is in use.

    `hosts` are the public names that a reverse proxy uses. Raises `UsageError` if one is not a host name. It shows the
    user's own datasets, those that are prepared, and `datasets`, which are names or patterns; with `every`, all.
    """
    # This import needs Dagster's server, which is not needed to run assets.
    from dataset_assets.orchestration.guard import checked_host

    hosts = [checked_host(host) for host in hosts]
    _check_port(port, storage.url)
    names = shown(storage, datasets, every=every)
    with _interrupted_by_any_end(), history() as home, _alone(home):
        say(f"data:     {storage.url}\nhistory:  {home}\ndatasets: {in_words(names, storage.url)}")
        command = [sys.executable, "-m", SERVER, str(port), *hosts]
        environment = {**_environment(home, storage.url), VARIABLE: "\n".join(names)}
        with _begun(command, _neutral(home), environment) as process:
            try:
                _await(process, port)
                at = f"http://{HOST}:{port}"
                say(f"Dagster's web UI: {at}   (the datasets: {at}/assets; Ctrl-C ends it)")
                process.wait()
            except KeyboardInterrupt:
                say("Ending Dagster.")
                return
    raise DatasetAssetsError(f"Dagster ended with code {process.returncode}. Its messages are above.")


@contextmanager
def history() -> Iterator[Path]:
    """Yield Dagster's home, `DAGSTER_HOME` or a folder in ours, with its configuration and tables in place.

    If several processes created the tables at once, all but one would fail. So the first creates them, and the others
    wait for its lock.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or settings().home / "dagster").expanduser().resolve()
    files.make_folder(home)
    _refuse_if_of_another(home, home / "dagster.yaml")
    made = home / ".dataset_assets_made"
    if not made.exists():
        with files.reported(home), locks.opened(home / ".dataset_assets_lock") as lock:
            locks.take(lock)
            if not made.exists():
                _make(home)
                with suppress(FileExistsError):
                    made.touch(exist_ok=False)
    yield home


def _refuse_if_of_another(*paths: Path) -> None:
    """Raise `Refused` if another user owns a path: Dagster runs what its configuration names."""
    for path in paths:
        with suppress(FileNotFoundError):
            owners = {path.lstat().st_uid, path.stat().st_uid} - {os.geteuid(), 0}
            if owners:
                raise Refused(
                    f"{path} belongs to another user (uid {owners.pop()}), and Dagster would run what it names. "
                    "Choose a folder of your own, as in: export DAGSTER_HOME=$HOME/dagster_home"
                )


def _make(home: Path) -> None:
    if not os.path.lexists(home / "dagster.yaml"):
        temporary = home / f".dagster.yaml.{os.urandom(8).hex()}"
        with files.Written(temporary) as file:
            file.write(CONFIG.encode())
        files.replace(temporary, home / "dagster.yaml")
    # The first query creates the tables of runs, events and schedules; each has its own storage.
    with opened(home) as instance:
        instance.get_run_records(limit=1)
        instance.all_asset_keys()
        instance.all_instigator_state()


@contextmanager
def opened(home: Path) -> Iterator[dg.DagsterInstance]:
    """Open the history in a folder. Raises `StorageError` if its database fails."""
    try:
        with _of(home) as instance:
            yield instance
    except sqlalchemy.exc.DatabaseError as error:
        raise StorageError(
            errno.EIO,
            f"Dagster's history in {home} failed: {error.orig}. Correct that, or prepare without it: --direct",
        ) from error


def _of(home: Path) -> dg.DagsterInstance:
    try:
        # The only constructor that takes overrides. Despite its name, the instance is as permanent as its folder.
        return dg.DagsterInstance.local_temp(str(home), OVERRIDES)
    except (dg.DagsterError, YAMLError) as error:
        first = str(error).partition("\n")[0]
        raise UsageError(
            f"{home / 'dagster.yaml'} is not valid for Dagster: {first} Correct it, or remove it."
        ) from error


def _neutral(home: Path) -> Path:
    """Return an empty working folder for Dagster, which loads modules and `.env` from its working folder."""
    folder = home / "ui"
    files.make_folder(folder)
    _refuse_if_of_another(folder)
    return folder


def _environment(home: Path, storage: str) -> dict[str, str]:
    """Return the environment that gives another process the settings of this one."""
    held = {
        f"{ENVIRONMENT}{key.upper()}": as_variable(value) for key, value in asdict(settings(storage=storage)).items()
    }
    # Dagster warns at each start that another command, of an optional package, supersedes its own.
    quiet = {"DAGSTER_DISABLE_TELEMETRY": "1", "PYTHONWARNINGS": "ignore"}
    return {**os.environ, **held, **quiet, "DAGSTER_HOME": str(home), "PYTHONSAFEPATH": "1"}


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep a second web UI from the history: its daemon would start what this one's starts. Raises `Conflict`."""
    with files.reported(home):
        lock = locks.opened(home / ".dataset_assets_ui")
    with lock:
        if not locks.taken(lock):
            raise Conflict(
                f"Another web UI serves the history in {home}: {locks.holder(lock)}. Use that one, or choose another "
                "history, as in: export DAGSTER_HOME=$HOME/dagster_home"
            )
        locks.sign(lock)
        try:
            yield
        finally:
            locks.release(lock)


def _check_port(port: int, storage: str) -> None:
    with socket.socket() as probe:
        # A port that was closed a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise Conflict(
                f"Port {port} of {HOST} is not available: {error.strerror}. Stop the program that uses it, or choose "
                f"another: {commands.command(f'ui --port {port + 1 if port < 65535 else 3000}', storage)}"
            ) from error


def _await(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Wait until the process listens on the port, or has ended."""
    while process.poll() is None:
        with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.1)


@contextmanager
def _interrupted_by_any_end() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as Ctrl-C."""
    signals = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, _interrupt) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


@contextmanager
def _begun(command: list[str], folder: Path, environment: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    """Start a process; when the block ends, stop it and every process that it started.

    It gets its own session, so that Ctrl-C reaches only us and we stop it in order. It does not run in the user's
    folder, because it would load the modules and the .env there.
    """
    process = subprocess.Popen(command, env=environment, cwd=folder, start_new_session=True)
    try:
        yield process
    finally:
        try:
            process.send_signal(signal.SIGINT)
            process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
