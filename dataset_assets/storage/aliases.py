"""Aliases: other names of datasets, each an object of the storage, so that readers need no registry.

An alias is followed one step: an alias of an alias is not followed. A dataset that is stored under the name itself
always wins. An alias that another stored dataset has is never changed: that is a `Conflict`.
"""

import logging
from dataclasses import dataclass, replace
from typing import Iterable

from dataset_assets.core.commands import command
from dataset_assets.core.documents import Unfit, read_as
from dataset_assets.core.files import sha256_in
from dataset_assets.core.names import is_member, split_pin
from dataset_assets.errors import Conflict, DecodeError, IntegrityError, NewerFormat
from dataset_assets.storage.keys import alias_key, alias_of, pointer_key
from dataset_assets.storage.manifest import SHORT, DatasetName, how_to_repair, sealed, unsealed
from dataset_assets.storage.storage import Storage, open_object
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.storage.variants import with_defaults

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Alias:
    """An alias as it is stored."""

    alias: DatasetName
    dataset: DatasetName


def target_of(storage: Storage, name: str) -> str | None:
    """Return the dataset that a name is stored as an alias of; None if it is no alias.

    Raises `DecodeError` for a damaged alias, and `NewerFormat`.
    """
    key = alias_key(name)
    try:
        with open_object(storage, key) as file:
            # A longer document is cut, and so refused.
            found = read_as(_Alias, unsealed(file.read(SHORT), key, name))
    except FileNotFoundError:
        return None
    except Unfit as error:
        raise DecodeError(f"{key} is damaged ({error}). {how_to_repair(name, storage.url)}") from error
    if found.alias != name:
        raise DecodeError(f"{key} is the alias {found.alias}, not {name}. {how_to_repair(name, storage.url)}")
    return str(found.dataset)


def followed(stored: StoredDataset) -> StoredDataset:
    """Return the dataset that a name is an alias of; the same dataset if it is stored itself, or is no alias.

    A name of a family gets the defaults of its other axes, as the member that was released last has them.
    """
    storage = stored.storage
    if storage.exists(pointer_key(stored.name)):
        return stored.own_named()
    target = None if is_member(stored.name) else target_of(storage, stored.name)
    if target is None:
        return with_defaults(stored)
    return stored if stored.exists() else replace(stored, name=target)


def named(storage: Storage, name: str) -> StoredDataset:
    """Return the dataset that has a name, or that the name is an alias of."""
    return followed(StoredDataset(storage, name))


def own_name(storage: Storage, name: str) -> str:
    """Return `name` or `name@digest` with the dataset's own name instead of an alias, and in its canonical form."""
    plain, pin = split_pin(name, storage.url)
    found = named(storage, plain).name
    return f"{found}@{pin}" if pin else found


def aliases_in(storage: Storage) -> dict[str, str]:
    """Return the dataset of each alias of a storage. A damaged one is logged and left out."""
    found = {}
    for name in sorted({name for key in storage.list("aliases") if (name := alias_of(key))}):
        try:
            if target := target_of(storage, name):
                found[name] = target
        except IntegrityError as error:
            log.warning("%s", error)
    return found


def aliases_of(stored: StoredDataset) -> list[str]:
    """Return the aliases of a dataset."""
    return [alias for alias, dataset in aliases_in(stored.storage).items() if dataset == stored.name]


def lacking_aliases(stored: StoredDataset, aliases: Iterable[str]) -> list[str]:
    """Return those aliases that are not stored for this dataset. Raises `Conflict` if another stored one has one."""
    return [alias for alias in aliases if _free_target(stored, alias) != stored.name]


def write_aliases(stored: StoredDataset, aliases: Iterable[str]) -> None:
    """Store aliases of a dataset; those that are stored already are left.

    A name that a stored dataset has itself is left out, because it would never be followed. Raises `Conflict` if
    another stored dataset has one of the aliases; its alias stays.
    """
    for alias in lacking_aliases(stored, aliases):
        if StoredDataset(stored.storage, alias).exists():
            log.warning("%s is itself a dataset in %s, so it is no alias.", alias, stored.storage.url)
        else:
            _write(stored, alias)


def _write(stored: StoredDataset, alias: str) -> None:
    # Read before the alias is judged: one that another process stores in between is not replaced.
    expected = _digest(stored, alias)
    data = sealed({"alias": alias, "dataset": stored.name})
    if _free_target(stored, alias) != stored.name and not stored.storage.swap(alias_key(alias), data, expected):
        _free_target(stored, alias)


def _free_target(stored: StoredDataset, alias: str) -> str | None:
    """Return what a name is an alias of, if this dataset may have it. Raises `Conflict` if another one has it."""
    storage = stored.storage
    try:
        target = target_of(storage, alias)
    except NewerFormat:
        raise
    except DecodeError:
        # A damaged one is replaced.
        return None
    if target in (None, stored.name) or StoredDataset(storage, alias).exists():
        return target
    if StoredDataset(storage, str(target)).exists():
        raise Conflict(
            f"{alias} is an alias of {target} in {storage.url}, and stays so. Remove it from the aliases of "
            f"{stored.name}; or remove {target} with all its aliases: {command(f'rm {target}', storage.url)}"
        )
    return target


def _digest(stored: StoredDataset, alias: str) -> str | None:
    try:
        with open_object(stored.storage, alias_key(alias)) as file:
            return sha256_in(file)
    except FileNotFoundError:
        return None
