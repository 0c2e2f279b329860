"""Registers folders: a folder of partitions is released as a dataset, and what it held then stays as it was."""

import logging
import os
from pathlib import Path
from typing import Any, Iterable

from dataset_assets.core import files, registered
from dataset_assets.core.folder_tree import entries
from dataset_assets.core.given_path import given_path
from dataset_assets.core.names import is_member, prefix_clash
from dataset_assets.core.registered import Registered
from dataset_assets.core.settings import settings
from dataset_assets.definition.dataset import Dataset
from dataset_assets.definition.folders import folder_dataset
from dataset_assets.definition.registry import defined, names
from dataset_assets.errors import (
    Conflict,
    IntegrityError,
    NameNotAllowed,
    NotFound,
    Refused,
    RetrievalError,
    StorageError,
    UsageError,
    at,
)
from dataset_assets.making.prepare import prepare
from dataset_assets.moving.etc_settings import home_of_etc
from dataset_assets.moving.metadata import parsed_meta
from dataset_assets.moving.shared_names import full_name
from dataset_assets.storage import Storage, open_storage
from dataset_assets.storage.listing import clash_in
from dataset_assets.storage.stored_dataset import StoredDataset

log = logging.getLogger(__name__)


def check_folder(folder: "Path | str") -> Registered:
    """Return what a folder holds if it is a dataset: `data` with a folder for each partition, and perhaps `meta.json`.

    Raises `UsageError`, `SchemaError` for a `meta.json` that is no mapping, and the errors of `entries`.
    """
    root = Path(os.path.abspath(given_path(folder)))
    data = root / "data"
    if not os.path.isdir(root):
        raise UsageError(f"{root} {'is a file' if os.path.exists(root) else 'does not exist'}. Name a folder of data.")
    if data.is_symlink():
        raise Refused(f"{data} is a link, and links are not followed. Put the folder itself there.")
    if not data.is_dir():
        raise UsageError(f"{data} is not a folder. Make it, with a folder inside for each partition, such as train.")
    found = entries(root)
    inside = [(data / entry.path.split("/")[1], entry) for entry in found if entry.path.startswith("data/")]
    for path, entry in inside:
        if entry.path.count("/") == 1 and not entry.is_folder:
            raise UsageError(f"{path} is a file. {data} holds folders only, one for each partition.")
    if not inside:
        raise UsageError(f"{data} is empty. Put a folder into it for each partition, such as train.")
    meta = _meta(root / "meta.json")
    return Registered(
        str(root), tuple(sorted({path.name for path, _ in inside})), _text(meta, "license"), _text(meta, "citation")
    )


def _meta(path: Path) -> dict[str, Any]:
    try:
        with files.opened(path) as file:
            return parsed_meta(file.read(), path)
    except FileNotFoundError:
        return {}


def _text(meta: dict[str, Any], field: str) -> str | None:
    found = meta.get(field)
    return found if isinstance(found, str) and found.strip() else None


def create(folder: "Path | str", partitions: Iterable[str] = ("train", "test"), *, force: bool = False) -> Path:
    """Make an empty folder in the layout of a dataset: `data` with a folder for each partition.

    Raises `Conflict` if the folder holds anything; with `force` only what is missing is added.
    """
    root = Path(os.path.abspath(given_path(folder)))
    names = [partitions] if isinstance(partitions, str) else [*partitions]
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
            raise NameNotAllowed(f"{name!r} cannot be the name of a partition. Write the name of a folder.")
    if not names:
        raise UsageError("A dataset needs a partition. Name one or more, such as train.")
    if os.path.exists(root) and not root.is_dir():
        raise Conflict(f"{root} is a file. Name a folder.")
    if not force and os.path.isdir(root) and any(root.iterdir()):
        raise Conflict(f"{root} is not empty. Name a new folder, or add what is missing with --force.")
    for name in names:
        files.make_folder(root / "data" / name)
    return root


def register(
    folder: "Path | str", name: str | None = None, *, force: bool = False, storage: "str | Storage | None" = None
) -> str:
    """Release a folder as a dataset, and return it as `name@digest`. The folder itself is never changed.

    Without a name, the dataset has that of the folder. Later changes of the folder are taken by registering it again
    with `force`. Raises `Conflict` if the name is in use, and the errors of `check_folder`.
    """
    record, store = check_folder(folder), open_storage(settings().storage if storage is None else storage)
    full = full_name(Path(record.folder).name if name is None else name)
    _see_free(full, store, force)
    return release_folder(full, record, store)


def release_folder(full: str, record: Registered, store: Storage, *, keep: bool = True) -> str:
    """Release a folder, and then record it with `keep`. Until it is released, the record of the name stays as it is."""
    with registered.lent(full, Path(record.folder)):
        prepare(folder_dataset(full, record), storage=store, refresh=True)
    if keep:
        registered.write(full, record)
    return f"{full}@{StoredDataset(store, full).pointer().version}"


def _see_free(full: str, store: Storage, force: bool) -> None:
    if "@" in full:
        raise NameNotAllowed(f"{full[:80]!r} names a version. Write the name alone: {full.partition('@')[0]}")
    if is_member(full):
        raise NameNotAllowed(
            f"{full[:80]} names a member of a family, which only the definition of the family makes. Write a name "
            f"without brackets: {full.partition('[')[0]}"
        )
    if (other := defined(full)) and not _is_registered(other):
        raise Conflict(f"{full} is a dataset with a definition. Give the folder a different name.")
    stored = StoredDataset(store, full).exists()
    if stored and not force:
        raise Conflict(f"{full} is in {store.url}. To release what is in the folder now, add --force (force=True).")
    clash = next(filter(None, (prefix_clash([other, full]) for other in sorted({*registered.names(), *names()}))), None)
    if clash := clash or (None if stored else clash_in(store, full)):
        raise Conflict(f"{clash[1]} would lie in the folders of {clash[0]}. Give the folder a different name.")


def _is_registered(dataset: Dataset) -> bool:
    """Return whether a definition is that of a registered folder."""
    return [file.urls for file in dataset.remote_files.values()] == [(f"folder:{dataset.name}",)]


def adopt(
    folder: "Path | str | None" = None, *, force: bool = False, storage: "str | Storage | None" = None
) -> list[str]:
    """Register every dataset of a folder of the package etcetera, `~/.etc` by default; return them as `name@digest`.

    A dataset that cannot be registered does not keep the others from it: each error is logged with its folder. At the
    end the first is raised, with the names of all folders that failed, and of the datasets that were registered.
    """
    root, done, failed = given_path(folder or home_of_etc()), [], {}
    if not os.path.isdir(root):
        raise NotFound(f"{root} is not a folder. Name the folder in which etcetera keeps its datasets.")
    for path in sorted(root.iterdir()):
        if path.is_dir():
            try:
                # What was registered with etcetera is a link.
                done.append(register(path.resolve(), path.name, force=force, storage=storage))
            except (UsageError, Conflict, Refused, IntegrityError, RetrievalError) as error:
                log.error("%s: %s", path, error)
                failed[path.name] = error
            except StorageError:
                log.error("Registered before the storage failed: %s", ", ".join(done) or "none")
                raise
    if failed:
        with at(
            f"{len(failed)} of {len(failed) + len(done)} folders of {root} were not registered: "
            f"{', '.join(failed)}. Registered: {', '.join(done) or 'none'}. The first error"
        ):
            raise next(iter(failed.values()))
    return done
