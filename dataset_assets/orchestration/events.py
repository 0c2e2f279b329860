"""The event of an asset in Dagster's history: of the run that made it for this run, else the last one."""

import json
import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any, Mapping

import dagster as dg

VERSION = "dagster/data_version"
PAGE = 50


@dataclass(frozen=True)
class Event:
    """A materialisation: its data version, its metadata, and whether it belongs to the run that asks."""

    version: str
    metadata: Mapping[str, Any]
    ours: bool

    def get(self, key: str) -> Any:
        """Return the value of a metadata entry, or None."""
        return self.metadata[key].value if key in self.metadata else None


def packed(value: Any) -> str:
    """Return a value of JSON as short text, for metadata that is long and that nobody reads."""
    return b64encode(zlib.compress(json.dumps(value).encode())).decode()


def unpacked(text: str | None) -> Any:
    """Return a value that was packed; None if there is none."""
    return None if text is None else json.loads(zlib.decompress(b64decode(text)))


def upstream_event(context: dg.InputContext) -> Event | None:
    """Return the event of an input; None if the history has none."""
    run = _maker(context)
    cursor = None
    while True:
        page = context.instance.fetch_materializations(context.asset_key, limit=PAGE if run else 1, cursor=cursor)
        for record in page.records:
            if run in (None, record.run_id):
                return _event(record, ours=run is not None)
        if not page.has_more or not page.cursor:
            break
        cursor = page.cursor
    return None


def latest(instance: dg.DagsterInstance, key: dg.AssetKey) -> Event | None:
    """Return the last materialisation or observation of an asset; None if there is none that has a data version."""
    made = instance.fetch_materializations(key, limit=1).records
    seen = instance.fetch_observations(key, limit=1).records
    found: list[tuple[float, Any]] = [(record.timestamp, record.asset_materialization) for record in made]
    found += [(record.timestamp, record.asset_observation) for record in seen]
    for _, event in sorted(found, key=lambda each: each[0], reverse=True):
        if event and (version := (event.tags or {}).get(VERSION)):
            return Event(version, event.metadata, ours=False)
    return None


def latest_of_partitions(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, str]:
    """Return the last data version of each partition of an asset that was made or observed."""
    found: dict[str, str] = {}
    for kind in (dg.DagsterEventType.ASSET_OBSERVATION, dg.DagsterEventType.ASSET_MATERIALIZATION):
        tags = instance.event_log_storage.get_latest_tags_by_partition(key, kind, [VERSION])
        found |= {partition: each[VERSION] for partition, each in tags.items() if VERSION in each}
    return found


def _maker(context: dg.InputContext) -> str | None:
    """Return the run that made the input: this one, or the one that it retries; None if neither did."""
    try:
        run = context.upstream_output.run_id if context.upstream_output else ""
    except dg.DagsterInvariantViolationError:  # a retry of runs none of which made it
        return None
    # An input from outside the run has a placeholder as its id.
    return run if run and context.instance.get_run_by_id(run) else None


def _event(record: dg.EventLogRecord, ours: bool) -> Event | None:
    event = record.asset_materialization
    version = (event.tags or {}).get(VERSION) if event else None
    return Event(version, event.metadata, ours) if event and version else None
