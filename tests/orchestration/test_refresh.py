"""Refresh: once per due time, one conditional request for what is unchanged, a new version of what changed."""

import hashlib
import logging
import os
import time
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Iterator

import dagster as dg
import pytest
from cronsim import CronSim
from orchestrated import FILES, NUMBERED, QUIET, assets_in, failures, files_in, kept_in, key, numbered, run, two_files
from places import SUPPORT

from dataset_assets import Dataset, load, prepare
from dataset_assets.errors import DefinitionError
from dataset_assets.orchestration import definitions
from dataset_assets.orchestration.refresh import (
    BATCHED,
    DUE,
    JOB,
    REFRESH,
    SCHEDULE,
    freshness,
    last_due,
    request_many,
    together,
    unasked,
)  # fmt: skip
from dataset_assets.testing import ChangeEtag, Fault, FaultyServer, Reply

DAILY = "0 3 * * *"
MONDAY = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)


@pytest.fixture
def instance(fast_path: Path) -> Iterator[dg.DagsterInstance]:
    """One with a database: a schedule is given no other."""
    with kept_in(fast_path / "dagster") as instance:
        yield instance


class Project:
    """What Dagster's daemon does with some datasets, at times of our choice."""

    def __init__(self, instance: dg.DagsterInstance, *datasets: Dataset, unmade: bool = True) -> None:
        self.instance = instance
        ours = [definitions(datasets=[dataset], refresh_unmade=unmade) for dataset in datasets]
        merged = dg.Definitions.merge(*ours, dg.Definitions(executor=dg.in_process_executor))
        self.repository = merged.get_repository_def()

    def asked(self, now: datetime) -> list[dg.RunRequest]:
        """Evaluate the schedule."""
        context = dg.build_schedule_context(self.instance, scheduled_execution_time=now, repository_def=self.repository)
        return list(self.repository.get_schedule_def(SCHEDULE).evaluate_tick(context).run_requests or ())

    def tick(self, now: datetime) -> list[dg.ExecuteInProcessResult]:
        """Evaluate the schedule, and run all that it asks for."""
        return [self.run(request) for request in self.asked(now)]

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        job = self.repository.get_job(JOB).get_subset(asset_selection=set(request.asset_selection or ()))
        tags = {**job.tags, **request.tags}
        return job.execute_in_process(instance=self.instance, tags=tags, run_config=QUIET, raise_on_error=False)


def two(server: FaultyServer, **more: Any) -> Dataset:
    return two_files(server.url, refresh=DAILY, **more)


def test_what_is_unchanged_costs_a_request_and_no_write(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    dataset = two(server)
    prepare(dataset)
    before = files_in(home / "storage")
    server.forget()
    [result] = Project(instance, dataset).tick(MONDAY)
    assert result.success and result.dagster_run.tags[REFRESH] == "true"
    assert [(request.method, request.path) for request in server.requests] == [("GET", "/a.csv"), ("GET", "/b.csv")]
    assert all(request.headers["If-None-Match"] for request in server.requests)
    assert files_in(home / "storage") == before


def test_once_per_due_time_and_after_downtime_too(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    project = Project(instance, two(server))
    minute, day = timedelta(minutes=1), timedelta(days=1)
    counts = [len(project.tick(moment)) for moment in (
        MONDAY, MONDAY + minute, MONDAY + 5 * minute, MONDAY + day - minute, MONDAY + day, MONDAY + day + minute,
        # Down for three days, in which it fell due three times: asked for once.
        MONDAY + 4 * day + 90 * minute, MONDAY + 4 * day + 91 * minute,
    )]  # fmt: skip
    assert counts == [1, 0, 0, 0, 1, 0, 1, 0]
    tags = [record.dagster_run.tags[DUE] for record in instance.get_run_records()]
    assert tags == [f"org.example.two@2026-03-0{day}T03:00Z" for day in (6, 3, 2)]


def test_a_refresh_that_failed_is_not_asked_for_again_until_it_is_due_again(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    project = Project(instance, two(server))
    del server.files["/b.csv"]
    [failed] = project.tick(MONDAY)
    assert not failed.success
    assert project.asked(MONDAY + timedelta(minutes=1)) == []
    server.files |= FILES
    [result] = project.tick(MONDAY + timedelta(days=1))
    assert result.success and len(load("org.example.two")["b"]) == 2


def test_what_was_made_since_is_not_due_when_the_schedule_is_switched_on(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    project, now = Project(instance, two(server)), datetime.now(UTC)
    assert len(project.asked(now)) == 1
    assert run(two(server), instance).success
    assert project.asked(now) == []
    assert len(project.tick(now + timedelta(days=1))) == 1
    # Once it was asked for, what is run by hand, which asks no source, makes up for nothing.
    assert run(two(server), instance).success
    assert len(project.asked(now + timedelta(days=2))) == 1


def test_what_was_never_made_is_not_made_by_the_schedule_unless_it_is_told(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    project, now = Project(instance, two(server), unmade=False), datetime.now(UTC)
    assert project.asked(now) == project.asked(now + timedelta(days=7)) == []
    assert len(Project(instance, two(server)).asked(now)) == 1
    assert run(two(server), instance).success
    assert len(project.asked(now + timedelta(days=1))) == 1


def test_a_refresh_by_hand_is_a_field_of_the_config(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    assert run(two(server), instance).success
    server.files["/a.csv"] = b"1\n2\n5\n"
    assert run(two(server), instance).success and len(load("org.example.two")["a"]) == 2
    by_hand = QUIET | {"ops": {"org__example__two__raw__of__a": {"config": {"refresh": True}}}}
    assert run(two(server), instance, run_config=by_hand).success and len(load("org.example.two")["a"]) == 3
    with pytest.raises(dg.DagsterInvalidConfigError):
        run(
            two(server),
            instance,
            run_config=QUIET | {"ops": {"org__example__two__raw__of__a": {"config": {"fresh": True}}}},
        )


@pytest.mark.parametrize(
    ("line", "days"), [("0 3 * * *", 2), ("0 3 * * 1", 8), ("0 3 1 * *", 32), ("0 * * * *", 1 / 12)]
)
def test_a_dataset_that_is_refreshed_shows_when_a_refresh_was_missed(line: str, days: float) -> None:
    [spec] = assets_in(definitions(datasets=[numbered(refresh=line)]))[-1].specs
    if dg.__version__ < "1.12":
        assert freshness(line) is None
    else:
        assert spec.freshness_policy == dg.FreshnessPolicy.time_window(fail_window=timedelta(days=days))


def test_changed_bytes_make_a_new_version_of_what_uses_them(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    dataset = two(server)
    project = Project(instance, dataset)
    assert project.tick(MONDAY)[0].success
    released, before = load(dataset.name)["a"].version, files_in(home / "storage")
    server.files["/a.csv"] = b"1\n2\n5\n"
    server.forget()
    [result] = project.tick(MONDAY + timedelta(days=1))
    assert result.success
    assert load(dataset.name)["a"].version != released
    assert [sample["n"] for sample in load(dataset.name)["a"]] == [1, 2, 5]
    assert len(server.requests) == 2
    # Old files are as they were; but for the pointer, and what is said of the source.
    moved = {"org/example/two/current.json", "org/example/two/raw/a_csv/source.json"}
    after = files_in(home / "storage")
    assert {path: after[path] for path in before.keys() - moved} == {
        path: before[path] for path in before.keys() - moved
    }
    assert all("/a/" in path or "/versions/" in path or "/a_csv/" in path for path in after.keys() - before.keys())
    assert [sample["n"] for sample in load(f"{dataset.name}@{released}")["a"]] == [1, 2]
    # The next one finds it unchanged again.
    before = files_in(home / "storage")
    [result] = project.tick(MONDAY + timedelta(days=2))
    assert result.success and files_in(home / "storage") == before


def test_other_bytes_than_the_declared_digest_are_an_error(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    dataset = two(server, digest="sha256:" + hashlib.sha256(FILES["/a.csv"]).hexdigest())
    project = Project(instance, dataset)
    assert project.tick(MONDAY)[0].success
    released, before = load(dataset.name)["a"].version, files_in(home / "storage")
    server.files["/a.csv"] = b"6\n"
    [result] = project.tick(MONDAY + timedelta(days=1))
    assert not result.success
    assert "DigestMismatch" in failures(result)["org__example__two__raw__of__a"]
    assert load(dataset.name)["a"].version == released
    assert files_in(home / "storage") == before


def test_a_source_without_validators_is_read_and_the_same_bytes_write_nothing(
    home: Path, fast_path: Path, instance: dg.DagsterInstance
) -> None:
    class Silent(Fault):
        def change(self, reply: Reply) -> None:
            reply.headers.pop("ETag", None)
            reply.headers.pop("Last-Modified", None)

    with FaultyServer(FILES) as server:
        for path in FILES:
            server.script(path, [Silent()] * 4)
        project = Project(instance, two(server))
        assert project.tick(MONDAY)[0].success
        before = files_in(home / "storage")
        assert project.tick(MONDAY + timedelta(days=1))[0].success
        assert len(server.requests) == 4
    assert files_in(home / "storage") == before


def test_the_same_bytes_under_a_new_etag_are_read_once(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    project = Project(instance, two(server))
    server.script("/a.csv", [ChangeEtag()])
    assert project.tick(MONDAY)[0].success
    released = load("org.example.two")["a"].version
    before = files_in(home / "storage")
    assert project.tick(MONDAY + timedelta(days=1))[0].success
    changed = {path for path, seen in files_in(home / "storage").items() if before.get(path, (0,))[0] != seen[0]}
    assert changed == {"org/example/two/raw/a_csv/source.json"}
    before = files_in(home / "storage")
    assert project.tick(MONDAY + timedelta(days=2))[0].success
    assert files_in(home / "storage") == before
    assert load("org.example.two")["a"].version == released


def test_a_plain_run_asks_nobody(home: Path, server: FaultyServer, instance: dg.DagsterInstance) -> None:
    prepare(two(server))
    server.forget()
    server.files["/a.csv"] = b"9\n"
    assert run(two(server), instance).success
    assert server.requests == []


def test_each_dataset_has_its_own_times_and_its_own_run(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    project = Project(instance, two(server), numbered(refresh="0 5 * * 1"))

    def asked(now: datetime) -> set[str]:
        return {result.dagster_run.tags["dataset_assets/dataset"] for result in project.tick(now)}

    # What was last due a week ago, and was never made, is asked for too.
    assert asked(MONDAY) == {"org.example.two", NUMBERED}
    assert asked(MONDAY + timedelta(hours=2)) == {NUMBERED}
    assert asked(MONDAY + timedelta(days=1)) == {"org.example.two"}


def test_one_schedule_serves_all_that_a_project_adopts_and_is_off_at_first(server: FaultyServer) -> None:
    ours = [definitions(datasets=[two(server)]), definitions(datasets=[numbered(refresh=DAILY)])]
    merged = dg.Definitions.merge(*ours)
    dg.Definitions.validate_loadable(merged)
    repository = merged.get_repository_def()
    assert [schedule.name for schedule in repository.schedule_defs] == [SCHEDULE]
    assert repository.get_schedule_def(SCHEDULE).default_status == dg.DefaultScheduleStatus.STOPPED
    assert {found.path[2] for found in repository.get_job(JOB).asset_layer.executable_asset_keys} == {"two", "numbered"}


def test_without_a_dataset_that_is_refreshed_there_is_no_schedule() -> None:
    defined = definitions(datasets=[numbered()])
    assert (list(defined.schedules or ()), list(defined.jobs or ())) == ([], [])
    assert assets_in(defined)


@pytest.mark.parametrize("line", ["0 99 * * *", "a b c d e", "0 0 31 2 *"])
def test_a_line_that_is_no_cron_line_is_said_when_it_is_loaded(line: str) -> None:
    with pytest.raises(DefinitionError, match=r"org\.example\.numbered: refresh=.* is not a cron line"):
        definitions(datasets=[numbered(refresh=line)])


@pytest.mark.parametrize(
    "line", ["* * * * *", "*/7 3 * * *", DAILY, "0 3 * * 1", "30 4 1 * *", "0 0 29 2 *", "0 12 L * *"]
)
def test_the_last_due_time_is_the_one_before_the_next(line: str) -> None:
    now = datetime(2026, 3, 4, 11, 30, 7, tzinfo=UTC)
    found = last_due(line, now)
    assert found is not None and found <= now
    following = next(CronSim(line, found))
    assert following > now
    assert last_due(line, found) == found
    assert last_due(line, found - timedelta(seconds=1)) != found


def test_a_thousand_datasets_are_looked_through_in_a_moment(instance: dg.DagsterInstance) -> None:
    lines = {key(f"org/example/d{k}"): DAILY for k in range(1000)}
    assert len(unasked(lines, MONDAY, instance, lines)) == 1000


DEFINED = """
from orchestrated import lines
import dagster as dg
from dataset_assets import Array, Dataset, RemoteFile, Split
from dataset_assets.orchestration import definitions
splits = {{
    "a": Split(lines, table=RemoteFile("{url}/a.csv")),
    "b": Split(lines, table=RemoteFile("{url}/b.csv", digest="{digest}")),
}}
dataset = Dataset("org.example.two", "Two files.", {{"n": Array("int64")}}, splits, refresh="0 3 * * *")
ours = definitions(datasets=[dataset], refresh_unmade=True)
defs = dg.Definitions.merge(ours, dg.Definitions(executor=dg.in_process_executor))
"""

LAUNCHED_AT_ONCE = {
    "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
    "telemetry": {"enabled": False},
}


class Daemon:
    """Dagster's own scheduler and launcher, at times of our choice; the project and each run have their own process."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        from dagster._core.test_utils import create_test_daemon_workspace_context
        from dagster._core.workspace.load_target import ModuleTarget

        (folder / "dagster").mkdir()
        opened = dg.DagsterInstance.local_temp(str(folder / "dagster"), LAUNCHED_AT_ONCE)
        self.instance = stack.enter_context(opened)
        target = ModuleTarget("refreshed", attribute="defs", working_directory=str(folder), location_name="refreshed")
        self.workspace = stack.enter_context(create_test_daemon_workspace_context(target, self.instance))
        [entry] = self.workspace.create_request_context().get_code_location_entries().values()
        assert entry.code_location, entry.load_error
        schedule = entry.code_location.get_repository("__repository__").get_schedule(SCHEDULE)
        with self.at(MONDAY - timedelta(seconds=30)):
            self.instance.start_schedule(schedule)

    @contextmanager
    def at(self, now: datetime) -> Iterator[None]:
        from dagster._core.test_utils import freeze_time

        with freeze_time(now):
            yield

    def tick(self, now: datetime) -> list[dg.DagsterRunStatus]:
        """Let the scheduler do what is due; return how the runs that it launched ended."""
        from dagster._scheduler.scheduler import launch_scheduled_runs

        before = {record.dagster_run.run_id for record in self.instance.get_run_records()}
        with self.at(now):
            list(launch_scheduled_runs(self.workspace, logging.getLogger("test"), now, {}))
        launched = {record.dagster_run.run_id for record in self.instance.get_run_records()} - before
        return [self.end(run) for run in launched]

    def end(self, run: str) -> dg.DagsterRunStatus:
        """Wait for the end of a run."""
        until = time.monotonic() + 240
        while not (found := self.instance.get_run_by_id(run)) or not found.is_finished:
            assert time.monotonic() < until, found
            time.sleep(0.1)
        return found.status


@pytest.fixture
def daemon(home: Path, server: FaultyServer, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    digest = "sha256:" + hashlib.sha256(FILES["/b.csv"]).hexdigest()
    (fast_path / "refreshed.py").write_text(DEFINED.format(url=server.url, digest=digest))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SUPPORT), str(Path.cwd())]))
    with ExitStack() as stack:
        yield Daemon(fast_path, stack)


@pytest.mark.processes
def test_dagsters_own_daemon_refreshes_from_tick_to_release(home: Path, server: FaultyServer, daemon: Daemon) -> None:
    minute, day = timedelta(minutes=1), timedelta(days=1)
    done, failed = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE

    def stored() -> dict[str, tuple[int, int, int]]:
        return files_in(home / "storage")

    # It falls due, and is made; a minute later it is not due.
    assert daemon.tick(MONDAY + timedelta(seconds=5)) == [done]
    assert daemon.tick(MONDAY + minute) == []
    first, before = load("org.example.two")["a"].version, stored()

    # Due again, and unchanged: a conditional request for each file, nothing written.
    server.forget()
    assert daemon.tick(MONDAY + day) == [done]
    assert [request.path for request in server.requests] == ["/a.csv", "/b.csv"]
    assert all(request.headers["If-None-Match"] for request in server.requests)
    assert stored() == before

    # It changed while all was down for three days: asked for once, and released.
    server.files["/a.csv"] = b"1\n2\n5\n"
    assert daemon.tick(MONDAY + 4 * day) == [done]
    assert daemon.tick(MONDAY + 4 * day + minute) == []
    second, after = load("org.example.two")["a"].version, stored()
    assert second != first and [sample["n"] for sample in load("org.example.two")["a"]] == [1, 2, 5]
    moved = {"org/example/two/current.json", "org/example/two/raw/a_csv/source.json"}
    assert {path for path in before if after[path] != before[path]} == moved
    assert not [path for path in after.keys() - before.keys() if "/b/" in path or "/b_csv/" in path]

    # Other bytes than those declared: an error; what was released is served.
    server.files["/b.csv"] = b"6\n"
    assert daemon.tick(MONDAY + 5 * day) == [failed]
    assert load("org.example.two")["b"].version == second and stored() == after

    due = {record.dagster_run.tags[DUE] for record in daemon.instance.get_run_records()}
    assert due == {f"org.example.two@2026-03-0{day}T03:00Z" for day in (2, 3, 6, 7)}


def test_many_that_are_due_at_once_are_asked_for_in_few_runs(home: Path, instance: dg.DagsterInstance) -> None:
    lines = [DAILY] * 1000 + ["0 4 * * *"] * 2
    datasets = [numbered(refresh=line) for line in lines]
    datasets = [replace(dataset, name=f"org.example.many.d{k}") for k, dataset in enumerate(datasets)]
    graph = {key(dataset.name.replace(".", "/")): str(dataset.refresh) for dataset in datasets}
    due = unasked(graph, MONDAY, instance, graph)
    runs = [*together(due)]
    # Those of four o'clock were last due on the day before.
    assert sorted(len(names) for _, names in runs) == [2, *[100] * 10]
    for moment, names in runs[:5]:
        request = request_many(names, moment, names)
        instance.add_run(dg.DagsterRun(job_name=JOB, run_id=str(uuid.uuid4()), tags={**request.tags}))
    left = unasked(graph, MONDAY, instance, graph)
    assert len(left) == len(due) - sum(len(names) for _, names in runs[:5])
    # They are due again on the next day; what was neither made nor asked for is not.
    again = unasked(graph, MONDAY + timedelta(days=1), instance)
    assert {*again} == {name for _, names in runs[:5] for name in names}


def test_few_that_are_due_have_a_run_each(home: Path, server: FaultyServer, instance: dg.DagsterInstance) -> None:
    datasets = [replace(two(server), name=f"org.example.few.d{k}") for k in range(11)]
    project = Project(instance, *datasets)
    [request] = project.asked(MONDAY)
    assert len(request.tags[BATCHED].split(",")) == 11
    result = project.run(request)
    assert result.success and project.asked(MONDAY) == [] and len(load("org.example.few.d7")["a"]) == 2
    assert len(Project(instance, *datasets[:3]).asked(MONDAY + timedelta(days=1))) == 3
