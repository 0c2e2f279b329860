"""What Dagster's automation asks for: nothing while a release is refused, and with our condition only for new data."""

from pathlib import Path
from typing import Any, Iterator, Sequence

import dagster as dg
from orchestrated import NUMBERED, QUIET, key, made, numbered, run, two_files

from dataset_assets import Array, Columns, Dataset, Split, View
from dataset_assets.orchestration import StorageIOManager, asset_in, dataset_specs, definitions, on_new_data
from dataset_assets.orchestration.refresh import REFRESH
from dataset_assets.testing import FaultyServer

EAGER = dg.AutomationCondition.eager()
CONDITIONS = [EAGER, EAGER & dg.AutomationCondition.all_deps_blocking_checks_passed(), on_new_data()]


class Automation:
    """A project with an asset of its own, whose condition is evaluated from time to time, as Dagster's daemon does."""

    def __init__(self, instance: dg.DagsterInstance, assets: Sequence[Any]) -> None:
        self.instance, self.assets = instance, assets
        self.cursor: Any = None

    def run(self, dataset: Dataset, whole: bool = False, **options: Any) -> dg.ExecuteInProcessResult:
        """Materialize a dataset, and if asked the project's own assets in the same run."""
        return run(dataset, self.instance, more=self.assets if whole else (), **options)

    def make(self, dataset: Dataset) -> None:
        """Materialize the project's own assets alone."""
        assert run(dataset, self.instance, more=self.assets, selection=self.assets).success

    def asked(self, dataset: Dataset) -> int:
        """Return for how many assets a run is asked since the last time."""
        return self.evaluated(dg.Definitions.merge(definitions(datasets=[dataset]), dg.Definitions(self.assets)))

    def evaluated(self, defined: dg.Definitions) -> int:
        found = dg.evaluate_automation_conditions(defined, self.instance, cursor=self.cursor)
        self.cursor = found.cursor
        return found.total_requested


def trained_on(dataset: str, split: str, condition: Any, name: str = "model") -> dg.AssetsDefinition:
    @dg.asset(name=name, ins={"data": asset_in(dataset, split)}, automation_condition=condition)
    def model(data: View) -> int:
        return len(data)

    return model


def test_nothing_is_asked_for_while_a_release_is_refused(home: Path, instance: dg.DagsterInstance) -> None:
    models = [trained_on(NUMBERED, "train", each, f"model_{i}") for i, each in enumerate(CONDITIONS)]
    automation = Automation(instance, models)
    good, leaking, next_good = numbered(), numbered(train=21), numbered(train=19)
    assert automation.run(good, whole=True).success
    assert automation.asked(good) == 0
    for _ in range(2):
        assert not automation.run(leaking).success
        assert automation.asked(leaking) == 0
    # What is trained meanwhile, by hand, is trained on the version that was released.
    result = run(leaking, instance, more=automation.assets, selection=automation.assets)
    assert [result.output_for_node(f"model_{i}") for i in range(3)] == [20, 20, 20]
    assert automation.asked(leaking) == 0
    assert automation.run(next_good).success
    assert automation.asked(next_good) == 3


def labels(values: list[int]) -> Iterator[Columns]:
    yield Columns(y=values)


def labelled(*values: int) -> Dataset:
    splits = {"all": Split(labels, values=[*values])}
    return Dataset("org.example.labelled", "Labels.", {"y": Array(classes=("a", "b"))}, splits)


def test_of_a_refused_split_nothing_leaves_an_event_for_which_something_could_be_asked(
    home: Path, instance: dg.DagsterInstance
) -> None:
    seen: list[int] = []

    def looking(name: str) -> Any:
        @dg.asset(name=name, ins={"data": dg.AssetIn(key("org/example/labelled/all/y"))}, automation_condition=EAGER)
        def looks(data: View) -> None:
            seen.append(len(data))

        return looks

    automation = Automation(instance, [looking("of_a_stream"), trained_on("org.example.labelled", "all", EAGER)])
    assert automation.run(labelled(0, 1), whole=True).success and seen == [2]
    assert automation.asked(labelled(0, 1)) == 0
    result = automation.run(labelled(0, 7, 1), whole=True)
    assert not result.success and made(result) == {} and seen == [2]
    assert automation.asked(labelled(0, 7, 1)) == 0
    refused = instance.get_latest_materialization_event(key("org/example/labelled/all"))
    assert refused is not None and refused.run_id != result.run_id


def test_checks_block_where_they_refuse_and_only_there() -> None:
    def blocking(dataset: Dataset) -> set[str]:
        graph = definitions(datasets=[dataset]).resolve_asset_graph()
        found = {check.name: graph.get(check).blocking for check in graph.asset_check_keys}
        return {name for name, blocks in found.items() if blocks}

    assert blocking(numbered()) == {"counts", "schema", "classes", "leakage"}
    assert blocking(numbered(checks={"leakage": "warn"})) == {"counts", "schema", "classes"}


def test_a_refresh_asks_for_something_only_if_bytes_changed(home: Path, instance: dg.DagsterInstance) -> None:
    refresh = {"tags": {REFRESH: "true"}}
    with FaultyServer({"/a.csv": b"1\n2\n", "/b.csv": b"3\n"}) as server:
        dataset = two_files(server.url)
        ours = Automation(instance, [trained_on("org.example.two", "a", on_new_data())])
        assert ours.run(dataset, whole=True).success
        assert ours.asked(dataset) == 0
        for _ in range(3):
            assert ours.run(dataset, **refresh).success
            assert ours.asked(dataset) == 0
        server.files["/a.csv"] = b"1\n2\n5\n"
        assert ours.run(dataset, **refresh).success
        assert ours.asked(dataset) == 1
        ours.make(dataset)
        assert ours.asked(dataset) == 0
        # A run that made the asset too has used the new data.
        server.files["/a.csv"] = b"7\n"
        assert ours.run(dataset, whole=True, **refresh).success
        assert ours.asked(dataset) == 0


def test_the_condition_of_dagster_asks_after_each_refresh(home: Path, instance: dg.DagsterInstance) -> None:
    theirs = Automation(instance, [trained_on(NUMBERED, "train", EAGER)])
    assert theirs.run(numbered(), whole=True).success
    assert theirs.asked(numbered()) == 0
    assert theirs.run(numbered()).success
    assert theirs.asked(numbered()) == 1


def test_another_code_location_asks_when_the_data_changed_too(home: Path, instance: dg.DagsterInstance) -> None:
    asset = trained_on(NUMBERED, "train", on_new_data())
    there = Automation(instance, [asset])
    resources = {"dataset_io": StorageIOManager()}
    elsewhere = dg.Definitions([*dataset_specs(datasets=[numbered()]), asset], resources=resources)
    assert there.run(numbered()).success
    job = elsewhere.resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=instance, run_config=QUIET).output_for_node("model") == 20
    asked = []
    for dataset in (numbered(), numbered(), numbered(train=21), numbered(train=19), numbered(train=19)):
        there.run(dataset)
        asked.append(there.evaluated(elsewhere))
    assert asked == [0, 0, 0, 1, 0]
