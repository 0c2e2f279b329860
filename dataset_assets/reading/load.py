"""Opens stored datasets: name -> version -> splits -> views. Downloads, writes and locks nothing."""

import os
from contextlib import suppress
from dataclasses import replace
from typing import Any, Callable, Iterable, Literal, Mapping, overload

from dataset_assets.core.names import check_identifier, namesakes, said_place, split_pin
from dataset_assets.core.roots import see_allowed as see_root
from dataset_assets.core.settings import settings
from dataset_assets.errors import DatasetAssetsError, NameNotAllowed, NotPrepared, UsageError, nearest
from dataset_assets.reading.cache import is_cached
from dataset_assets.reading.splits import Splits
from dataset_assets.reading.stored_files import StoredFiles, classes_of, index_of, open_columns, opener_of
from dataset_assets.reading.views import Origin, Stored, View, restored
from dataset_assets.storage import Storage, open_storage
from dataset_assets.storage.aliases import followed
from dataset_assets.storage.documents import OPENED
from dataset_assets.storage.exclusions import see_permitted
from dataset_assets.storage.licenses import see_allowed
from dataset_assets.storage.listing import stored_names
from dataset_assets.storage.manifest import Version, check_hex, check_split
from dataset_assets.storage.stored_dataset import StoredDataset

Verify = Literal["all", "sample"]
Fetch = Literal["files", "ranges"]


@overload
def load(
    name: str,
    split: None = None,
    *,
    storage: "str | Storage | None" = None,
    verify: Verify | None = None,
    fetch: Fetch | None = None,
) -> Mapping[str, View]: ...
@overload
def load(
    name: str,
    split: str,
    *,
    storage: "str | Storage | None" = None,
    verify: Verify | None = None,
    fetch: Fetch | None = None,
) -> View: ...
def load(
    name: str,
    split: str | None = None,
    *,
    storage: "str | Storage | None" = None,
    verify: Verify | None = None,
    fetch: Fetch | None = None,
) -> "Mapping[str, View] | View":
    """Open all released splits of a dataset, or one of them. `name@digest` opens exactly that version.

    The name may be an alias that is stored.

    The index's digest and the size of each file are always checked. `verify="all"` hashes every file too, "sample" one
    in ten of each stream, at least one, chosen at random. The files of a remote storage are opened, and their digests
    checked, when they are first read; `fetch` says how, as the setting of that name does. Raises `NotPrepared`,
    `UnknownSplit`, `StoredFileDamaged`, `DigestMismatch`, and `Refused` for a licence that the setting `allow_licenses`
    does not allow, and for what was made before samples were taken out of it on request.
    """
    if verify not in (None, "all", "sample"):
        raise UsageError(f"verify={verify!r} is not known. Write 'all', 'sample' or None.")
    store = open_storage(settings().storage if storage is None else storage)
    plain, pin = _split_pin(name, store)
    known = StoredDataset(store, plain, OPENED if is_cached(store) else None)
    stored, version, digest = open_version(known, pin)
    if split is not None:
        check_split(stored.name, split, version.splits)
        return _allowed(open_split(stored, split, version.splits[split], digest, verify, fetch))
    splits = sorted(version.splits.items())
    views = {part: _allowed(open_split(stored, part, at, digest, verify, fetch)) for part, at in splits}
    return Splits(stored.name, views)


def view_from_json(
    document: str | bytes | Mapping[str, Any],
    *,
    storage: "str | Storage | None" = None,
    functions: Iterable[Callable[..., Any]] = (),
    trust: Iterable[str] = (),
    verify: Verify | None = None,
) -> View:
    """Open the stack that `View.to_json()` wrote: the same samples of the same bytes, in the same order.

    Its functions must be in `functions`, or in the modules named in `trust`, which are imported. Raises `Refused` for
    any other function, `DecodeError` for anything but such a document, and the errors of `load`.
    """
    store = open_storage(settings().storage if storage is None else storage)

    def stored(given: Mapping[str, Any]) -> View:
        name, split, digest, version = (given[field] for field in ("dataset", "split", "index", "version"))
        if not digest:
            raise UsageError(
                "The stack is built on values in memory, which are in no storage. Build it again from these values."
            )
        check_identifier(split, "split")
        for each in (digest,) if version is None else (digest, version):
            check_hex(each)
        return _allowed(open_split(StoredDataset(store, name), split, digest, version, verify))

    return restored(document, stored, functions, trust)


def open_version(stored: StoredDataset, pin: str | None = None) -> tuple[StoredDataset, Version, str]:
    """Return a version by its digest, or the current one, with its dataset and its digest. Raises `NotPrepared`.

    The dataset is another one if the name is an alias, for which the storage is asked only if it has no such dataset.
    """
    found, digest = stored, pin or stored.pointer().version
    if digest is None:
        found = followed(stored)
        digest = found.pointer().version
    if digest is None:
        alias = f" {stored.name} is an alias of it." if found is not stored else ""
        near = nearest(found.name, stored_names(stored.storage) - {found.name}, listed=False)
        if os.path.exists(found.name):
            raise NotPrepared(
                f"{found.name} is a file or folder, and no dataset of this name is in {stored.storage.url}. Make a "
                f"dataset of it: prepare(dataset_from({found.name!r}))."
            )
        raise found.absent(alias or near)
    try:
        version = found.version(digest)
    except NotPrepared:
        if pin is None or (found := followed(stored)) is stored:
            raise
        version = found.version(digest)
    return replace(found, name=version.dataset), version, digest


def _allowed(view: Stored) -> Stored:
    see_allowed(index_of(view))
    return view


def _split_pin(name: str, store: Storage) -> tuple[str, str | None]:
    """Split a name and its pin; the error for a name without its first parts offers the stored ones that end so."""
    try:
        return split_pin(name, store.url)
    except NameNotAllowed as error:
        if isinstance(name, str) and (said := said_place(name)):
            raise NameNotAllowed(said) from error
        hint = f" Find it with: dataset-assets search {name}" if isinstance(name, str) and name.isalnum() else ""
        with suppress(DatasetAssetsError):
            hint = namesakes(name, stored_names(store)) or hint
        error.args = (f"{error.args[0]}{hint}",)
        raise


def open_split(
    stored: StoredDataset,
    split: str,
    digest: str,
    version: str | None = None,
    verify: Verify | None = None,
    fetch: Fetch | None = None,
) -> Stored:
    """Open a split by the digest of its index."""
    index = stored.index(split, digest)
    see_permitted(stored, index)
    if index.placed:
        see_root(stored.storage.url, [one.url for one in index.placed.objects])
    opener = StoredFiles(stored.storage, index)
    if verify is not None:
        opener.verify(1 if verify == "all" else 10)
    columns = columns_of(opener, fetch)
    opener.check_lengths(columns)
    origin = Origin(stored.name, split, digest, version, dict(index.roles), classes_of(index))
    return _view(origin, opener.own_rows(columns), opener, fetch)


def columns_of(opener: StoredFiles, fetch: Fetch | None = None) -> dict[str, Any]:
    """Open the columns of a split; those of a remote storage when they are read."""
    index, storage = opener.index, opener.storage
    if index.placed:
        from dataset_assets.reading.in_place import placed_columns

        return placed_columns(index, storage.url)
    return opener.remote_columns(settings(fetch=fetch)) if is_cached(storage) else open_columns(index, opener.stream)


def of_version(view: Stored, version: str) -> Stored:
    """Return the view of a split that was opened by the digest of its index, as one of a version."""
    return _view(replace(view.origin, version=version), view.columns, opener_of(view), None)


def _view(origin: Origin, columns: Mapping[str, Any], opener: StoredFiles, fetch: Fetch | None) -> Stored:
    place = opener.storage.url, origin.dataset, origin.split, origin.index, origin.version, fetch
    return Stored(origin, columns, opener, (_reopen, place))


def _reopen(url: str, name: str, split: str, digest: str, version: str | None, fetch: Fetch | None = None) -> Stored:
    return open_split(StoredDataset(open_storage(url), name), split, digest, version, fetch=fetch)
