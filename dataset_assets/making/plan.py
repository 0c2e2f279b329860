"""What preparing a dataset would do: the files that it would retrieve, the splits that it would make, and the disk.

Nothing is retrieved and nothing is written, but about a second of one file is read to measure how fast its source is.
"""

import os
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Iterable, Iterator
from urllib.parse import unquote, urlsplit

from dataset_assets.core.files import Written
from dataset_assets.core.redact import redacted
from dataset_assets.core.settings import settings
from dataset_assets.definition.dataset import Dataset, RemoteFile, links_of
from dataset_assets.definition.linked import linked, own_name
from dataset_assets.errors import DatasetAssetsError, NoSpace, RetrievalError
from dataset_assets.making.asking import question
from dataset_assets.making.maker import Maker
from dataset_assets.making.partitions import with_listed_partitions
from dataset_assets.making.raw_files import meant_raw
from dataset_assets.making.shared import of_url, with_digest
from dataset_assets.making.terms import accepted
from dataset_assets.retrieval.on_this_machine import SCHEMES
from dataset_assets.retrieval.retriever import Looking, retriever_for
from dataset_assets.storage.storage import Storage
from dataset_assets.storage.stored_dataset import StoredDataset

SECONDS = 1.0
"""For how long a source is read to measure its rate."""
CONNECTIONS = 8
STREAMED = ("https", "http", "file")
"""The schemes whose files are read from the beginning; others list a folder or run a query first."""


@dataclass(frozen=True)
class PlannedFile:
    """A file that would be retrieved: its first URL, redacted, its size in bytes, and whether the storage keeps it."""

    dataset: str
    file: str
    url: str
    bytes: int | None
    keep: bool


@dataclass(frozen=True)
class Disk:
    """A place that would be written to: how many bytes at least, and how many are free."""

    folder: str
    bytes: int
    free: int


@dataclass(frozen=True)
class Plan:
    """What preparing would do. `rate` is in bytes a second; None if nothing was read, or its source did not answer."""

    storage: str
    """The URL of the storage, redacted."""
    files: tuple[PlannedFile, ...]
    splits: tuple[str, ...]
    asked: int
    """How many sources a refresh asks whether they changed."""
    terms: tuple[str, ...]
    """The datasets whose terms are not accepted."""
    disks: tuple[Disk, ...]
    rate: float | None

    @property
    def bytes(self) -> int:
        """The bytes of the files whose size is known."""
        return sum(file.bytes or 0 for file in self.files)

    @property
    def seconds(self) -> float | None:
        """How long the files of known size take at the measured rate."""
        return self.bytes / self.rate if self.rate else None

    def see_fits(self) -> None:
        """Raise `NoSpace` if the disk has no room for the files of known size."""
        for disk in self.disks:
            if disk.bytes > disk.free:
                raise NoSpace(
                    f"{disk.folder} needs at least {disk.bytes / 1e6:,.1f} MB, and has {disk.free / 1e6:,.1f} MB free. "
                    "Free some space, or set another home or storage."
                )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "bytes": self.bytes, "seconds": self.seconds}


def plan(dataset: Dataset, store: Storage, *, refresh: bool = False, measure: bool = True) -> Plan:
    """Return what `prepare` would do for a dataset and those that it is made of.

    Sizes that no definition or record states are asked for, unless the setting `offline` is on; with `measure` a source
    is read for a second.
    """
    every = [*map(with_listed_partitions, [*linked(dataset, store), dataset])]
    files, splits = _missing(every, store)
    measure = measure and not settings().offline
    if measure:
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            sizes = list(pool.map(_size, (file for _, file in files)))
    else:
        sizes = [file.size for _, file in files]
    planned = tuple(
        PlannedFile(name, file.identifier, redacted(file.urls[0]), size, bool(file.keep))
        for (name, file), size in zip(files, sizes)
    )
    allowed = {each.name for each in every if accepted(each)}
    return Plan(
        redacted(store.url),
        planned,
        tuple(splits),
        sum(len(each.remote_files) for each in every) if refresh else 0,
        tuple(each.name for each in every if each.name not in allowed),
        tuple(_disks(planned, store)),
        _rate([each for each in zip(files, sizes) if each[0][0] in allowed]) if measure else None,
    )


def see_at_hand(dataset: Dataset, store: Storage) -> None:
    """Raise `RetrievalError` with all files that are missing and not on this machine. Asks no source."""
    files, _ = _missing(map(with_listed_partitions, [*linked(dataset, store), dataset]), store)
    far = [(name, file) for name, file in files if _is_far(file)]
    if far:
        listed = "".join(f"\n  {name}: {redacted(file.urls[0])}" for name, file in far)
        raise RetrievalError(
            f"The setting `offline` is on, and {len(far)} file{'s are' if len(far) > 1 else ' is'} missing. Switch it "
            f"off (DATASET_ASSETS_OFFLINE=0), or prepare where there is a network and copy the storage:{listed}"
        )


def _missing(datasets: Iterable[Dataset], store: Storage) -> tuple[list[tuple[str, RemoteFile]], list[str]]:
    """Return the files that are to be retrieved, and the splits that are to be made; inputs come first."""
    files: list[tuple[str, RemoteFile]] = []
    splits: list[str] = []
    changing = set[str]()
    for dataset in datasets:
        with Maker(dataset, StoredDataset(store, dataset.name)) as maker:
            dataset = maker.dataset
            unmade = list(_unmade(maker, changing))
            needed = {name for split in unmade for name in dataset.splits[split].remote_files}
            files += [(dataset.name, dataset.remote_files[name]) for name in _wanted(maker, needed)]
        splits += [f"{dataset.name}/{split}" for split in unmade]
        if unmade:
            changing.add(dataset.name)
    return files, splits


def _unmade(maker: Maker, changing: set[str]) -> Iterator[str]:
    """Yield the splits that are not stored; a split of a file that is unknown, or of an unmade split, is not."""
    unmade = set[str]()
    for file in maker.dataset.remote_files.values():
        if (raw := meant_raw(maker.stored, file)) and not _is_asked_for(maker, file):
            maker.add_raw(raw)
    for split in maker.dataset.split_order:
        defined = maker.dataset.splits[split]
        known = all(name in maker.inputs.raws for name in defined.remote_files)
        sources = {source.split for source in defined.splits.values()} | {own_name(link) for link in links_of(defined)}
        found = maker.found(split) if known and not sources & (unmade | changing) else None
        if found:
            maker.add_split(split, found.digest, found.view)
        else:
            unmade.add(split)
            yield split


def _wanted(maker: Maker, needed: set[str]) -> list[str]:
    """Return the files that are unknown, or that are needed and not stored."""
    raws = {name: maker.inputs.raws.get(name) for name in maker.dataset.remote_files}
    lacking = [name for name, raw in raws.items() if raw is None or name in needed and not maker.stored.has_raw(raw)]
    return [name for name in lacking if not _is_elsewhere(maker.stored, maker.dataset.remote_files[name])]


def _is_far(file: RemoteFile) -> bool:
    """Return whether no source of a file is on this machine."""
    return all(urlsplit(url).scheme not in SCHEMES for url in file.urls)


def _is_elsewhere(stored: StoredDataset, file: RemoteFile) -> bool:
    """Return whether another dataset of the storage has a file, which is then copied."""
    if not _is_far(file):
        return False
    found = with_digest(stored, file.digest) if file.digest else of_url(stored, file)
    return found is not None and StoredDataset(stored.storage, found.dataset).has_raw(found.raw)


def _is_asked_for(maker: Maker, file: RemoteFile) -> bool:
    """Return whether a plain run asks the source of a recorded file for its bytes: it changed here, or is unproven."""
    raw = meant_raw(maker.stored, file)
    return raw is not None and question(maker.stored, file, raw, refresh=False, offline=True) is not None


def _size(file: RemoteFile) -> int | None:
    """Return the size of a file as defined, or as the first of its sources that says so."""
    if file.size is not None:
        return file.size
    for url in file.urls:
        try:
            retriever = retriever_for(url)
            if isinstance(retriever, Looking) and (found := retriever.look(url).bytes) is not None:
                return found
        except (DatasetAssetsError, OSError):
            continue
    return None


def _disks(files: Iterable[PlannedFile], store: Storage) -> Iterator[Disk]:
    """Yield the disks that are written to: that of the scratch folder, and that of a storage on this machine."""
    folders: dict[Path, int] = defaultdict(int)
    scratch, parts = settings().scratch, urlsplit(store.url)
    storage = Path(unquote(parts.path)) if parts.scheme == "file" else None
    for file in files:
        folders[scratch] += file.bytes or 0
        if storage and file.keep:
            folders[storage] += file.bytes or 0
    together: dict[int, list[tuple[Path, int]]] = defaultdict(list)
    for folder, size in folders.items():
        there = _there(folder)
        together[there.stat().st_dev].append((there, size))
    for places in together.values():
        info = os.statvfs(places[0][0])
        yield Disk(str(places[0][0]), sum(size for _, size in places), info.f_bavail * info.f_frsize)


def _there(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())


class _Enough(Exception):
    """A source was read for long enough."""


def _rate(files: Iterable[tuple[tuple[str, RemoteFile], int | None]]) -> float | None:
    """Return how many bytes a second the source of the largest file sends, if a part of it can be read."""
    found = sorted(files, key=lambda pair: pair[1] or 0, reverse=True)
    for (_, file), _ in found[:1]:
        for url in file.urls:
            if urlsplit(url).scheme not in STREAMED:
                continue
            try:
                return _measured(url)
            except (DatasetAssetsError, OSError):
                continue
    return None


def _measured(url: str) -> float | None:
    began, read = time.monotonic(), 0

    def report(began: float, done: int, total: int | None) -> None:
        nonlocal read
        read = done
        if time.monotonic() - began > SECONDS:
            raise _Enough

    with tempfile.TemporaryDirectory() as folder:
        into = Written(Path(folder) / "begun")
        try:
            retriever_for(url).retrieve(url, into, None, partial(report, began))
        except _Enough:
            pass
        finally:
            into.discard()
    return read / max(time.monotonic() - began, 1e-3) if read else None
