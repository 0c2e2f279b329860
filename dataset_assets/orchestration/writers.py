"""Files that another asset of the project writes: their source is asked when that asset has changed."""

from typing import Callable, Iterable, Mapping

import dagster as dg

from dataset_assets.definition.dataset import Dataset, RemoteFile
from dataset_assets.definition.partitioned import of_partition, partitioned_files
from dataset_assets.errors import NotPrepared, RetrievalError
from dataset_assets.making.partitions import can_list, listed_partitions, partitions_at_source
from dataset_assets.orchestration import keys
from dataset_assets.orchestration.events import latest, latest_of_partitions


def writers_of(files: Iterable[RemoteFile], source: dg.AssetKey | None = None) -> dict[str, dg.AssetKey]:
    """Return the key of the asset that writes each file, or that is its source; a file without one is left out."""
    found = {file.identifier: dg.AssetKey(file.after) if file.after else source for file in files}
    return {name: key for name, key in found.items() if key}


def written(instance: dg.DagsterInstance, writers: Mapping[str, dg.AssetKey]) -> dict[str, str]:
    """Return the data version of the asset that writes each file; an asset that has none is left out."""
    events = {key: latest(instance, key) for key in {*writers.values()}}
    return {name: event.version for name, key in writers.items() if (event := events[key])}


Written = dict[tuple[str, ...], dict[str, str]]
"""The data version of each partition of an asset, by the parts of its key; empty for one that history does not know."""


def partitions_written(context: dg.AssetExecutionContext, dataset: Dataset) -> Written:
    """Return the partitions of the assets that write a file for each: of the history, or else those at the source.

    If the source cannot be listed, those that the asset no longer has are left out. Raises `NotPrepared` without any.
    """
    found: Written = {}
    for file in partitioned_files(dataset).values():
        versions = latest_of_partitions(context.instance, dg.AssetKey(file.after))
        if not can_list(file) and (defined := _defined(context, dg.AssetKey(file.after))) is not None:
            versions = {partition: version for partition, version in versions.items() if partition in defined}
        try:
            found[file.after] = versions or dict.fromkeys(listed_partitions(dataset.name, file), "")
        except RetrievalError as error:
            name = "/".join(file.after)
            raise NotPrepared(
                f"No partition of the asset {name} was materialized, and {dataset.name} has a file for each. "
                f"Materialize a partition of {name} first."
            ) from error
    return found


def _defined(context: dg.AssetExecutionContext, key: dg.AssetKey) -> set[str] | None:
    """Return the partitions that an asset has now; None if the project does not say it."""
    graph = context.job_def.asset_layer.asset_graph
    has = graph.get(key).partitions_def if graph.has(key) else None
    return None if has is None else {*has.get_partition_keys(dynamic_partitions_store=context.instance)}


def written_by_partition(dataset: Dataset, found: Written) -> dict[str, str]:
    """Return the data version of the partition that wrote each file; empty where the history does not know it."""
    return {
        of_partition(file, partition).identifier: version
        for file in partitioned_files(dataset).values()
        for partition, version in found[file.after].items()
    }


def without_removed(dataset: Dataset, found: Written, unchanged: Callable[[str], bool]) -> Written:
    """Leave out the partitions whose file was removed at the source since it was retrieved.

    A file that is not there although its partition was written again is one that failed: its step says so. A source
    that cannot be listed is not asked.
    """
    left = dict(found)
    for file in partitioned_files(dataset).values():
        if (listed := partitions_at_source(file)) is not None:
            there = {*listed}
            left[file.after] = {
                partition: version
                for partition, version in left[file.after].items()
                if partition in there or not unchanged(of_partition(file, partition).identifier)
            }
            if not left[file.after]:
                listed_partitions(dataset.name, file)  # which says that there is none
    return left


def changed(instance: dg.DagsterInstance, places: Mapping[str, dg.AssetKey], versions: Mapping[str, str]) -> set[str]:
    """Return the files whose asset has another data version than when their source was asked last.

    `places` are the assets that hold the files.
    """
    seen = {key: latest(instance, key) for key in {places[name] for name in versions}}
    found = set()
    for name, version in versions.items():
        event = seen[places[name]]
        before = (event.get(keys.AFTER) or {}) if event else {}
        if before.get(name) != version:
            found.add(name)
    return found
