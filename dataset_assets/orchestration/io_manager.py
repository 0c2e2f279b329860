"""The IO manager is the storage connector, in both directions: the one publisher, and how assets are opened.

`handle_output` stores what a maker staged; `load_input` gives a raw file opened, a stream or a split as a `View`, and a
dataset as a mapping of views. What is opened is named by the digest of this run's upstream event, so that a run never
sees half of somebody else's release.
"""

import os
from dataclasses import replace
from typing import Any, Mapping

import dagster as dg

from dataset_assets.core.redact import redacted
from dataset_assets.core.settings import settings
from dataset_assets.definition.dataset import Dataset, RemoteFile
from dataset_assets.errors import NotPrepared, UsageError
from dataset_assets.making.steps import RawFile, StagedRaw, StagedSplit
from dataset_assets.orchestration import keys, previews
from dataset_assets.orchestration.events import Event, upstream_event
from dataset_assets.orchestration.handover import Handed, Made, OpenedRaw, Release, StagedFile, StagedStream, Upstream
from dataset_assets.orchestration.retries import no_vain_retries
from dataset_assets.reading.load import load, open_split
from dataset_assets.reading.views import View
from dataset_assets.retrieval import Source
from dataset_assets.storage import Storage, open_storage, size_of
from dataset_assets.storage import releases as publishing
from dataset_assets.storage.manifest import SplitIndex, Version, digest_of, raw_key


class StorageIOManager(dg.IOManagerDefinition, dg.IOManager):
    """Stores assets in, and opens them from, the storage at a URL; where none is given, that of the settings.

    The URL may be a `dg.EnvVar`, which is read when a run begins its work. It is no field of Dagster's configuration:
    the storage is chosen by whoever deploys, and a run that is launched with another one is refused.
    """

    def __init__(self, storage: str = "") -> None:
        self.storage = storage
        # It is its own definition. Any field in the schema could be given in a run's config, by whoever launches it.
        super().__init__(lambda _: self, config_schema={}, description=self.__doc__)

    def __repr__(self) -> str:
        url = self.storage
        shown = f"EnvVar({url.env_var_name!r})" if isinstance(url, dg.EnvVar) else repr(redacted(url))
        return f"{type(self).__name__}(storage={shown})"

    def opened(self) -> Storage:
        """Open the storage. Raises `UsageError` if an environment variable was to name it and does not."""
        if not isinstance(self.storage, dg.EnvVar):
            return open_storage(self.storage or settings().storage)
        name = self.storage.env_var_name
        if not (url := os.environ.get(name)):
            raise UsageError(f"The environment variable {name}, which names the storage, is not set. Set it to a URL.")
        return open_storage(url)

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Publish what was staged, and describe it."""
        with no_vain_retries():
            work, began = (obj.what, {keys.POINTER: obj.began}) if isinstance(obj, Handed) else (obj, {})
            context.add_output_metadata({**_publish(self.opened(), work), **began})

    def load_input(self, context: dg.InputContext) -> Any:
        """Open an asset by the digest of this run's upstream event; without any event, the version that is released."""
        what = context.upstream_output.definition_metadata if context.upstream_output else context.definition_metadata
        with no_vain_retries():
            storage, event = self.opened(), upstream_event(context)
            if keys.FILE in what:
                return _opened_raw(storage, what[keys.DATASET], what[keys.FILE], event)
            if keys.SPLIT not in what:
                name = what[keys.DATASET]
                return load(f"{name}@{event.version}" if event else name, storage=storage)
            view = _opened_split(storage, what, event)
            # Only our own steps need more than the view: to know what their run found released.
            return Upstream(view, _began(event)) if keys.OURS in context.op_def.tags else view

    # What bodies ask before they work: they never touch a storage themselves.

    def usable_raw(self, dataset: Dataset, file: RemoteFile) -> RawFile | None:
        """Return the raw file if it is stored, and the one that the definition means."""
        return publishing.usable_raw(self.opened(), dataset, file)

    def recorded_raw(self, dataset: Dataset, file: RemoteFile) -> RawFile | None:
        """Return what was recorded when this very URL was first retrieved."""
        return publishing.recorded_raw(self.opened(), dataset, file)

    def check_raw(self, dataset: Dataset, raw: RawFile) -> None:
        """Hash a stored raw file; raise `DigestMismatch` if it is not what was stored, `NotPrepared` if it is gone."""
        publishing.check_raw(self.opened(), dataset, raw)

    def made_raw(self, dataset: Dataset, file: str, recipe: str) -> RawFile | None:
        """Return a stored derived file that was made by this recipe."""
        return publishing.made_raw(self.opened(), dataset, file, recipe)

    def made_split(self, dataset: Dataset, split: str, recipe: str) -> SplitIndex | None:
        """Return the index of a stored split that was made by this recipe."""
        made = publishing.made_split(self.opened(), dataset, split, recipe)
        # Its streams are shown in the order of the definition; the index has them by name.
        return replace(made[0], streams={name: made[0].streams[name] for name in dataset.streams}) if made else None

    def released(self, dataset: Dataset, recipe: str) -> Version | None:
        """Return the released version, if it is of this recipe."""
        current, _, _ = publishing.current_version(self.opened(), dataset.name)
        return current if current and current.recipe == recipe else None

    def pointer(self, dataset: Dataset) -> str | None:
        """Return the digest of the pointer to the current version, for a later release."""
        return publishing.current_version(self.opened(), dataset.name)[2]

    # What bodies store besides their outputs.

    def keep(self, refused: "StagedSplit | Version") -> str:
        """Store what may not be released, so that it can be looked at by its digest."""
        storage = self.opened()
        if isinstance(refused, Version):
            return publishing.publish_version(storage, refused)
        return publishing.publish_split(storage, refused)

    def mend(self, dataset: Dataset, staged: StagedRaw) -> None:
        """Store a raw file anew whose bytes were damaged, or gone, since its own step."""
        publishing.publish_raw(self.opened(), dataset, staged)


def _opened_raw(storage: Storage, name: str, file: str, event: Event | None) -> OpenedRaw:
    raw = publishing.raw_record(storage, name, file)
    if event and (raw is None or raw.sha256 != event.version):
        # Another run has retrieved other bytes since; those of this one are still there, under their digest.
        size = size_of(storage, raw_key(name, file, event.version))
        raw = None if size is None else RawFile(file, event.version, size, "", None, Source(""))
    if raw is None:
        raise NotPrepared(f"The raw file {file} of {name} is not in {storage.url}. Materialize it first.")
    return OpenedRaw(storage, name, raw, bool(event and event.ours and event.get(keys.ARRIVED)), _began(event))


def _opened_split(storage: Storage, what: Mapping[str, Any], event: Event | None) -> Any:
    name, split, stream = what[keys.DATASET], what[keys.SPLIT], what.get(keys.STREAM)
    index = event and (event.get(keys.INDEX) if stream else event.version)
    view: View = open_split(storage, name, split, index) if index else load(name, split, storage=storage)
    return view.only(stream) if stream else view


def _began(event: Event | None) -> str | None:
    found = event.get(keys.POINTER) if event and event.ours else None
    return None if found is None else str(found)


def _publish(storage: Storage, obj: object) -> Mapping[str, Any]:
    """Publish one staged thing; what a maker found already made is only described."""
    match obj:
        case StagedFile():
            raw = publishing.publish_raw(storage, obj.dataset, obj.staged)
            return previews.of_raw(storage, obj.dataset.name, raw) | {keys.ARRIVED: True}
        case StagedStream(staged=StagedSplit() as staged):
            publishing.publish_stream(storage, staged, obj.stream)
            return previews.of_stream(storage, staged.index, obj.stream)
        case StagedSplit():
            publishing.publish_index(storage, obj)
            return _described(storage, obj.index)
        case Release():
            digest = publishing.release(storage, obj.version, obj.expected)
            return previews.of_version(storage, obj.version, digest)
        case Made(what=RawFile() as raw):
            return previews.of_raw(storage, obj.dataset, raw)
        case StagedStream(staged=Made(what=SplitIndex() as index)):
            return previews.of_stream(storage, index, obj.stream)
        case Made(what=SplitIndex() as index):
            return _described(storage, index)
    raise TypeError(f"the IO manager of dataset_assets stores its own assets, not a {type(obj).__name__}")


def _described(storage: Storage, index: SplitIndex) -> Mapping[str, Any]:
    return previews.of_split(open_split(storage, index.dataset, index.split, digest_of(index)), index)
