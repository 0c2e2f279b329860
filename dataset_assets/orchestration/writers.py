"""Files that another asset of the project writes: their source is asked when that asset has changed."""

from typing import Iterable, Mapping

import dagster as dg

from dataset_assets.definition.dataset import Dataset, RemoteFile
from dataset_assets.definition.partitioned import of_partition, partitioned_files
from dataset_assets.errors import NotPrepared, RetrievalError
from dataset_assets.making.partitions import listed_partitions
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


def partitions_written(instance: dg.DagsterInstance, dataset: Dataset) -> Written:
    """Return the partitions of the assets that write a file for each: of the history, or else those at the source.

    Raises `NotPrepared` if neither has one.
    """
    found: Written = {}
    for file in partitioned_files(dataset).values():
        versions = latest_of_partitions(instance, dg.AssetKey(file.after))
        try:
            found[file.after] = versions or dict.fromkeys(listed_partitions(dataset.name, file), "")
        except RetrievalError as error:
            name = "/".join(file.after)
            raise NotPrepared(
                f"No partition of the asset {name} was materialized, and {dataset.name} has a file for each. "
                f"Materialize a partition of {name} first."
            ) from error
    return found


def written_by_partition(dataset: Dataset, found: Written) -> dict[str, str]:
    """Return the data version of the partition that wrote each file; empty where the history does not know it."""
    return {
        of_partition(file, partition).identifier: version
        for file in partitioned_files(dataset).values()
        for partition, version in found[file.after].items()
    }


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
