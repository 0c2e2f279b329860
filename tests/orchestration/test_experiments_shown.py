"""An experiment in Dagster: an external asset whose materializations link the versions that were used."""

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from dataset_assets import Array, Columns, Dataset, Split, load, prepare
from dataset_assets.errors import UsageError
from dataset_assets.experiments import create_experiment
from dataset_assets.orchestration import definitions, experiment_spec, report_experiment


def numbers() -> Any:
    yield Columns(i=np.arange(9))


def test_an_experiment_is_an_external_asset_that_links_what_it_used(home: Path) -> None:
    dataset = Dataset("org.example.numbers", "Numbers.", {"i": Array()}, {"train": Split(numbers)})
    prepare(dataset)
    view, experiment = load("org.example.numbers", split="train"), create_experiment("x")
    with experiment.run(note="a|b<script>") as run:
        run.uses(view)
    spec, asset = experiment_spec(experiment), dg.AssetKey(["experiments", "x"])
    both = dg.Definitions.merge(definitions(datasets=[dataset]), dg.Definitions(assets=[spec]))
    node = both.resolve_asset_graph().get(asset)
    assert node.is_external and node.parent_keys == {dg.AssetKey(["org", "example", "numbers"])}
    with dg.DagsterInstance.ephemeral() as instance:
        with pytest.raises(UsageError, match="persist"):
            report_experiment(experiment, instance)
        report_experiment(experiment.persist(), instance)
        event = instance.get_latest_materialization_event(asset)
        assert event is not None and event.asset_materialization is not None
        found = event.asset_materialization.metadata
    assert found["runs"].value == 1 and found["version of org.example.numbers train"].value == view.version
    assert found["uses org.example.numbers"].value == dg.AssetKey(["org", "example", "numbers"])
    assert "<script>" not in str(found["table"].value)
