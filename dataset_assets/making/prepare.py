"""Preparing: make what is missing of a dataset and release it, without Dagster."""

import logging
import os
import re
from contextlib import contextmanager, suppress
from typing import Collection, Iterator, Mapping

from dataset_assets.core.names import is_member, said_place
from dataset_assets.core.progress import Progress, shown
from dataset_assets.core.settings import settings
from dataset_assets.core.workers import using
from dataset_assets.definition.dataset import Dataset
from dataset_assets.definition.linked import linked
from dataset_assets.definition.registry import find, free_aliases
from dataset_assets.errors import DatasetAssetsError, NameNotAllowed, Refused, StorageError, UnknownDataset, UsageError
from dataset_assets.making.at_once import all_retrieved, together
from dataset_assets.making.batches import Batch
from dataset_assets.making.engines import using_engine
from dataset_assets.making.existing import publish_split
from dataset_assets.making.maker import Maker
from dataset_assets.making.partitions import with_listed_partitions
from dataset_assets.making.plan import see_at_hand
from dataset_assets.making.provisional import prove
from dataset_assets.making.steps import StagedRaw, StagedSplit
from dataset_assets.making.terms import settle_all
from dataset_assets.making.version_checks import tell_warnings
from dataset_assets.reading.load import of_version
from dataset_assets.reading.splits import Splits
from dataset_assets.reading.views import View
from dataset_assets.storage import Storage, open_storage
from dataset_assets.storage.aliases import lacking_aliases, write_aliases
from dataset_assets.storage.manifest import Version
from dataset_assets.storage.releases import release
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.storage.variants import write_axes

log = logging.getLogger(__name__)

_FILE = re.compile(r"\.(csv|tsv|jsonl?|parquet|arrow|np[yz]|h5|xlsx|txt|zip|tar|gz|zst)$", re.IGNORECASE)


def prepare(
    dataset: str | Dataset,
    *,
    storage: "str | Storage | None" = None,
    refresh: bool = False,
    accept_terms: bool = False,
    jobs: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> Mapping[str, View]:
    """Retrieve, make, check and release what is missing of a dataset; return what `load` returns.

    What is stored already is left as it is: if nothing is missing, nothing is written. With `refresh` the source of
    each file is asked whether it changed, and a new version is made of what did; other bytes than those of a declared
    digest stay a `DigestMismatch`. Raises `CheckFailed` if a check fails at ERROR; then the version that was current
    stays so, and the refused one can be opened by its digest. The datasets that it is made of are prepared first, in
    the same way. Raises `Conflict` if another stored dataset has one of the definition's aliases.

    `jobs` processes do the work of a `ParallelMap`, and make the parts of a split with a `ForEach`; by default the
    setting `jobs` says how many, one a core. `engine` says who makes the parts: "processes", "here" or "ray".

    `progress` is called with (what, done, total); by default bars show it on a terminal and in a notebook.

    The terms of a dataset are asked for on a terminal, once, before anything is retrieved; `accept_terms=True` accepts
    them. Raises `Refused` if they are not accepted and something is missing, or if the setting `allow_licenses` does
    not allow the licence of the dataset, or of one that it is made of.
    """
    store = open_storage(settings().storage if storage is None else storage)
    definition = _found(dataset, store) if isinstance(dataset, str) else dataset
    if not isinstance(definition, Dataset):
        raise UsageError(
            f"A {type(dataset).__name__} is not a dataset. Make one of it: prepare(dataset_from(...)). Or give a name: "
            "prepare('io.github.rasbt.mnist_5k')."
        )
    definition = with_listed_partitions(definition)
    others = [*map(with_listed_partitions, linked(definition, store))]
    if settings().offline:
        see_at_hand(definition, store)
    settle_all(definition, others, accept_terms)
    with using(jobs), using_engine(engine), shown(progress) as told:
        for other in others:
            _prepared(other, store, refresh, told)
        return _prepared(definition, store, refresh, told)


def _found(name: str, store: Storage) -> Dataset:
    """Return the definition of a name; the error for the path of a file says how to make a dataset of it."""
    try:
        return find(name, store)
    except (NameNotAllowed, UnknownDataset) as error:
        if said := said_place(name):
            raise UsageError(said) from error
        if _FILE.search(name):
            raise UnknownDataset(f"No dataset is named {name}, and {os.path.abspath(name)} is not there.") from error
        raise


def _prepared(
    definition: Dataset, store: Storage, refresh: bool, progress: Progress | None = None
) -> Mapping[str, View]:
    stored = StoredDataset(store, definition.name)
    aliases = lacking_aliases(stored, free_aliases(definition))
    with Maker(definition, stored, refresh=refresh, progress=progress) as maker:
        stored = maker.stored
        current, released, pointer = stored.current()
        with _nothing_vanishing():
            _make_files(maker)
            _make_splits(maker)
        version = maker.version(current)
        if version is not current:
            if version.refused:
                maker.refuse(version)
            released = release(stored, version, pointer, aliases)
            tell_warnings(version)
        else:
            _add_aliases(stored, aliases)
            _add_axes(stored, version)
        prove(stored, maker.unproven())
        assert released is not None  # a version that is current has a digest
        views = {split: of_version(maker.view(split), released) for split in sorted(version.splits)}
        return Splits(stored.name, views)


def _add_aliases(stored: StoredDataset, aliases: list[str]) -> None:
    """Store the aliases of a version that was released before; a storage that cannot be written to is no error."""
    try:
        write_aliases(stored, aliases)
    except (StorageError, Refused) as error:
        log.warning("The aliases of %s are not stored: %s", stored.name, error)


def _add_axes(stored: StoredDataset, version: Version) -> None:
    """Store the axes of a member's family again, as a release does."""
    with suppress(StorageError, Refused):
        if is_member(stored.name):
            write_axes(stored, version.axes)


def restore_raw(dataset: Dataset, names: Collection[str], *, storage: Storage) -> None:
    """Hash stored raw files; retrieve or derive the damaged ones again. Raises `DigestMismatch` if one changed."""
    if not names:
        return
    with Maker(with_listed_partitions(dataset), StoredDataset(storage, dataset.name)) as maker:
        _make_files(maker)
        for name in names:
            if name in maker.inputs.raws:
                maker.see_undamaged(maker.inputs.raws[name])


def _make_files(maker: Maker) -> None:
    """Retrieve the files that are missing, several at once, and make the derived ones that are kept."""
    remote = maker.dataset.remote_files
    errors: dict[str, DatasetAssetsError] = {}
    arrived = Batch(maker)
    for name, made in all_retrieved(maker, remote, arrived.tick):
        if isinstance(made, DatasetAssetsError):
            errors[name] = made
        elif isinstance(made, StagedRaw):
            arrived.add(made)
        else:
            maker.add_raw(made)
    arrived.publish()
    if errors:
        raise together(errors, len(remote))
    for name, file in maker.files.items():
        if name not in remote and file.keep:
            made = maker.raw(name)
            if isinstance(made, StagedRaw):
                maker.publish(made)
            else:
                maker.add_raw(made)


def _make_splits(maker: Maker) -> None:
    for split in maker.dataset.split_order:
        made = maker.split(split)
        if isinstance(made, StagedSplit):
            maker.add_split(split, publish_split(maker.stored, made))
        else:
            maker.add_split(split, made.digest, made.view)


@contextmanager
def _nothing_vanishing() -> Iterator[None]:
    """Raise `StorageError` if somebody removes a file that is being worked on."""
    try:
        yield
    except FileNotFoundError as error:
        if isinstance(error, DatasetAssetsError):
            raise
        raise StorageError(
            error.errno,
            f"{error.filename} was taken away while it was needed. Nothing was published; run it again, and "
            "see that nobody cleans the scratch folder of living processes.",
        ) from error
