"""The axes of a family in a storage, so that a name without the defaults is completed without the definition."""

from contextlib import suppress
from dataclasses import dataclass, replace

from dataset_assets.core.axes import Axis, completed, member_name
from dataset_assets.core.documents import Unfit, read_as
from dataset_assets.core.names import plain_name, split_member
from dataset_assets.errors import DecodeError, NameNotAllowed
from dataset_assets.storage.keys import axes_key
from dataset_assets.storage.manifest import SHORT, DatasetName, how_to_repair, sealed, unsealed
from dataset_assets.storage.storage import open_object
from dataset_assets.storage.stored_dataset import StoredDataset


@dataclass(frozen=True)
class _Axes:
    """The axes as they are stored."""

    family: DatasetName
    axes: tuple[Axis, ...]


def with_defaults(stored: StoredDataset) -> StoredDataset:
    """Return the member that a name means with the stored defaults; the same dataset if it has no stored axes.

    Raises `DecodeError` if the axes are damaged, and `NewerFormat`.
    """
    family, given = split_member(stored.name)
    axes = _axes_of(stored, family)
    with suppress(NameNotAllowed):
        # A name that has no member is not stored.
        name = member_name(family, axes, completed(family, axes, given)) if axes else stored.name
        return stored if plain_name(name) == plain_name(stored.name) else replace(stored, name=name)
    return stored


def write_axes(stored: StoredDataset, axes: tuple[Axis, ...]) -> None:
    """Store the axes of a member's family, unless they are stored."""
    family, _ = split_member(stored.name)
    data, key = sealed({"family": family, "axes": axes}), axes_key(family)
    with suppress(FileNotFoundError), open_object(stored.storage, key) as file:
        if file.read(SHORT) == data:
            return
    stored.storage.put(key, data)


def _axes_of(stored: StoredDataset, family: str) -> tuple[Axis, ...]:
    key, url = axes_key(family), stored.storage.url
    try:
        with open_object(stored.storage, key) as file:
            return tuple(read_as(_Axes, unsealed(file.read(SHORT), key, stored.name, url)).axes)
    except FileNotFoundError:
        return ()
    except Unfit as error:
        raise DecodeError(f"{key} is damaged ({error}). {how_to_repair(stored.name, url)}") from error
