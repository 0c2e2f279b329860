"""Compares Dagster's history with the storage, and mends the history: after a lost database, or a machine that stopped.

The storage is the truth. A version that it has released and the history does not show last is recorded, once. A run
that the history calls running, and whose process has ended, is recorded as failed.
"""

import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any, Callable, Iterator, Mapping, Sequence

import dagster as dg

from dataset_assets.core.processes import lives, started_at
from dataset_assets.core.redact import redacted
from dataset_assets.definition.dataset import Dataset, DerivedFile, RemoteFile
from dataset_assets.orchestration import keys, previews
from dataset_assets.orchestration.assets import assets_of
from dataset_assets.orchestration.events import VERSION, latest
from dataset_assets.orchestration.instance import history, opened
from dataset_assets.orchestration.ops import RawAssets, Steps
from dataset_assets.orchestration.translation import Translated, Translation, translated
from dataset_assets.reading.load import open_split
from dataset_assets.storage import Storage
from dataset_assets.storage.manifest import SplitIndex, Version
from dataset_assets.storage.stored_dataset import UNUSABLE, StoredDataset

LAUNCHERS = ("DefaultRunLauncher", "SyncInMemoryRunLauncher")
"""The launchers whose runs are processes of this machine."""
CLOCK_SECONDS = 5.0
BEGUN = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)


@dataclass(frozen=True)
class Difference:
    """Where history and storage differ.

    `kind` is `unrecorded` (the storage has a version that the history does not show last), `lost` (the history shows
    a version that the storage does not have) or `left` (a run whose process has ended).
    """

    kind: str
    what: str
    message: str
    mended: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON value."""
        return asdict(self)


@dataclass(frozen=True)
class _Stored:
    """What the storage has of an asset; the metadata is made only if it is recorded."""

    key: dg.AssetKey
    version: str
    metadata: Callable[[], Mapping[str, Any]]


def reconcile(
    datasets: Sequence[Dataset],
    storage: Storage,
    *,
    mend: bool = False,
    raw_assets: RawAssets = "",
    translation: Translation | None = None,
) -> list[Difference]:
    """Return where the history and the storage differ, for these datasets, and with `mend` record what is missing.

    The assets are those of `definitions` with the same `raw_assets` and `translation`.
    """
    with history() as home, opened(home) as instance:
        found = [*_runs(instance, mend)]
        for dataset in datasets:
            stored = StoredDataset(storage, dataset.name).remembering()
            found += _Compared(instance, dataset, stored, raw_assets, translation).differences(mend)
        return found


@dataclass(frozen=True)
class _Compared:
    """A dataset in the history, under the keys of its project, and in the storage."""

    instance: dg.DagsterInstance
    dataset: Dataset
    stored: StoredDataset
    raw_assets: RawAssets
    translation: Translation | None

    def differences(self, mend: bool) -> Iterator[Difference]:
        """Yield where they differ, and with `mend` record what is missing in the history."""
        current = self.stored.current()
        if current.version is None or current.digest is None:
            event = latest(self.instance, self.key())
            if event and event.version not in self.stored.versions():
                where = redacted(self.stored.storage.url)
                said = f"The history shows version {event.version}, and {where} has none. Materialize it again."
                yield Difference("lost", self.dataset.name, said)
            return
        for asset in self.assets(current.version, current.digest):
            event = latest(self.instance, asset.key)
            if event is None or event.version != asset.version:
                if mend:
                    _record(self.instance, asset)
                before = f"the history shows {event.version}" if event else "the history shows no version"
                name = asset.key.to_user_string()
                yield Difference("unrecorded", name, f"The storage has {asset.version}; {before}.", mend)

    def assets(self, version: Version, digest: str) -> Iterator[_Stored]:
        """Yield what is released, in the order in which it is made."""
        whole = Steps(keys.IO, raw=self.raw_assets).has_one(self.dataset)
        # The one asset of many raw files has a version of its own, which its next run gives it.
        raws = map(self.stored.raw, [name for name, file in self.dataset.files.items() if _is_asset(file, whole)])
        for raw in filter(None, raws):
            yield _Stored(self.key("raw", raw.name), raw.sha256, partial(previews.of_raw, self.stored, raw))
        for split, index_digest in version.splits.items():
            with suppress(*UNUSABLE):
                yield from self._of_split(self.stored.index(split, index_digest), index_digest, whole)
        shown = partial(previews.of_version, self.stored.storage, version, digest)
        yield _Stored(self.key(), digest, shown)

    def _of_split(self, index: SplitIndex, digest: str, whole: bool) -> Iterator[_Stored]:
        for name in () if whole else index.streams:
            shown = partial(previews.of_stream, self.stored.storage, index, name)
            yield _Stored(self.key(index.split, name), keys.stream_version(index, name), shown)
        view = open_split(self.stored, index.split, digest)
        yield _Stored(self.key(index.split), digest, partial(previews.of_split, view, index))

    def key(self, *rest: str) -> dg.AssetKey:
        """Return the key of something of the dataset in its project."""
        ours = keys.key(self.dataset.name, *rest)
        return self.renamed.get(ours, ours)

    @cached_property
    def renamed(self) -> Mapping[dg.AssetKey, dg.AssetKey]:
        """The key in the project of each asset whose key it has changed."""
        if self.translation is None:
            return {}
        given = Translated(self.translation)
        return translated(assets_of(self.dataset, Steps(keys.IO, raw=self.raw_assets, translation=given)), given)[1]


def _is_asset(file: RemoteFile | DerivedFile, whole: bool) -> bool:
    return not whole if isinstance(file, RemoteFile) else file.keep


def _record(instance: dg.DagsterInstance, asset: _Stored) -> None:
    note = {"recorded by": "dataset-assets reconcile"}
    event = dg.AssetMaterialization(
        asset.key, metadata={**asset.metadata(), **note}, tags={VERSION: asset.version}, description="Found stored."
    )
    instance.report_runless_asset_event(event)


def _runs(instance: dg.DagsterInstance, mend: bool) -> Iterator[Difference]:
    """Yield the runs whose process has ended on this machine; those of other launchers may be on other machines."""
    if type(instance.run_launcher).__name__ not in LAUNCHERS:
        return
    for record in instance.get_run_records(dg.RunsFilter(statuses=[*BEGUN])):
        run = record.dagster_run
        process = _process(instance, run.run_id)
        if process is None or _may_be(process, record.start_time or time.time()):
            continue
        if mend:
            instance.report_run_failed(run, f"Its process {process} has ended, as dataset-assets reconcile found.")
        said = (
            f"The history calls it {run.status.value}, and its process {process} on {socket.gethostname()} has ended."
        )
        yield Difference("left", f"run {run.run_id}", said, mend)


def _process(instance: dg.DagsterInstance, run: str) -> int | None:
    """Return the process of a run, by the first event that names one; those of its steps are named later."""
    for entry in instance.all_logs(run, of_type=dg.DagsterEventType.ENGINE_EVENT):
        data = entry.dagster_event and entry.dagster_event.event_specific_data
        pid = getattr(data, "metadata", {}).get("pid")
        if pid is not None and str(pid.value).isdigit():
            return int(str(pid.value))
    return None


def _may_be(process: int, since: float) -> bool:
    """Say whether a process lives that is not younger than its run: numbers are used again."""
    began = started_at(process)
    return lives(process) and (began is None or began <= since + CLOCK_SECONDS)
