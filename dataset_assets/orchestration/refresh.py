"""Scheduled refresh: one schedule finds the datasets that are due, every minute, and requests one run for each.

If many are due at once, a run is requested for a hundred of them.

A run with the tag `REFRESH` asks the sources of its raw files whether they changed. The schedule is stopped until you
switch it on. A project has one schedule and one job, however many definitions it adopts.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise
from typing import Any, Container, Iterable, Iterator, Mapping, Sequence

import dagster as dg
from cronsim import CronSim, CronSimError

from dataset_assets.core.canonical import sha256_hex
from dataset_assets.definition.dataset import Dataset
from dataset_assets.errors import DefinitionError
from dataset_assets.orchestration import keys

REFRESH = keys.REFRESH
"""The tag of a run that asks sources whether they changed."""

DUE = "dataset_assets/due"
"""The tag of a run that the schedule requested: which dataset was due, and when."""

BATCH, BATCHED = "dataset_assets/due_at", "dataset_assets/due_datasets"
"""The tags of a run that was requested for many datasets that were due at the same time: when, and their names."""

LOOKED_AT = 1000
"""How many of the last refreshes are looked at for a dataset that was asked for and not made."""

ALONE, TOGETHER = 10, 100
"""Up to so many datasets that are due have a run each; more of them have one run for so many."""

JOB = "dataset_assets_refresh"
SCHEDULE = "dataset_assets_refresh_schedule"

CONFIG = {
    "refresh": dg.Field(bool, default_value=False, description="Ask the sources whether the files changed there.")
}
"""The config of a step that retrieves files, for a refresh by hand."""

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
    nodes = {key: graph.get(key) for key in _REFRESHED.resolve(graph)}
    lines = {key: str(node.metadata[REFRESH]) for key, node in nodes.items()}
    unmade = {key for key, node in nodes.items() if keys.UNMADE in node.metadata}
    due = unasked(lines, context.scheduled_execution_time, context.instance, unmade)
    for moment, names in together(due):
        assets = sorted(dg.AssetSelection.assets(*names).upstream().resolve(graph))
        yield _request(names[0], moment, assets) if len(names) == 1 else request_many(names, moment, assets)
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
    lines: Mapping[dg.AssetKey, str],
    now: datetime,
    instance: dg.DagsterInstance,
    unmade: Container[dg.AssetKey] = (),
) -> dict[dg.AssetKey, datetime]:
    """Return the datasets for which no run was requested since they were last due, and when that was.

    A dataset without any requested run is due only after its last materialisation; one that was never made is due only
    if it is in `unmade`. The state is Dagster's own history: the tags of runs, and the time of the last
    materialisation.
    """
    last = {key: moment for key, line in lines.items() if (moment := last_due(line, now))}
    asked = _values(instance, DUE, [due_tag(key, moment) for key, moment in last.items()])
    if last:
        batches = _batches(instance, {_minute(moment) for moment in last.values()})
        asked |= {f"{name}@{minute}" for minute, names in batches for name in names}
    last = {key: moment for key, moment in last.items() if due_tag(key, moment) not in asked}
    made = _last_made(instance, last)
    waiting = {key for key in last if (made[key] >= last[key] if key in made else key not in unmade)}
    once = _values(instance, keys.DATASET, [_name(key) for key in waiting])
    if any(_name(key) not in once for key in waiting):
        once |= {name for _, names in _batches(instance) for name in names}
    return {key: moment for key, moment in last.items() if key not in waiting or _name(key) in once}


def last_due(line: str, now: datetime) -> datetime | None:
    """Return when a cron line was last due, in UTC; None if it never was in fifty years."""
    found: datetime | None = next(CronSim(line, now.astimezone(UTC) + timedelta(seconds=1), reverse=True), None)
    return found


def due_tag(key: dg.AssetKey, moment: datetime) -> str:
    """Return the tag of the run that is requested because a dataset was due."""
    return f"{_name(key)}@{_minute(moment)}"


@cache
def longest_wait(line: str) -> timedelta:
    """Return the longest time between two due times of a cron line, among the next fifty of some day."""
    due = [*islice(CronSim(line, datetime(2026, 1, 1, tzinfo=UTC)), 50)]
    return max(later - earlier for earlier, later in pairwise(due))


def freshness(line: str) -> Any:
    """Return a policy that fails once a refresh was missed; None if this Dagster has none, as 1.11.0."""
    try:
        policy = dg.FreshnessPolicy
    except ImportError:
        return None
    wait = longest_wait(line)
    # A run takes time, and a deployment may be down for a while.
    return policy.time_window(fail_window=wait + min(wait, timedelta(days=1)))


def is_refresh(context: dg.AssetExecutionContext) -> bool:
    """Say whether a run, or the config of this step, asks sources whether they changed."""
    config = context.op_execution_context.op_config or {}
    return context.run.tags.get(REFRESH) == "true" or bool(config.get("refresh"))


def _request(key: dg.AssetKey, moment: datetime, assets: Sequence[dg.AssetKey]) -> dg.RunRequest:
    # The run key prevents a repeated evaluation of the same tick from starting a second run.
    tag = due_tag(key, moment)
    return dg.RunRequest(
        run_key=tag, asset_selection=assets, tags={REFRESH: "true", DUE: tag, keys.DATASET: _name(key)}
    )


def request_many(due: Sequence[dg.AssetKey], moment: datetime, assets: Sequence[dg.AssetKey]) -> dg.RunRequest:
    """Return the request of one run for datasets that are due at the same time."""
    names, minute = ",".join(map(_name, due)), _minute(moment)
    tags = {REFRESH: "true", BATCH: minute, BATCHED: names}
    return dg.RunRequest(run_key=f"{minute}#{sha256_hex(names.encode())}", asset_selection=assets, tags=tags)


def together(due: Mapping[dg.AssetKey, datetime]) -> Iterator[tuple[datetime, list[dg.AssetKey]]]:
    """Yield what is due in runs: each dataset alone, or if many are due, those of the same time together."""
    if len(due) <= ALONE:
        yield from ((moment, [key]) for key, moment in due.items())
        return
    for moment in sorted({*due.values()}):
        same = sorted(key for key, each in due.items() if each == moment)
        yield from ((moment, same[k : k + TOGETHER]) for k in range(0, len(same), TOGETHER))


def _batches(instance: dg.DagsterInstance, minutes: Iterable[str] = ()) -> Iterator[tuple[str, list[str]]]:
    """Yield the time and the datasets of runs that were requested for many: of these times, or else of any."""
    wanted = [*minutes]
    tags = {BATCH: wanted} if wanted else {REFRESH: "true"}
    for record in instance.get_run_records(dg.RunsFilter(tags=tags), limit=None if wanted else LOOKED_AT):
        found = record.dagster_run.tags
        if BATCHED in found:
            yield found[BATCH], found[BATCHED].split(",")


def _minute(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%MZ")


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
