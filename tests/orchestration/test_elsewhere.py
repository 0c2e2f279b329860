"""A storage that only this machine has is warned of in the first run that another machine may continue."""

from pathlib import Path
from typing import Any, Iterator

import dagster as dg
import pytest
from orchestrated import QUIET, numbered, run

from dataset_assets.orchestration import definitions
from dataset_assets.orchestration.elsewhere import is_of_network, warn_if_deployed_elsewhere


@pytest.fixture
def started_by(fast_path: Path) -> Iterator[Any]:
    """A function that opens a history whose runs this launcher starts."""
    opened = []

    def instance(launcher: str = "") -> dg.DagsterInstance:
        settings = {"run_launcher": {"module": "leaving", "class": launcher}} if launcher else {}
        opened.append(dg.DagsterInstance.local_temp(str(fast_path), settings))
        return opened[-1]

    yield instance
    for each in opened:
        each.dispose()


def warnings(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    return [entry.user_message for entry in instance.all_logs(run_id) if entry.level == 30]


def test_a_storage_of_this_machine_is_warned_of_once_in_the_first_run_of_a_launcher_that_leaves_it(
    started_by: Any, home: Path
) -> None:
    instance = started_by("FarLauncher")
    result = run(numbered(), instance)
    [warning] = warnings(instance, result.run_id)
    assert result.success
    assert warning.startswith("The run launcher FarLauncher may start the next step or the next run on another")
    assert (home / "storage").as_uri() in warning


def test_a_launcher_that_does_not_open_here_is_one_of_elsewhere(started_by: Any, home: Path) -> None:
    home.mkdir()
    instance = started_by("Closed")
    result = run(numbered(), instance, storage=f"sqlite:///{home}/data.db")
    [warning] = warnings(instance, result.run_id)
    assert result.success and warning.startswith("The run launcher, which cannot be opened here (ConnectionError), may")


def test_a_run_that_stays_here_is_not_warned(started_by: Any, home: Path) -> None:
    instance = started_by()
    assert warnings(instance, run(numbered(), instance).run_id) == []


LAUNCHER = "run_launcher: {module: %s, class: %s}"


@pytest.mark.parametrize(
    ("dagster", "storage", "said"),
    [
        (LAUNCHER % ("leaving", "FarLauncher"), "file:///data/birds", "The run launcher FarLauncher may start"),
        (LAUNCHER % ("leaving", "FarLauncher"), "", "The run launcher FarLauncher may start"),
        (LAUNCHER % ("leaving", "FarLauncher"), "s3://bucket/birds", ""),
        (LAUNCHER % ("dagster.core.launcher", "DefaultRunLauncher"), "file:///data/birds", ""),
        ("run_launcher: [", "file:///data/birds", ""),
    ],
)
def test_it_is_said_too_when_definitions_are_loaded_as_by_dg_check(
    dagster: str, storage: str, said: str, home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home.mkdir()
    (home / "dagster.yaml").write_text(dagster)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    warn_if_deployed_elsewhere.cache_clear()
    for _ in range(2):
        definitions(datasets=[numbered()], storage=storage)
    found = [record.getMessage() for record in caplog.records]
    assert len(found) == bool(said) and "".join(found).startswith(said)


def test_a_folder_that_several_machines_mount_is_told_by_its_file_system(fast_path: Path) -> None:
    mounts, link = fast_path / "mounts", fast_path / "link"
    lines = [f"/dev/sda1 {fast_path} ext4 rw 0 0", f"server:/x {fast_path}/a\\040b nfs4 rw 0 0"]
    mounts.write_text("\n".join(["overlay / overlay rw 0 0", *lines, f"me:/ {fast_path}/c fuse.sshfs rw 0 0"]))
    link.symlink_to(fast_path / "a b" / "data")
    for place, expected in (("a b/data/x", True), ("c", True), ("link/x", True), ("data", False), ("cd", False)):
        assert is_of_network(fast_path / place, mounts) is expected, place
    assert not is_of_network(fast_path, fast_path / "absent")


@dg.executor(name="docker", config_schema=dg.in_process_executor.config_schema)
def containers(context: Any) -> Any:
    """Run each step as dagster-docker does in its container: under the executor of this name."""
    return dg.in_process_executor.executor_creation_fn(context)  # type: ignore[misc]


def job() -> dg.JobDefinition:
    ours = definitions(datasets=[numbered()])
    own = dg.Definitions(jobs=[dg.define_asset_job("all")], executor=containers)
    return dg.Definitions.merge(ours, own).resolve_job_def("all")


def test_the_steps_of_an_executor_of_containers_are_warned(started_by: Any, home: Path) -> None:
    instance = started_by()
    with dg.execute_job(dg.reconstructable(job), instance, QUIET) as result:
        assert result.success
        [warning] = warnings(instance, result.run_id)
    assert warning.startswith("The executor 'docker' may start the next step")
