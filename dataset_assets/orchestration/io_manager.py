"""The IO manager publishes assets to the storage, and opens them as inputs; it decides nothing.

`handle_output` stores what a maker staged; `load_input` gives an open raw file, a stream or split as a `View`, and a
dataset as a mapping of views. It opens by the digest of this run's upstream event, so that a run never sees half of
another run's release.
"""

import os
from typing import Any, Mapping

import dagster as dg

from dataset_assets.core.canonical import digest_of
from dataset_assets.core.commands import command
from dataset_assets.core.redact import redacted
from dataset_assets.core.settings import settings
from dataset_assets.errors import NotPrepared, UsageError
from dataset_assets.making.existing import publish_index, publish_raw, publish_split, publish_stream
from dataset_assets.making.provisional import prove
from dataset_assets.making.steps import StagedSplit
from dataset_assets.orchestration import handed_over, keys, previews
from dataset_assets.orchestration.annotated import as_annotated
from dataset_assets.orchestration.changes import what_changed
from dataset_assets.orchestration.events import Event, unpacked, upstream_event
from dataset_assets.orchestration.handover import (
    Absent,
    AllRaw,
    AlreadyStored,
    Given,
    OpenedRaw,
    RawFiles,
    Release,
    StagedFile,
    StagedStream,
    StepOutput,
    Upstream,
    WholeSplit,
)
from dataset_assets.orchestration.retries import no_vain_retries
from dataset_assets.reading.load import load, open_split
from dataset_assets.reading.stored_files import index_of
from dataset_assets.storage import Storage, open_storage, size_of
from dataset_assets.storage.keys import raw_key
from dataset_assets.storage.licenses import see_allowed
from dataset_assets.storage.manifest import SplitIndex
from dataset_assets.storage.raw_files import RawFile, Source
from dataset_assets.storage.releases import release
from dataset_assets.storage.stored_dataset import StoredDataset


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
        if url := self.url():
            return open_storage(url)
        name = getattr(self.storage, "env_var_name", "")
        raise UsageError(f"The environment variable {name}, which names the storage, is not set. Set it to a URL.")

    def url(self) -> str:
        """Return the URL of the storage; empty if an environment variable is to name it and is not set."""
        if isinstance(self.storage, dg.EnvVar):
            return os.environ.get(self.storage.env_var_name, "")
        return self.storage or settings().storage

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Publish what is staged, and describe it."""
        with no_vain_retries():
            if isinstance(obj, StepOutput):
                after = {keys.AFTER: dg.MetadataValue.json(dict(obj.after))} if obj.after else {}
                took = {} if obj.seconds is None else {"seconds": obj.seconds}
                described = _publish(self.opened(), obj.what, context.run_id)
                context.add_output_metadata({**described, **took, keys.POINTER: obj.began, **after})
            else:
                context.add_output_metadata(_publish(self.opened(), obj, context.run_id))

    def load_input(self, context: dg.InputContext) -> Any:
        """Open an asset by the digest of this run's upstream event; without any event, the version that is released."""
        with no_vain_retries():
            what, storage, event = _metadata_of(context), self.opened(), upstream_event(context)
            if keys.OURS in context.op_def.tags:
                return _for_ours(storage, what, event)
            return as_annotated(_for_others(storage, what, event), context.dagster_type.typing_type)


def _metadata_of(context: dg.InputContext) -> Mapping[str, Any]:
    """Return the metadata of an asset and of the input. Raises `UsageError` if the asset is not of a dataset."""
    asset = context.upstream_output.definition_metadata if context.upstream_output else {}
    what = {**asset, **context.definition_metadata}
    if keys.DATASET not in what:
        raise UsageError(
            f"The asset {context.asset_key.to_user_string()} is not one of dataset_assets, so its IO manager cannot "
            "load it. Give the input another IO manager, or describe the asset by dataset_specs(...) or asset_in(...)."
        )
    if keys.WANTED in what and what.keys() & {keys.SPLIT, keys.FILE, keys.FILES}:
        raise UsageError(f"{context.asset_key.to_user_string()} is not a release, so it has no split to choose.")
    return what


def _for_ours(storage: Storage, what: Mapping[str, Any], event: Event | None) -> Given:
    """Open an input of our own assets, which need the pointer that their run began with, too."""
    if keys.FILES in what:
        return _all_raw(StoredDataset(storage, what[keys.DATASET]), event)
    try:
        if keys.FILE in what:
            return _opened_raw(StoredDataset(storage, what[keys.DATASET]), what[keys.FILE], event)
        return Upstream(_opened_split(storage, what, event), _began(event))
    except NotPrepared as error:
        return Absent(error)


def _for_others(storage: Storage, what: Mapping[str, Any], event: Event | None) -> Any:
    """Open an input of a project's assets: a file, a view, or a dict of views."""
    name = what[keys.DATASET]
    if keys.FILES in what:
        return _all_raw(StoredDataset(storage, name), event)
    if keys.FILE in what:
        return _present(_opened_raw(StoredDataset(storage, name), what[keys.FILE], event))
    if keys.SPLIT not in what:
        return load(f"{name}@{event.version}" if event else name, what.get(keys.WANTED), storage=storage)
    view = _opened_split(storage, what, event)
    see_allowed(index_of(view))
    return view.only(what[keys.STREAM]) if keys.STREAM in what else view


def _opened_raw(stored: StoredDataset, file: str, event: Event | None) -> OpenedRaw:
    raw = stored.raw(file)
    if event and (raw is None or raw.sha256 != event.version):
        # Another run has retrieved other bytes since; those of this run are still stored, under their digest.
        size = size_of(stored.storage, raw_key(stored.name, file, event.version))
        raw = None if size is None else RawFile(file, event.version, size, "", None, Source(""))
    if raw is None:
        raise NotPrepared(f"The raw file {file} of {stored.name} is not in {stored.storage.url}. Materialize it first.")
    return OpenedRaw(stored, raw, bool(event and event.ours and event.get(keys.ARRIVED)), _began(event))


def _all_raw(stored: StoredDataset, event: Event | None) -> RawFiles:
    pairs = (event.get(keys.PARTITIONS) if event else None) or []
    partitions = {tuple(asset): found for asset, found in pairs}
    listed = unpacked(event.get(keys.LISTED) if event else None) or {}
    if event is None or not event.ours:
        return RawFiles(stored, {}, {}, partitions=partitions, listed=listed)
    needs, failed = event.get(keys.NEEDS) or {}, event.get(keys.FAILED) or {}
    return RawFiles(stored, needs, failed, bool(event.get(keys.ARRIVED)), _began(event), partitions, listed)


def _present(opened: OpenedRaw) -> OpenedRaw:
    """Return a raw file if its bytes are stored; our own assets retrieve what is gone when they need it."""
    if not opened.stored.has_raw(opened.raw):
        name, url = opened.stored.name, opened.stored.storage.url
        raise NotPrepared(
            f"The raw file {opened.raw.name} of {name} is not in {url}. Define it with keep=True if it is not to stay "
            f"there; else get it with: {command(f'prepare --refresh {name}', url)}"
        )
    return opened


def _opened_split(storage: Storage, what: Mapping[str, Any], event: Event | None) -> Any:
    name, split, stream = what[keys.DATASET], what[keys.SPLIT], what.get(keys.STREAM)
    index = event and (event.get(keys.INDEX) if stream else event.version)
    return open_split(StoredDataset(storage, name), split, index) if index else load(name, split, storage=storage)


def _began(event: Event | None) -> str | None:
    found = event.get(keys.POINTER) if event and event.ours else None
    return None if found is None else str(found)


def _publish(storage: Storage, obj: object, run: str) -> Mapping[str, Any]:
    """Publish what is staged, and describe it; what is stored already is only described.

    A file that is not kept is left for the steps of this run that read it, until the run releases the dataset.
    """
    match obj:
        case StagedFile():
            stored = StoredDataset(storage, obj.dataset)
            raw = publish_raw(stored, obj.staged)
            handed_over.leave(run, obj.dataset, obj.staged)
            return previews.of_raw(stored, raw) | {keys.ARRIVED: obj.staged.keep}
        case StagedStream(split=StagedSplit() as staged):
            publish_stream(StoredDataset(storage, staged.index.dataset), staged, obj.stream)
            return previews.of_stream(storage, staged.index, obj.stream)
        case AllRaw():
            return previews.of_all_raw(obj)
        case WholeSplit(staged=staged):
            publish_split(StoredDataset(storage, staged.index.dataset), staged)
            return _described(storage, staged.index)
        case StagedSplit():
            publish_index(StoredDataset(storage, obj.index.dataset), obj)
            return _described(storage, obj.index)
        case Release():
            stored = StoredDataset(storage, obj.version.dataset)
            before = stored.current()
            digest = release(stored, obj.version, obj.expected, obj.aliases)
            prove(stored, obj.proven)
            handed_over.clear(run, stored.name)
            return previews.of_version(storage, obj.version, digest) | what_changed(stored, before, digest)
        case AlreadyStored(what=RawFile() as raw):
            return previews.of_raw(StoredDataset(storage, obj.dataset), raw)
        case StagedStream(split=AlreadyStored(what=SplitIndex() as index)):
            return previews.of_stream(storage, index, obj.stream)
        case AlreadyStored(what=SplitIndex() as index):
            return _described(storage, index)
    raise TypeError(f"The IO manager of dataset_assets stores only its own assets, not a {type(obj).__name__}.")


def _described(storage: Storage, index: SplitIndex) -> Mapping[str, Any]:
    return previews.of_split(open_split(StoredDataset(storage, index.dataset), index.split, digest_of(index)), index)
