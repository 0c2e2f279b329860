"""Checks in Dagster: what fails is recorded, withheld and not tried again; what was released stays."""

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
    failures,
    files_in,
    key,
    made,
    numbered,
    retries,
    run,
)

from dataset_assets import Array, BadSample, Columns, Dataset, RemoteFile, Split, View, load
from dataset_assets.errors import NotPrepared
from dataset_assets.orchestration import definitions
from dataset_assets.storage import open_storage
from dataset_assets.storage.stored_dataset import StoredDataset

NUMBERED_KEY = NUMBERED.replace(".", "/")
THRICE = dg.RetryPolicy(max_retries=3)


def run_retrying(dataset: Dataset, instance: dg.DagsterInstance, more: Any = ()) -> dg.ExecuteInProcessResult:
    """Run a job of a project that has each step retried."""
    job = dg.define_asset_job(
        "all", dg.AssetSelection.all(), op_retry_policy=THRICE, executor_def=dg.in_process_executor
    )
    defined = dg.Definitions.merge(definitions(datasets=[dataset]), dg.Definitions(assets=more, jobs=[job]))
    found = defined.resolve_job_def("all")
    return found.execute_in_process(instance=instance, run_config=QUIET, raise_on_error=False)


def recorded(instance: dg.DagsterInstance, asset: str, name: str) -> Any:
    """Return what the instance has of a check's last evaluation."""
    found = dg.AssetCheckKey(key(asset), name)
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([found])[found]
    return record.event.dagster_event.asset_check_evaluation_data


def test_a_leak_leaves_what_is_released_and_shows_as_a_failed_check(home: Path, instance: dg.DagsterInstance) -> None:
    ran = Calls()

    @dg.asset(ins={"both": dg.AssetIn(key(NUMBERED_KEY))})
    def model(both: dict) -> None:  # type: ignore[type-arg]
        ran()

    assert run(numbered(), instance).success
    released, before = load(NUMBERED)["train"].version, files_in(home / "storage")
    result = run_retrying(numbered(first_test=17), instance, [model])
    assert not result.success and not retries(result) and not ran.count
    # Nothing that was there is touched.
    current, _ = StoredDataset(open_storage(home / "storage"), NUMBERED).pointer()
    assert load(NUMBERED)["train"].version == current == released
    assert {path: seen for path, seen in files_in(home / "storage").items() if path in before} == before
    # It is seen: the check in the instance, no materialisation of the dataset, a message that says what to do.
    leakage = recorded(instance, NUMBERED_KEY, "leakage")
    assert not leakage.passed and leakage.severity == dg.AssetCheckSeverity.ERROR
    assert "3 samples of test are also in train" in str(leakage.description)
    assert {NUMBERED_KEY, "model"}.isdisjoint(made(result))
    event = instance.get_latest_materialization_event(key(NUMBERED_KEY))
    assert event and event.run_id != result.run_id
    # And it can be looked at.
    [told] = failures(result).values()
    refused = told.split(f"{NUMBERED}@")[1][:64]
    assert len(load(f"{NUMBERED}@{refused}")["test"]) == 13


def wrong(table: Any = None) -> Iterator[Columns]:
    yield Columns(y=np.array([0, 1, 7]))


def labelled(**more: Any) -> Dataset:
    return Dataset(
        "org.example.wrong", "A label too many.", {"y": Array(classes=("a", "b"))}, {"all": Split(wrong)}, **more
    )


def test_a_split_whose_check_fails_is_withheld_with_all_that_comes_after(
    home: Path, instance: dg.DagsterInstance
) -> None:
    ran = Calls()

    @dg.asset(ins={"all_": dg.AssetIn(key("org/example/wrong/all"))})
    def of_split(all_: View) -> None:
        ran()

    @dg.asset(ins={"labels": dg.AssetIn(key("org/example/wrong/all/y"))})
    def of_stream(labels: View) -> None:
        ran()

    result = run_retrying(labelled(), instance, [of_split, of_stream])
    assert not result.success and not retries(result) and not ran.count
    assert not made(result)
    assert {name: check.passed for name, check in checks(result).items()} == {
        "counts": True,
        "schema": True,
        "classes": False,
    }
    assert not recorded(instance, "org/example/wrong/all", "classes").passed
    assert "first 7 in sample 2" in failures(result)["org__example__wrong__all"]
    with pytest.raises(NotPrepared):
        load("org.example.wrong")


def test_a_refused_split_is_refused_again_without_being_made_again(home: Path, instance: dg.DagsterInstance) -> None:
    assert not run(labelled(), instance).success
    before = files_in(home / "storage")
    result = run(labelled(), instance)
    assert not result.success and not checks(result)["classes"].passed
    assert files_in(home / "storage") == before


@pytest.mark.parametrize(
    "dataset", [labelled(checks={"classes": "warn"}), numbered(first_test=17, checks={"leakage": "warn"})]
)
def test_what_only_warns_is_yellow_and_released(dataset: Dataset, home: Path, instance: dg.DagsterInstance) -> None:
    result = run(dataset, instance)
    assert result.success
    [check] = [check for check in checks(result).values() if not check.passed]
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert not recorded(instance, "/".join(check.asset_key.path), check.check_name).passed
    assert load(dataset.name)


def test_a_refused_version_is_released_once_the_definition_accepts_it(home: Path, instance: dg.DagsterInstance) -> None:
    assert not run(numbered(first_test=17), instance).success
    assert run(numbered(first_test=17, checks={"leakage": "warn"}), instance).success
    assert len(load(NUMBERED)["test"]) == 13


def test_a_check_that_is_off_is_none() -> None:
    off = {"leakage": "off", "classes": "off"}
    graph = definitions(datasets=[numbered(checks=off)]).resolve_asset_graph()
    assert {(check.asset_key.path[-1], check.name) for check in graph.asset_check_keys} == {
        (split, check) for split in ("train", "test") for check in ("counts", "schema")
    }


def test_a_check_of_the_author_is_run_on_the_views_of_all_splits(home: Path, instance: dg.DagsterInstance) -> None:
    def enough(views: Any) -> str | None:
        return None if len(views["test"]) >= 10 else f"only {len(views['test'])} for testing"

    assert run(numbered(checks={"enough": enough}), instance).success
    result = run(numbered(last=25, checks={"enough": enough}), instance)
    assert not result.success
    assert checks(result)["enough"].description == "only 5 for testing"
    assert len(load(NUMBERED)["test"]) == 10


def test_checks_across_splits_are_not_run_again_on_what_passed_them(home: Path, instance: dg.DagsterInstance) -> None:
    calls = Calls()

    def counted(views: Any) -> None:
        calls()

    dataset = numbered(checks={"counted": counted, "leakage": "warn"}, first_test=17)
    first, second = run(dataset, instance), run(dataset, instance)
    assert first.success and second.success
    assert calls.count == 1
    told = [{name: (c.passed, c.description) for name, c in checks(result).items()} for result in (first, second)]
    assert told[0] == told[1] and told[0]["leakage"][0] is False


def test_what_would_fail_again_is_not_retried_and_a_source_that_fails_is(
    home: Path, fast_path: Path, instance: dg.DagsterInstance
) -> None:
    def broken(table: Any) -> Iterator[dict[str, int]]:
        yield {"n": 1}
        raise ZeroDivisionError("in the author's own code")

    path = fast_path / "table.csv"
    table = RemoteFile(path.as_uri())
    dataset = Dataset("org.example.broken", "Broken.", {"n": Array()}, {"all": Split(broken, table=table)})
    absent = run_retrying(dataset, instance)
    assert retries(absent) == ["org__example__broken__raw"] * 3
    assert "RetrievalError" in failures(absent)["org__example__broken__raw"]
    path.write_bytes(b"1\n")
    raising = run_retrying(dataset, instance)
    told = failures(raising)["org__example__broken__all"]
    assert not retries(raising)
    assert "ZeroDivisionError" in told and "in the author's own code" in told and "after 1 sample" in told
    assert not list(open_storage(home / "storage").list("org/example/broken/all"))


def test_a_digest_that_is_not_that_of_the_file_is_not_retried(
    home: Path, fast_path: Path, instance: dg.DagsterInstance
) -> None:
    (fast_path / "table.csv").write_bytes(b"1\n")
    table = RemoteFile((fast_path / "table.csv").as_uri(), digest=f"sha256:{'0' * 64}")
    dataset = Dataset("org.example.other", "Other.", {"y": Array()}, {"all": Split(wrong, table=table)})
    result = run_retrying(dataset, instance)
    assert not retries(result)
    assert "DigestMismatch" in failures(result)["org__example__other__raw"]
    assert not made(result)
    assert assets_in(definitions(datasets=[dataset]))


def dirty(good: int, bad: int) -> Any:
    yield Columns(n=[*range(good)])
    for k in range(bad):
        yield BadSample("unreadable", f"{k}.jpg")


@pytest.mark.parametrize("limit", ["skip", 1])
def test_skipped_samples_are_listed_and_too_many_refuse_the_release(home: Path, limit: Any) -> None:
    dataset = Dataset(
        "org.example.dirty", "D.", {"n": Array("int64")}, {"all": Split(dirty, good=3, bad=2)}, on_error=limit
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(dataset, instance)
    assert result.success == (limit == "skip")
    found = checks(result)["skipped"]
    assert found.passed == (limit == "skip") and "sample 3 of 0.jpg: unreadable" in str(found.description)
    if limit == "skip":
        event = made(result)["org/example/dirty/all"]
        table = event.metadata["skipped samples"]
        assert isinstance(table, dg.TableMetadataValue) and event.metadata["skipped"].value == 2
        assert table.records[0].data == {"sample": 3, "why": "unreadable", "source": "0.jpg"}
    else:
        assert not made(result)
