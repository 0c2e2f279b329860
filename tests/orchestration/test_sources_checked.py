"""Checks on raw files in Dagster: they ask the sources, and materialize nothing."""

from dataclasses import replace

import dagster as dg
import pytest
from orchestrated import assets_in, checks, key, two_files

from dataset_assets.orchestration import definitions
from dataset_assets.orchestration.sources_checked import TOGETHER
from dataset_assets.testing import FaultyServer

pytestmark = pytest.mark.usefixtures("home")


def test_a_check_run_asks_each_source_once_and_materializes_nothing(server: FaultyServer) -> None:
    dataset = two_files(server.url)
    defined = definitions(datasets=[dataset])
    raw = [file for asset in assets_in(defined) for file in asset.keys if "raw" in file.path]
    job = dg.define_asset_job("look", dg.AssetSelection.checks_for_assets(*raw))
    defined = dg.Definitions.merge(defined, dg.Definitions(jobs=[job]))
    with dg.DagsterInstance.ephemeral() as instance:
        del server.files["/b.csv"]
        result = defined.resolve_job_def("look").execute_in_process(instance=instance)
        assert result.success and not result.get_asset_materialization_events()
        found = {evaluation.asset_key.path[-1]: evaluation for evaluation in result.get_asset_check_evaluations()}
        assert {name: one.passed for name, one in found.items()} == {"a_csv": True, "b_csv": False}
        assert found["b_csv"].severity == dg.AssetCheckSeverity.WARN and "404" in found["b_csv"].description
        assert found["b_csv"].metadata["status"].value == "failed"
        assert {request.method for request in server.requests if request.path == "/a.csv"} == {"HEAD"}


def test_a_run_that_materializes_does_not_look_as_well(server: FaultyServer) -> None:
    defined = definitions(datasets=[two_files(server.url)])
    with dg.DagsterInstance.ephemeral() as instance:
        result = defined.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance)
        assert result.success and "source" not in checks(result)
    assert {request.method for request in server.requests} == {"GET"}


def test_one_step_looks_at_the_sources_of_many_datasets(server: FaultyServer) -> None:
    # None is asked but those that are selected: the others have no server.
    many = [replace(two_files("http://127.0.0.1:9"), name=f"org.example.d{k}") for k in range(TOGETHER)]
    many[1:1] = [two_files(server.url), replace(two_files(server.url), name="org.example.more")]
    raw = [key(f"org/example/{name}/raw") for name in ("two", "more")]
    job = dg.define_asset_job("look", dg.AssetSelection.checks_for_assets(*raw))
    del server.files["/b.csv"]
    with dg.DagsterInstance.ephemeral() as instance:
        defined = dg.Definitions.merge(definitions(datasets=many, raw_assets="one"), dg.Definitions(jobs=[job]))
        result = defined.resolve_job_def("look").execute_in_process(instance=instance)
        found = result.get_asset_check_evaluations()
    assert result.success and len({event.step_key for event in result.all_events if event.step_key}) == 1
    assert [(one.asset_key, one.metadata["wrong"].value) for one in found] == [(name, 1) for name in raw]
