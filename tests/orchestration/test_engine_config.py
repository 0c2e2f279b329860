"""The config of a step names the engine of its split, and the event log says how far a long one is."""

from pathlib import Path
from typing import Any

import dagster as dg
import part_work as work
import pytest
from orchestrated import QUIET, run, versions

from dataset_assets import Array, Dataset, ForEach, ParallelMap, RemoteFile, Split, Text, prepare
from dataset_assets.making import engines
from dataset_assets.making.engines.here import Here
from dataset_assets.orchestration import bodies
from dataset_assets.storage import MemoryStorage

NAME = "org.example.many"


class Noted(Here):
    """Works here, and notes how many jobs it was given."""

    jobs: list[int] = []

    def each(self, function: Any, tasks: Any, jobs: int) -> Any:
        Noted.jobs.append(jobs)
        return super().each(function, tasks, jobs)


@pytest.fixture
def dataset(home: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setitem(engines.ENGINES, "noted", Noted)  # type: ignore[arg-type]
    monkeypatch.setattr(Noted, "jobs", [])
    for k in range(4):
        (fast_path / f"{k}.txt").write_text(f"{k}\n")
    files = [RemoteFile(fast_path / f"{k}.txt") for k in range(4)]
    splits = {"all": Split(work.lines, table=ForEach(files, files_per_part=1))}
    return Dataset(NAME, "Numbers.", {"number": Array("int64"), "text": Text()}, splits)


def configured(**config: Any) -> dict[str, Any]:
    return {**QUIET, "ops": {"org__example__many__all": {"config": config}}}


def test_the_config_of_a_step_says_who_makes_the_parts(dataset: Dataset, home: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        done = run(dataset, instance, (home / "one").as_uri(), run_config=configured(engine="noted", jobs=3))
    assert done.success and Noted.jobs == [3]
    made = prepare(dataset, storage=MemoryStorage(), jobs=1)["all"].origin.index  # type: ignore[attr-defined]
    assert versions(done)["org/example/many/all"] == made


def test_an_engine_that_is_not_known_fails_the_step(dataset: Dataset, home: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        failed = run(dataset, instance, (home / "two").as_uri(), run_config=configured(engine="noticed"))
    [failure] = failed.get_step_failure_events()
    assert "engine='noticed' is not known. Did you mean 'noted'?" in str(failure.step_failure_data.error)


def test_only_splits_that_several_processes_can_make_have_the_config(dataset: Dataset) -> None:
    from dataset_assets.orchestration.engines import CONFIG, config_of

    assert config_of(dataset.splits["all"]) is CONFIG
    assert config_of(Split(ParallelMap(work.texts, work.number), table=RemoteFile("file:///x"))) is CONFIG
    assert config_of(Split(work.texts, table=RemoteFile("file:///x"))) is None


def test_the_event_log_says_how_far_a_split_is(dataset: Dataset, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "TOLD_AFTER_SECONDS", 0)
    with dg.DagsterInstance.ephemeral() as instance:
        done = run(dataset, instance, (home / "three").as_uri())
        told = [entry.user_message for entry in instance.all_logs(done.run_id)]
    assert [line for line in told if line.startswith(f"{NAME} all: ")][-1] == f"{NAME} all: 4 samples are made."
