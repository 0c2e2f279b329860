"""Scheduled refresh: one schedule finds the datasets that are due, every minute, and requests one run for each.

A run with the tag `REFRESH` asks the sources of its raw files whether they changed. The schedule is stopped until you
switch it on. A project has one schedule and one job, however many definitions it adopts.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Iterable, Iterator, Mapping, Sequence

import dagster as dg
from cronsim import CronSim, CronSimError

from dataset_assets.definition.dataset import Dataset
from dataset_assets.errors import DefinitionError
from dataset_assets.orchestration import keys

REFRESH = keys.REFRESH
"""The tag of a run that asks sources whether they changed."""

DUE = "dataset_assets/due"
"""The tag of a run that the schedule requested: which dataset was due, and when."""

JOB = "dataset_assets_refresh"
SCHEDULE = "dataset_assets_refresh_schedule"

_REFRESHED = dg.AssetSelection.tag(REFRESH, "true")

refresh_job = dg.define_asset_job(
    JOB,
    _REFRESHED.upstream(),
    tags={REFRESH: "true"},
    description="Asks the sources of datasets whether they changed, and makes new versions from those that did.",
)


@dg.schedule(
    name=SCHEDULE,
    job=refresh_job,
    cron_schedule="* * * * *",
    execution_timezone="UTC",
    description="Asks for each dataset whose refresh fell due: once per due time, and after downtime too.",
)
def refresh_schedule(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request a run for each dataset of the project that is due."""
    assert context.repository_def is not None  # Dagster always gives it where a project is loaded
    graph = context.repository_def.asset_graph
    lines = {key: str(graph.get(key).metadata[REFRESH]) for key in _REFRESHED.resolve(graph)}
    due = unasked(lines, context.scheduled_execution_time, context.instance)
    for key, moment in due.items():
        yield _request(key, moment, sorted(dg.AssetSelection.assets(key).upstream().resolve(graph)))
    if not due:
        yield dg.SkipReason("No dataset fell due.")


def refreshing(datasets: Sequence[Dataset]) -> tuple[list[Any], list[dg.ScheduleDefinition]]:
    """Return the job and the schedule, if any of the datasets has a `refresh` line."""
    lines = {dataset.name: dataset.refresh for dataset in datasets if dataset.refresh}
    for name, line in lines.items():
        try:
            last_due(line, datetime.now(UTC))
        except CronSimError as error:
            raise DefinitionError(
                f"{name}: refresh={line!r} is not a cron line ({error}). Write one such as '0 3 * * 1'."
            ) from error
    return ([refresh_job], [refresh_schedule]) if lines else ([], [])


def unasked(
    lines: Mapping[dg.AssetKey, str], now: datetime, instance: dg.DagsterInstance
) -> dict[dg.AssetKey, datetime]:
    """Return the datasets for which no run was requested since they were last due, and when that was.

    A dataset without any requested run is due only after its last materialisation. The state is Dagster's own history:
    the tags of runs, and the time of the last materialisation.
    """
    last = {key: moment for key, line in lines.items() if (moment := last_due(line, now))}
    asked = _values(instance, DUE, [due_tag(key, moment) for key, moment in last.items()])
    last = {key: moment for key, moment in last.items() if due_tag(key, moment) not in asked}
    fresh = {key for key, made in _last_made(instance, last).items() if made >= last[key]}
    once = _values(instance, keys.DATASET, [_name(key) for key in fresh])
    return {key: moment for key, moment in last.items() if key not in fresh or _name(key) in once}


def last_due(line: str, now: datetime) -> datetime | None:
    """Return when a cron line was last due, in UTC; None if it never was in fifty years."""
    found: datetime | None = next(CronSim(line, now.astimezone(UTC) + timedelta(seconds=1), reverse=True), None)
    return found


def due_tag(key: dg.AssetKey, moment: datetime) -> str:
    """Return the tag of the run that is requested because a dataset was due."""
    return f"{_name(key)}@{moment.strftime('%Y-%m-%dT%H:%MZ')}"


def is_refresh(context: dg.AssetExecutionContext) -> bool:
    """Say whether a run asks sources whether they changed."""
    return context.run.tags.get(REFRESH) == "true"


def _request(key: dg.AssetKey, moment: datetime, assets: Sequence[dg.AssetKey]) -> dg.RunRequest:
    # The run key prevents a repeated evaluation of the same tick from starting a second run.
    tag = due_tag(key, moment)
    return dg.RunRequest(
        run_key=tag, asset_selection=assets, tags={REFRESH: "true", DUE: tag, keys.DATASET: _name(key)}
    )


def _name(key: dg.AssetKey) -> str:
    return ".".join(key.path)


def _values(instance: dg.DagsterInstance, tag: str, values: Sequence[str]) -> set[str]:
    """Return those values of a tag that some run has."""
    found = instance.get_run_records(dg.RunsFilter(tags={tag: values})) if values else []
    return {record.dagster_run.tags[tag] for record in found}


def _last_made(instance: dg.DagsterInstance, asked: Iterable[dg.AssetKey]) -> dict[dg.AssetKey, datetime]:
    """Return when each dataset was last materialised, if it ever was."""
    wanted = list(asked)
    records = instance.get_asset_records(wanted) if wanted else []
    entries = [(record.asset_entry.asset_key, record.asset_entry.last_materialization) for record in records]
    return {key: datetime.fromtimestamp(event.timestamp, UTC) for key, event in entries if event}
