"""What the functions of our assets share: their maker, the pointer that their run began with, their outputs."""

import time
from typing import Any, Callable, Iterable, Mapping

import dagster as dg

from dataset_assets.core.progress import report
from dataset_assets.definition.dataset import Dataset
from dataset_assets.definition.partitioned import with_partitions
from dataset_assets.making.maker import Maker
from dataset_assets.making.patterns import files_used, with_recorded
from dataset_assets.orchestration import handed_over
from dataset_assets.orchestration.elsewhere import warn_if_elsewhere
from dataset_assets.orchestration.handover import Absent, Given, OpenedRaw, RawFiles, Upstream
from dataset_assets.orchestration.io_manager import StorageIOManager
from dataset_assets.reading.stored_files import index_of
from dataset_assets.storage.stored_dataset import StoredDataset

TOLD_AFTER_SECONDS = 10
"""How long work takes before the event log says how far it is; then it is said in growing steps."""


def maker_of(
    context: dg.AssetExecutionContext, dataset: Dataset, io: str, opened: Mapping[str, Given], **options: Any
) -> Maker:
    """Return a maker that uses the inputs of a step; its dataset has the partitions and listed files that they have.

    Raises `NotPrepared` if an input is not stored.
    """
    for given in opened.values():
        if isinstance(given, Absent):
            raise given.error
    connector: StorageIOManager = getattr(context.resources, io)
    storage = connector.opened()
    warn_if_elsewhere(context, storage)
    for given in opened.values():
        if isinstance(given, RawFiles):
            dataset = with_recorded(with_partitions(dataset, given.partitions), given.listed)
        elif isinstance(given, Upstream):
            dataset = with_recorded(dataset, {given.view.split: files_used(dataset, index_of(given.view))})
    maker = Maker(dataset, StoredDataset(storage, dataset.name), run=context.run.run_id, **options)
    for given in opened.values():
        if isinstance(given, OpenedRaw):
            maker.add_raw(given.raw, undamaged=given.hashed)
            handed_over.take(context.run.run_id, maker, given.raw)
        elif isinstance(given, Upstream):
            maker.add_split(given.view.split, given.view.origin.index, given.view)
    return maker


def began_with(maker: Maker, opened: Iterable[Given]) -> str:
    """Return the dataset's pointer when this run began with it, as far as its steps know; empty: there was none."""
    seen = [given.began for given in opened if given.began is not None]
    return seen[0] if seen else maker.stored.current().pointer or ""


def output(key: dg.AssetKey, value: object, version: str) -> dg.Output[Any]:
    """Return the output of an asset, with its data version."""
    return dg.Output(value, output_name=key.to_python_identifier(), data_version=dg.DataVersion(version))


class Downloads:
    """The progress of the downloads of a step: long ones are told to the event log, by the thread of the step."""

    def __init__(self, log: Callable[[str], None], after: float | None = None) -> None:
        self.log, self.after = log, TOLD_AFTER_SECONDS if after is None else after
        self._state: dict[str, tuple[int, int | None]] = {}
        self._due: dict[str, tuple[float, float]] = {}

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Receive how many bytes of a file have come, and report it further; any thread may call it."""
        report(what, done, total)
        self._due.setdefault(what, (time.monotonic() + self.after, self.after))
        self._state[what] = done, total

    def tell(self) -> None:
        """Log what is due."""
        now = time.monotonic()
        for what, (due, wait) in [*self._due.items()]:
            done, total = self._state.get(what, (0, None))
            if now >= due and done != total:
                self.log(self.line(what, done, total))
                self._due[what] = now + 2 * wait, 2 * wait

    def line(self, what: str, done: int, total: int | None) -> str:
        """Return what the log is told."""
        return f"{what}: {done:,} bytes of {'an unknown number' if total is None else f'{total:,}'}."


class MadeSamples(Downloads):
    """The progress of a split that is made, by whatever engine: a long one is told to the event log."""

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Receive how many samples are made; the thread of the step calls it."""
        super().__call__(what, done, total)
        self.tell()

    def line(self, what: str, done: int, total: int | None) -> str:
        """Return what the log is told."""
        return f"{what}: {done:,} samples are made." if total is None else f"{what}: {done:,} of {total:,} samples."
