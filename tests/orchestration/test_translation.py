"""What a project wants differently of our assets: groups, owners, tags, conditions, descriptions and keys."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from orchestrated import QUIET, checks, key, made, numbered, two_files

from dataset_assets import Dataset, View, load
from dataset_assets.errors import UsageError
from dataset_assets.orchestration import OpOptions, asset_in, definitions
from dataset_assets.orchestration.refresh import SCHEDULE
from dataset_assets.orchestration.translation import of_attributes
from dataset_assets.testing import FaultyServer


def prefixed(spec: dg.AssetSpec) -> dg.AssetSpec:
    return of_attributes({"key_prefix": ["lake", "raw"], "group_name": "ours", "owners": ["team:ours"]})(spec)


def ran(ours: dg.Definitions, instance: dg.DagsterInstance, *more: Any, **options: Any) -> dg.ExecuteInProcessResult:
    given = {"run_config": QUIET, "raise_on_error": False, "resources": ours.resources} | options
    return dg.materialize([*ours.assets, *more], instance=instance, **given)  # type: ignore[misc]


@pytest.mark.parametrize("raw", ["each", "one"])
def test_a_dataset_is_made_under_the_keys_of_the_project_and_stored_under_its_own(
    raw: Any, home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    ours = definitions(datasets=[two_files(server.url)], translation=prefixed, raw_assets=raw)
    dg.Definitions.validate_loadable(ours)

    @dg.asset(ins={"a": asset_in("org.example.two", "a", key_prefix=["lake", "raw"])})
    def count(a: View) -> int:
        return len(a)

    result = ran(ours, instance, count)
    assert result.success and result.output_for_node("count") == 2 and len(load("org.example.two")["b"]) == 2
    ours_made = {name for name in made(result) if name != "count"}
    assert ours_made and all(name.startswith("lake/raw/org/example/two") for name in ours_made)
    graph = ours.resolve_asset_graph()
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    assert {node.group_name for node in nodes} == {"ours"} and all(node.owners == ["team:ours"] for node in nodes)
    evaluated = result.get_asset_check_evaluations()
    assert {evaluation.asset_key.path[0] for evaluation in evaluated} == {"lake"} and "leakage" in checks(result)


def test_one_raw_file_of_a_project_is_made_alone(
    home: Path, server: FaultyServer, instance: dg.DagsterInstance
) -> None:
    ours = definitions(datasets=[two_files(server.url)], translation=prefixed)
    key = dg.AssetKey(["lake", "raw", "org", "example", "two", "raw", "b_csv"])
    assert list(made(ran(ours, instance, selection=[key]))) == ["lake/raw/org/example/two/raw/b_csv"]


def test_its_checks_jobs_and_refreshes_follow(home: Path, server: FaultyServer, instance: dg.DagsterInstance) -> None:
    dataset = two_files(server.url, job=True, refresh="0 3 * * *")
    ours = definitions(datasets=[dataset], translation=prefixed, push_to="memory://far", refresh_unmade=True)
    job = ours.resolve_job_def("dataset_assets__org__example__two")
    assert {key.path[0] for key in job.asset_layer.executable_asset_keys} == {"lake"}
    sources = [key.to_user_string() for key in ours.resolve_asset_graph().asset_check_keys if key.name == "source"]
    assert sorted(sources) == [f"lake/raw/org/example/two/raw/{name}_csv:source" for name in "ab"]
    repository = ours.get_repository_def()
    with dg.instance_for_test() as kept:
        import datetime

        now = datetime.datetime(2026, 3, 2, 3, 0, tzinfo=datetime.UTC)
        context = dg.build_schedule_context(kept, scheduled_execution_time=now, repository_def=repository)
        [request] = repository.get_schedule_def(SCHEDULE).evaluate_tick(context).run_requests or ()
    assert dg.AssetKey(["lake", "raw", "org", "example", "two"]) in (request.asset_selection or ())


@pytest.mark.parametrize("dataset", [numbered(), two_files("http://127.0.0.1:9")])
def test_a_function_may_change_some_assets_and_add_what_they_depend_on(dataset: Dataset) -> None:
    split = [*dataset.splits][0]

    def translate(spec: dg.AssetSpec) -> dg.AssetSpec:
        if spec.key != key(f"{dataset.name.replace('.', '/')}/{split}"):
            return spec
        return spec.replace_attributes(
            deps=[*spec.deps, "upstream"],
            automation_condition=dg.AutomationCondition.eager(),
            metadata={"mine": 1},
            description="Ours.",
        )

    ours = definitions(datasets=[dataset], translation=translate)
    dg.Definitions.validate_loadable(ours)
    graph = ours.resolve_asset_graph()
    node = graph.get(key(f"{dataset.name.replace('.', '/')}/{split}"))
    assert dg.AssetKey("upstream") in node.parent_keys and node.description == "Ours."
    assert node.automation_condition and node.metadata["mine"] == 1
    # What the IO manager reads stays.
    assert node.metadata["dataset_assets/split"] == split
    assert graph.get(key(dataset.name.replace(".", "/"))).automation_condition is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda spec: None, "Return an AssetSpec"),
        (lambda spec: spec.replace_attributes(key="all"), "the same key"),
    ],
)
def test_a_translation_that_gives_no_spec_or_one_key_twice_is_refused(wrong: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        definitions(datasets=[numbered()], translation=wrong)


def test_steps_are_named_as_the_project_wants() -> None:
    ours = definitions(datasets=[numbered()], op=OpOptions(name="birds"))
    found = {asset.op.name for asset in ours.assets or () if isinstance(asset, dg.AssetsDefinition)}
    assert found == {"birds__org__example__numbered" + end for end in ("", "__train", "__test")}
    with pytest.raises(UsageError, match="cannot be the name of a step"):
        OpOptions(name="two__words")
