"""Scheduled refresh: one schedule asks, every minute, which datasets fell due, and has each asked for anew once.

A run that carries `REFRESH` asks the sources of its raw files whether they changed. Stopped until it is switched on.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Iterator, Sequence

import dagster as dg
from cronsim import CronSim, CronSimError

from dataset_assets.definition import Dataset
from dataset_assets.errors import DefinitionError
from dataset_assets.orchestration import keys

REFRESH = "dataset_assets/refresh"
"""The tag of a run that asks sources whether they changed."""

JOB = "dataset_assets_refresh"
SCHEDULE = "dataset_assets_refresh_schedule"

# A line's last due time is looked for in ever longer spans: most lines are due within a day.
_SPANS = [timedelta(hours=2), timedelta(days=2), timedelta(days=32), timedelta(days=366), timedelta(days=5 * 366)]


def refreshing(datasets: Sequence[Dataset]) -> tuple[list[Any], list[dg.ScheduleDefinition]]:
    """Return the job and the schedule that refresh those of the datasets that say when; none if none does."""
    due = [dataset for dataset in datasets if dataset.refresh]
    if not due:
        return [], []
    for dataset in due:
        last_due(dataset, datetime.now(UTC))
    selection = dg.AssetSelection.assets(*(keys.key(dataset.name) for dataset in due)).upstream()
    job = dg.define_asset_job(JOB, selection, tags={REFRESH: "true"})

    @dg.schedule(
        name=SCHEDULE,
        job=job,
        cron_schedule="* * * * *",
        execution_timezone="UTC",
        description="Asks for each dataset whose refresh fell due: once per due time, and after downtime too.",
    )
    def refresh(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        yield from requests_at(due, context.scheduled_execution_time)

    return [job], [refresh]


def requests_at(datasets: Sequence[Dataset], now: datetime) -> Iterator[dg.RunRequest]:
    """Yield a request for the last due time of each dataset.

    Its run key names that time, and Dagster starts a run of one key only once; so the state is Dagster's own history.
    """
    for dataset in datasets:
        due = last_due(dataset, now)
        if due is not None:
            yield dg.RunRequest(
                run_key=f"{dataset.name}@{due.isoformat()}",
                asset_selection=_assets(dataset),
                tags={REFRESH: "true", "dataset_assets/due": due.strftime("%Y-%m-%dT%H.%M")},
            )


def last_due(dataset: Dataset, now: datetime) -> datetime | None:
    """Return when a dataset's refresh was last due, in UTC; None if it never was in five years."""
    assert dataset.refresh is not None
    now = now.astimezone(UTC)
    for span in _SPANS:
        found = None
        try:
            for moment in CronSim(dataset.refresh, now - span):
                if moment > now:
                    break
                found = moment
        except CronSimError as error:
            raise DefinitionError(
                f"{dataset.name}: refresh={dataset.refresh!r} is not a cron line ({error}). "
                "Write one such as '0 3 * * 1'."
            ) from error
        if found is not None:
            return found
    return None


def is_refresh(context: dg.AssetExecutionContext) -> bool:
    """Say whether a run asks sources whether they changed."""
    return context.run.tags.get(REFRESH) == "true"


def _assets(dataset: Dataset) -> list[dg.AssetKey]:
    splits = [keys.key(dataset.name, split) for split in dataset.splits]
    streams = [keys.key(dataset.name, split, stream) for split in dataset.splits for stream in dataset.streams]
    raw = [keys.key(dataset.name, "raw", name) for name, file in dataset.files.items() if getattr(file, "keep", True)]
    return [*raw, *streams, *splits, keys.key(dataset.name)]
