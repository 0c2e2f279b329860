"""Checks that are executed alone: on the version that is released, without making or releasing anything."""

import shutil
from pathlib import Path
from typing import Any, Iterator

import dagster as dg
import numpy as np
import pytest
from orchestrated import (
    NUMBERED,
    QUIET,
    Calls,
    assets_in,
    checks,
    facts,
    failures,
    files_in,
    key,
    made,
    numbered,
    retries,
    run,
)

from dataset_assets import Array, Columns, Dataset, RemoteFile, Split, load, prepare
from dataset_assets.checks import balance, drift
from dataset_assets.orchestration import definitions

NUMBERED_KEY = NUMBERED.replace(".", "/")


def run_checks(dataset: Dataset, instance: dg.DagsterInstance, *of: str, more: Any = ()) -> dg.ExecuteInProcessResult:
    """Execute the checks of assets alone; without any, all checks of the project."""
    selection = dg.AssetSelection.checks_for_assets(*map(key, of)) if of else dg.AssetSelection.all_asset_checks()
    looking = dg.define_asset_job("look", selection, op_retry_policy=dg.RetryPolicy(max_retries=2))
    own = dg.Definitions(assets=more, jobs=[looking])
    job = dg.Definitions.merge(definitions(datasets=[dataset]), own).resolve_job_def("look")
    return job.execute_in_process(instance=instance, run_config=QUIET, raise_on_error=False)


def said(result: Any) -> dict[tuple[str, str], Any]:
    """Return what each check of a run said, with its numbers; not the version, which only those say that ran alone."""
    return {
        ("/".join(one.asset_key.path), one.check_name): (
            one.passed,
            one.severity,
            one.description,
            {name: value for name, value in facts(one).items() if name != "version"},
        )
        for one in result.get_asset_check_evaluations()
    }


def test_all_checks_say_alone_what_they_said_with_the_release(home: Path, instance: dg.DagsterInstance) -> None:
    assert run(numbered(), instance).success
    dataset = numbered(last=31, checks={"balance": balance(1.5), "drift": drift(0.01)})
    first = run(dataset, instance)
    before = files_in(home / "storage")
    alone = run_checks(dataset, instance)
    assert first.success and alone.success and not made(alone)
    assert said(alone) == said(first) and len(said(alone)) == 9
    assert not checks(alone)["drift"].passed
    [version] = {facts(one)["version"] for one in alone.get_asset_check_evaluations()}
    assert version == load(NUMBERED)["train"].version and files_in(home / "storage") == before


def test_each_check_can_be_executed_by_itself(home: Path, instance: dg.DagsterInstance) -> None:
    dataset = numbered(checks={"balance": balance(1.5)})
    first = run(dataset, instance)
    defined = definitions(datasets=[dataset])
    wanted = {check.key for asset in assets_in(defined) for check in asset.check_specs}
    assert len(wanted) == 8
    for check in wanted:
        job = dg.define_asset_job("look", dg.AssetSelection.checks(check))
        found = dg.Definitions.merge(defined, dg.Definitions(jobs=[job])).resolve_job_def("look")
        result = found.execute_in_process(instance=instance, run_config=QUIET)
        asked = "/".join(check.asset_key.path), check.name
        assert said(result) == {asked: said(first)[asked]}


def test_the_release_is_checked_not_what_was_refused_since(home: Path, instance: dg.DagsterInstance) -> None:
    ran = Calls()

    @dg.asset(ins={"both": dg.AssetIn(key(NUMBERED_KEY))})
    def model(both: dict) -> None:  # type: ignore[type-arg]
        ran()

    assert run(numbered(), instance).success
    leaking = numbered(first_test=17)
    assert not run(leaking, instance).success
    alone = run_checks(leaking, instance, NUMBERED_KEY, f"{NUMBERED_KEY}/test", more=[model])
    assert alone.success and checks(alone)["leakage"].passed and checks(alone)["counts"].description == "10 samples."
    assert not ran.count and len(load(NUMBERED)["test"]) == 10


def test_a_check_that_became_stricter_fails_alone_and_leaves_the_release(
    home: Path, instance: dg.DagsterInstance
) -> None:
    assert run(numbered(), instance).success
    stricter = numbered(checks={"balance": balance(1.0, severity="error")})
    alone = run_checks(stricter, instance, NUMBERED_KEY)
    found = checks(alone)
    assert not alone.success and not found["balance"].passed and found["leakage"].passed
    assert found["balance"].severity == dg.AssetCheckSeverity.ERROR and load(NUMBERED)


def test_a_drift_that_was_not_measured_at_the_release_says_when_it_will_be(
    home: Path, instance: dg.DagsterInstance
) -> None:
    assert run(numbered(), instance).success
    [found] = [one for (_, name), one in said(run_checks(numbered(checks={"drift": "warn"}), instance)).items()
               if name == "drift"]  # fmt: skip
    assert found[0] and "when a version is released" in found[2]


@pytest.mark.parametrize("of", [NUMBERED_KEY, f"{NUMBERED_KEY}/train"])
def test_without_a_release_the_run_says_so_and_no_check_has_a_verdict(
    of: str, home: Path, instance: dg.DagsterInstance
) -> None:
    alone = run_checks(numbered(), instance, of)
    [told] = failures(alone).values()
    assert "Nothing is released, so there is nothing to check. Make it with" in told and not checks(alone)
    assert not alone.success and not retries(alone) and not (home / "storage").exists()


def lines(table: Any) -> Iterator[Columns]:
    yield Columns(n=np.array([int(line) for line in table]))


@pytest.mark.parametrize("raw_assets", ["one", "each"])
def test_neither_the_file_nor_the_history_is_needed(raw_assets: Any, home: Path, fast_path: Path) -> None:
    (fast_path / "n.csv").write_text("1\n2\n")
    table = RemoteFile((fast_path / "n.csv").as_uri(), keep=False)
    dataset = Dataset("org.example.lines", "L.", {"n": Array("int64")}, {"all": Split(lines, table=table)})
    prepare(dataset)
    (fast_path / "n.csv").unlink()
    shutil.rmtree(home / "storage" / "org" / "example" / "lines" / "raw")
    defined = definitions(datasets=[dataset], raw_assets=raw_assets)
    job = dg.define_asset_job("look", dg.AssetSelection.checks_for_assets(key("org/example/lines/all")))
    job_of_checks = dg.Definitions.merge(defined, dg.Definitions(jobs=[job])).resolve_job_def("look")
    with dg.DagsterInstance.ephemeral() as empty:
        result = job_of_checks.execute_in_process(instance=empty, run_config=QUIET)
    assert checks(result)["counts"].description == "2 samples." and len(checks(result)) == 3


def test_an_asset_that_is_made_without_its_checks_is_refused_as_well(home: Path, instance: dg.DagsterInstance) -> None:
    assert run(numbered(), instance).success
    defined = definitions(datasets=[numbered(first_test=17)])
    job = dg.define_asset_job("bare", dg.AssetSelection.all().without_checks())
    bare = dg.Definitions.merge(defined, dg.Definitions(jobs=[job])).resolve_job_def("bare")
    result = bare.execute_in_process(instance=instance, run_config=QUIET, raise_on_error=False)
    assert not result.success and not checks(result) and NUMBERED_KEY not in made(result)
    assert len(load(NUMBERED)["test"]) == 10
