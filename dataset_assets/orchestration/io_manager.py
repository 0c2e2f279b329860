"""The IO manager is the storage connector, in both directions: the one publisher, and how assets are opened.

`handle_output` stores what a maker staged; `load_input` gives a raw file opened, a stream or a split as a `View`, and a
dataset as a mapping of views. What is opened is named by the digest of this run's upstream event, so that a run never
sees half of somebody else's release.
"""

from dataclasses import replace
from typing import Any, BinaryIO, Mapping

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from dataset_assets import publishing
from dataset_assets.definition import Dataset, RemoteFile
from dataset_assets.errors import NotPrepared
from dataset_assets.index import SplitIndex, Version, digest_of, raw_key
from dataset_assets.loading import load, open_split, open_version
from dataset_assets.making import RawFile, StagedSplit
from dataset_assets.orchestration import keys, previews
from dataset_assets.orchestration.staged import Made, Release, StagedFile, StagedStream
from dataset_assets.publishing import current_version
from dataset_assets.settings import settings
from dataset_assets.storage import Storage, open_storage, size_of


class StorageIOManager(dg.ConfigurableIOManager):
    """Stores assets in, and opens them from, the storage at a URL; where none is given, that of the settings."""

    storage: str = ""

    def opened(self) -> Storage:
        """Open the storage."""
        return open_storage(self.storage or settings().storage)

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Publish what was staged, and describe it."""
        storage = self.opened()
        context.add_output_metadata(_publish(storage, obj))

    def load_input(self, context: dg.InputContext) -> Any:
        """Open an asset by the digest of this run's upstream event."""
        what = context.upstream_output.definition_metadata if context.upstream_output else context.definition_metadata
        storage, (digest, recorded) = self.opened(), _event(context)
        name, split = what[keys.DATASET], what.get(keys.SPLIT)
        if keys.FILE in what:
            return self._raw(storage, name, what[keys.FILE], digest)
        if split is None:
            return load(f"{name}@{digest}" if digest else name, storage=storage)
        if keys.STREAM in what:
            digest = recorded
        digest = digest or open_version(storage, name)[0].splits[split]
        view = open_split(storage, name, split, digest)
        return view.only(what[keys.STREAM]) if keys.STREAM in what else view

    def _raw(self, storage: Storage, name: str, file: str, digest: str | None) -> "OpenedRaw":
        raw = publishing.raw_record(storage, name, file)
        if raw is not None and digest is not None and raw.sha256 != digest:
            # Another run has retrieved other bytes since; those of this one are still there, under their content.
            size = size_of(storage, raw_key(name, file, digest))
            raw = None if size is None else replace(raw, sha256=digest, bytes=size)
        if raw is None:
            raise NotPrepared(f"The raw file {file} of {name} is not in {storage.url}. Materialize it first.")
        return OpenedRaw(storage, name, raw)

    # What bodies ask before they work: they never touch a storage themselves.

    def usable_raw(self, dataset: Dataset, file: RemoteFile) -> RawFile | None:
        """Return the raw file if it is stored, and the one that the definition means."""
        return publishing.usable_raw(self.opened(), dataset, file)

    def recorded_raw(self, dataset: Dataset, file: RemoteFile) -> RawFile | None:
        """Return what was recorded when this very URL was first retrieved."""
        return publishing.recorded_raw(self.opened(), dataset, file)

    def made_raw(self, dataset: Dataset, file: str, recipe: str) -> RawFile | None:
        """Return a stored derived file that was made by this recipe."""
        return publishing.made_raw(self.opened(), dataset, file, recipe)

    def made_split(self, dataset: Dataset, split: str, recipe: str) -> SplitIndex | None:
        """Return the index of a stored split that was made by this recipe."""
        made = publishing.made_split(self.opened(), dataset, split, recipe)
        return made[0] if made else None

    def pointer(self, dataset: Dataset) -> str | None:
        """Return the digest of the pointer to the current version, for a later release."""
        return current_version(self.opened(), dataset.name)[2]

    def keep(self, refused: "StagedSplit | Version") -> str:
        """Store what may not be released, so that it can be looked at by its digest."""
        storage = self.opened()
        if isinstance(refused, Version):
            return publishing.publish_version(storage, refused)
        return publishing.publish_split(storage, refused)


class OpenedRaw:
    """A raw file as an input: what is known of it, and `open()`."""

    def __init__(self, storage: Storage, dataset: str, raw: RawFile) -> None:
        self.storage, self.dataset, self.raw = storage, dataset, raw

    def open(self) -> BinaryIO:
        """Open the file: seekable, read-only, read when asked."""
        return self.storage.get(raw_key(self.dataset, self.raw.name, self.raw.sha256))


def _publish(storage: Storage, obj: object) -> Mapping[str, Any]:
    """Publish one staged thing; what a maker found already made is only described."""
    match obj:
        case StagedFile():
            return previews.of_raw(storage, obj.dataset.name, publishing.publish_raw(storage, obj.dataset, obj.staged))
        case StagedStream(staged=StagedSplit() as staged):
            publishing.publish_stream(storage, staged, obj.stream)
            return previews.of_stream(storage, staged.index, obj.stream)
        case StagedSplit():
            digest = publishing.publish_index(storage, obj)
            return previews.of_split(open_split(storage, obj.index.dataset, obj.index.split, digest), obj.index)
        case Release():
            digest = publishing.release(storage, obj.version, obj.expected)
            return previews.of_version(storage, obj.version, digest)
        case Made(what=RawFile() as raw):
            return previews.of_raw(storage, obj.dataset, raw)
        case StagedStream(staged=Made(what=SplitIndex() as index)):
            return previews.of_stream(storage, index, obj.stream)
        case Made(what=SplitIndex() as index):
            return previews.of_split(open_split(storage, index.dataset, index.split, digest_of(index)), index)
    raise TypeError(f"the IO manager of dataset_assets stores its own assets, not a {type(obj).__name__}")


def _event(context: dg.InputContext) -> tuple[str | None, str | None]:
    """Return data version and index of the upstream's event in this run, else of its last; None if there is none."""
    run = context.step_context.run_id
    records = context.instance.fetch_materializations(context.asset_key, limit=20).records
    chosen = next((record for record in records if record.run_id == run), records[0] if records else None)
    if chosen is None or chosen.asset_materialization is None:
        return None, None
    event = chosen.asset_materialization
    index = event.metadata.get(keys.INDEX)
    return (event.tags or {}).get(DATA_VERSION_TAG), str(index.value) if index else None


