"""Dagster on one machine: its history, the runs that the command line starts, and the web UI."""

import importlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import tiny
import yaml
from command_line import COMMAND, FAILING, SITUATIONS, TABLE, CommandLine
from places import ROOT
from ports import free_port

from dataset_assets import Dataset, load, prepare
from dataset_assets.core import files
from dataset_assets.core.progress import Progress
from dataset_assets.errors import Conflict, DatasetAssetsError, Refused, StorageError, UsageError
from dataset_assets.orchestration.instance import history, materialize, serve
from dataset_assets.storage import MemoryStorage, open_storage
from dataset_assets.testing import FaultyServer

pytestmark = pytest.mark.processes
PROC = Path("/proc/self/stat")


@pytest.fixture
def dagster_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that DAGSTER_HOME names; it does not exist yet."""
    path = home.parent / "dagster home"
    monkeypatch.setenv("DAGSTER_HOME", str(path))
    return path


def runs_in(home: Path) -> list[dg.DagsterRun]:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return list(instance.get_runs())


# The history.


EIGHT = """
import multiprocessing, os, traceback
import dagster as dg
from dataset_assets.orchestration.instance import history

@dg.asset
def one():
    return 1

def begin(together):
    together.wait()
    with history() as home, dg.DagsterInstance.from_config(str(home)) as instance:
        assert dg.materialize([one], instance=instance).success
        assert instance.get_latest_materialization_event(dg.AssetKey("one"))

# Forked, so that Dagster is imported once and not eight times; nothing of it was used before.
fork = multiprocessing.get_context("fork")
together = fork.Barrier(8)
begun = [fork.Process(target=begin, args=(together,)) for _ in range(8)]
for process in begun:
    process.start()
for process in begun:
    process.join()
print([process.exitcode for process in begun])
"""


def test_eight_processes_may_begin_on_an_empty_home_at_once(dagster_home: Path) -> None:
    found = subprocess.run([sys.executable, "-c", EIGHT], capture_output=True, text=True, timeout=280)
    assert found.stdout.strip() == str([0] * 8), found.stderr
    assert len(runs_in(dagster_home)) == 8


def test_the_history_is_where_dagster_home_says_else_in_our_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with history() as found:
        assert found == home / "dagster"
    monkeypatch.setenv("DAGSTER_HOME", str(home / "elsewhere"))
    with history() as found:
        assert found == home / "elsewhere" and (found / "dagster.yaml").exists()


def test_a_configuration_that_is_there_is_kept_and_telemetry_is_off_in_ours(dagster_home: Path) -> None:
    with history() as found:
        assert "telemetry: {enabled: false}" in (found / "dagster.yaml").read_text()
    (found / ".dataset_assets_made").unlink()
    (found / "dagster.yaml").write_text("telemetry: {enabled: false}\n# mine\n")
    with history():
        assert "# mine" in (found / "dagster.yaml").read_text()


def test_ticks_are_not_kept_for_ever(dagster_home: Path) -> None:
    with history() as found:
        shipped = [ROOT / "examples" / "on_servers" / "dagster.yaml", found / "dagster.yaml"]
        for path in shipped:
            kept = yaml.safe_load(path.read_text())["retention"]
            assert {name: days["purge_after_days"]["skipped"] for name, days in kept.items()} == {
                "schedule": 3,
                "sensor": 3,
                "auto_materialize": 3,
            }
        with dg.DagsterInstance.from_config(str(found)) as instance:
            assert instance.get_settings("retention")["schedule"]["purge_after_days"]["skipped"] == 3


def test_what_a_killed_maker_left_is_finished_by_the_next(dagster_home: Path) -> None:
    (dagster_home / "history").mkdir(parents=True)
    with history() as found:
        assert runs_in(found) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
@pytest.mark.parametrize("name", [".", "dagster.yaml"])
def test_a_configuration_of_another_user_is_refused_before_it_is_read(name: str, dagster_home: Path) -> None:
    dagster_home.mkdir(parents=True)
    planted = dagster_home / "planted"
    (dagster_home / "dagster.yaml").write_text(
        "python_logs: {dagster_handler_config: {handlers: {h: "
        f'{{"()": "subprocess.getoutput", cmd: "id > \'{planted}\'"}}}}}}}}\n'
    )
    os.chown(dagster_home / name, 65534, 65534)
    with pytest.raises(Refused, match=r"belongs to another user \(uid 65534\).*DAGSTER_HOME"), history():
        pass
    assert not planted.exists()


@pytest.mark.parametrize("text", ["run_coordinator: {", "nonsense: {a: 1}\n"])
def test_a_configuration_that_is_none_is_said_in_a_line(text: str, dagster_home: Path, dataset: Dataset) -> None:
    dagster_home.mkdir(parents=True)
    (dagster_home / "dagster.yaml").write_text(text)
    with pytest.raises(UsageError) as caught:
        materialize(dataset, open_storage("memory://running"))
    assert "dagster.yaml is not valid for Dagster" in str(caught.value) and "\n" not in str(caught.value)


def test_a_history_that_cannot_be_written_is_a_storage_error(dagster_home: Path, dataset: Dataset) -> None:
    with history():
        pass
    index = dagster_home / "history" / "runs.db"
    index.write_bytes(b"no database at all" * 1000)
    with pytest.raises(StorageError, match=r"history in .* failed: .*database.*--direct"):
        materialize(dataset, open_storage("memory://running"))


# Runs.


def test_a_run_releases_and_is_kept(dagster_home: Path, home: Path, dataset: Dataset) -> None:
    told: list[str] = []
    progress: Progress = lambda what, done, total: told.append(what)  # noqa: E731
    run = materialize(dataset, open_storage(f"file://{home}/storage"), progress)
    assert len(load(tiny.NAME, "train")) == 6
    [kept] = runs_in(dagster_home)
    assert (kept.run_id, kept.status, kept.job_name) == (run, dg.DagsterRunStatus.SUCCESS, "dataset_assets_prepare")
    assert {"numbers_csv", f"{tiny.NAME} train"} <= {*told}
    assert not (dagster_home / ".telemetry").exists()


@pytest.mark.parametrize("name", SITUATIONS.values())
def test_errors_of_steps_come_out_as_they_would_without_dagster(
    name: str, dagster_home: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultyServer({"/table.csv": TABLE}) as server:
        (tmp_path / "failing.py").write_text(FAILING.format(url=server.url))
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "failing", raising=False)
        defined = importlib.import_module("failing")
        [dataset] = [one for one in vars(defined).values() if getattr(one, "name", "") == f"org.example.web.{name}"]
        found = []
        for make in (prepare, materialize):
            monkeypatch.setattr(files, "hook", None)
            storage = MemoryStorage(f"{tmp_path}/{make.__name__}")
            monkeypatch.setenv("DATASET_ASSETS_STORAGE", storage.url)
            with pytest.raises(DatasetAssetsError) as caught:
                make(dataset, storage=storage)
            # But for what differs from one moment to the next.
            told = re.sub(r"/scratch/[^/]*|[0-9a-f]{64}|[0-9]+ MB free", "", str(caught.value))
            found.append((type(caught.value), told))
    assert found[0] == found[1]
    assert SITUATIONS[found[0][0].exit_code] == name


# The web UI.


def answer(port: int, query: str) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as reply:
        return json.load(reply)["data"]


def sessions_begun_by(pid: int) -> set[int]:
    """Return the sessions of a process's children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in children}


def living_in(sessions: set[int]) -> list[str]:
    """Return the command lines of all processes that belong to some sessions."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(session) in sessions and state != "Z":
                found.append((stat.parent / "cmdline").read_text())
        except (OSError, ValueError):
            pass
    return found


def ui(line: CommandLine, port: int, **options: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, "ui", "--port", str(port)], text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE, **options
    )


@pytest.mark.skipif(not PROC.exists(), reason="looks into /proc")
def test_the_ui_is_served_from_any_folder_to_this_machine_alone_and_ends_without_orphans(tmp_path: Path) -> None:
    line, port = CommandLine(tmp_path), free_port()
    # Folders whose files bear the names of modules that Dagster imports, and settings that say where data lies.
    cwd, history = tmp_path / "somewhere", line.home / "dagster"
    for folder in (cwd, history):
        folder.mkdir(parents=True)
        for module in ("dagster.py", "yaml.py", "sqlalchemy.py"):
            (folder / module).write_text("raise RuntimeError('a file of the user was imported')")
        (folder / ".env").write_text("DATASET_ASSETS_GRACE_DAYS=planted\n")
    (cwd / "dataset_assets.toml").write_text('storage = "of_this_project"\n')
    command = [str(Path(sys.executable).with_name("dataset-assets")), "ui", "--port", str(port)]
    process = subprocess.Popen(command, cwd=cwd, env=line.environment, text=True, stderr=subprocess.PIPE)
    assert process.stderr
    said = []
    try:
        for row in process.stderr:
            said.append(row)
            if "Ctrl-C" in row:
                break
        shown = "".join(said)
        assert f"http://127.0.0.1:{port} " in shown
        assert f"file://{cwd}/of_this_project" in shown and str(line.home / "dagster") in shown
        assert "SupersessionWarning" not in shown and "Traceback" not in shown
        until = time.monotonic() + 120
        while not (listed := answer(port, "{assetNodes {assetKey {path}}}")["assetNodes"]):
            assert time.monotonic() < until
            time.sleep(0.5)
        assert ["com", "lecun", "mnist"] in [node["assetKey"]["path"] for node in listed]
        assert answer(port, "{instance {info}}")["instance"]["info"].count(str(line.home / "dagster"))
        sessions = sessions_begun_by(process.pid)
        assert len(living_in(sessions)) >= 4
        assert not reachable_from_outside(port)
        taken = line.run("ui", "--port", str(port), code=7)
        assert f"Port {port} of 127.0.0.1 is not available" in taken.stderr and len(taken.stderr.splitlines()) == 1
        second = line.run("ui", "--port", str(free_port()), code=7)
        assert f"Another web UI serves the history in {line.home / 'dagster'}: process" in second.stderr
        assert len(second.stderr.splitlines()) == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
        assert living_in(sessions) == []
        assert not [*line.home.rglob(".telemetry")]
    finally:
        process.kill()


def reachable_from_outside(port: int) -> bool:
    """Say whether another address of this machine answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent; it only asks which address would be used
            own = probe.getsockname()[0]
        except OSError:
            return False
    if own.startswith("127."):
        return False
    try:
        socket.create_connection((own, port), timeout=2).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not PROC.exists(), reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_ui_ends_without_orphans_also_while_it_starts(number: signal.Signals, tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    process = subprocess.Popen(
        [*COMMAND, "ui", "--port", str(free_port())], cwd=tmp_path, env=line.environment, stderr=subprocess.PIPE
    )
    try:
        while process.poll() is None and not any("dagster" in row for row in living_in(sessions_begun_by(process.pid))):
            time.sleep(0.05)
        sessions = sessions_begun_by(process.pid)
        time.sleep(1)
        process.send_signal(number)
        assert process.wait(120) == 0
        assert living_in(sessions) == []
    finally:
        process.kill()


def test_a_port_that_is_taken_is_said_before_anything_starts(dagster_home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Conflict, match="ui --port"):
            serve(taken.getsockname()[1], open_storage("memory://x"), print)
    assert not dagster_home.exists()


def test_without_dagster_the_ui_says_what_to_install_and_prepare_works_directly(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    hide = (
        "import sys, importlib.util as u; found = u.find_spec; "
        "u.find_spec = lambda name, *a: None if name.startswith('dagster') else found(name, *a); "
        "sys.argv[0] = 'dataset-assets'; from dataset_assets.cli.main import main; main()"
    )

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", hide, *arguments]
        return subprocess.run(command, env=line.environment, capture_output=True, text=True)

    found = run("ui")
    assert found.returncode == 2 and "pip install 'dataset_assets[dagster]'" in found.stderr
    assert "engine: direct" in run("prepare", "io.github.allisonhorst.penguins").stderr


def test_nothing_of_a_session_is_left_in_the_environment(dagster_home: Path, dataset: Dataset) -> None:
    before = dict(os.environ)
    materialize(dataset, open_storage("memory://running_environment"))
    assert dict(os.environ) == before
