"""Experiments in Dagster: external assets, whose materializations link the dataset versions that their runs used."""

from typing import Any

import dagster as dg

from dataset_assets.errors import UsageError
from dataset_assets.experiments.experiment import Experiment
from dataset_assets.experiments.used import data_of
from dataset_assets.orchestration import keys


def experiment_spec(experiment: Experiment) -> dg.AssetSpec:
    """Return the external asset of an experiment; it stands after the datasets that its runs used.

    Its key is `experiments/NAME`. Dagster shows it and never makes it; `report_experiment` says what was persisted.
    """
    datasets = sorted({one["dataset"] for one in _data(experiment)})
    return dg.AssetSpec(
        dg.AssetKey(["experiments", experiment.name]),
        deps=[keys.key(name) for name in datasets],
        description=f"The experiment {experiment.name} in {experiment.storage.url}.",
        group_name="experiments",
        kinds={"experiment"},
    )


def report_experiment(experiment: Experiment, instance: dg.DagsterInstance) -> None:
    """Report a persisted experiment to Dagster, with its runs and the versions that they used.

    Raises `UsageError` if a run is not persisted.
    """
    if not all(run.is_stored for run in experiment.runs):
        raise UsageError(f"{experiment.name} has runs that are not persisted. Call experiment.persist() first.")
    spec = experiment_spec(experiment)
    instance.report_runless_asset_event(dg.AssetMaterialization(spec.key, metadata=_metadata(experiment)))


def _metadata(experiment: Experiment) -> dict[str, Any]:
    failed = sum(run.error is not None for run in experiment.runs)
    used = _data(experiment)
    found: dict[str, Any] = {
        "runs": len(experiment.runs),
        "failed": failed,
        "id": experiment.id_experiment,
        "storage": experiment.storage.url,
        "table": dg.MetadataValue.md(_table(experiment)),
    }
    for one in used:
        dataset = one["dataset"]
        found[f"uses {dataset}"] = dg.MetadataValue.asset(keys.key(dataset))
        found[f"version of {dataset} {one['split']}"] = one["version"] or one["index"]
    return found


def _table(experiment: Experiment) -> str:
    """Return the newest runs as a table in Markdown."""
    from dataset_assets.experiments.comparison import rows_of

    names, rows = rows_of(experiment.runs[-20:])
    lines = [names, ["---"] * len(names), *([_cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text[:80].replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _data(experiment: Experiment) -> list[dict[str, Any]]:
    return data_of([entry for run in experiment.runs for entry in run.used])
