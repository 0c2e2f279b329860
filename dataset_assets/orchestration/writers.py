"""Files that another asset of the project writes: their source is asked when that asset has changed."""

from typing import Iterable, Mapping

import dagster as dg

from dataset_assets.definition.remote_file import RemoteFile
from dataset_assets.orchestration import keys
from dataset_assets.orchestration.events import latest


def writers_of(files: Iterable[RemoteFile]) -> list[dg.AssetKey]:
    """Return the keys of the assets that write files."""
    return [dg.AssetKey(after) for after in dict.fromkeys(file.after for file in files if file.after)]


def written(instance: dg.DagsterInstance, files: Iterable[RemoteFile]) -> dict[str, str]:
    """Return the data version of the asset that writes each file, by the file; an asset that has none is left out."""
    found = {key: latest(instance, key) for key in writers_of(files)}
    events = {file.identifier: found[dg.AssetKey(file.after)] for file in files if file.after}
    return {name: event.version for name, event in events.items() if event}


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
