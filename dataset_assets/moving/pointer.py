"""Whether a copy may make its version the current one: only if that displaces no version of somebody else."""

from typing import Callable

from dataset_assets.storage.releases import point_to
from dataset_assets.storage.stored_dataset import Pointer, StoredDataset

Knows = Callable[[str], bool]
"""Says whether the source of a copy has a version."""


def may_move(target: StoredDataset, pointer: Pointer, new: str | None, knows: Knows | None) -> bool:
    """Say whether the pointer of the target may move to a new version.

    It may if there is none, or if the source has the version that is current. Without `knows` the source is not
    trusted. A damaged pointer may have named any stored version, so the source must have them all.
    """
    current, digest = pointer
    if digest is None or (current and current == new):
        return True
    return knows is not None and all(map(knows, [current] if current else target.versions()))


def offer(target: StoredDataset, new: str | None, expected: str | None, agreed: bool) -> tuple[str | None, str | None]:
    """Make a new version current if that was agreed; return the current version, and the new one if it is not current.

    Raises `Conflict` if the pointer is no longer `expected`.
    """
    if new is None:
        return None, None
    current = target.pointer(damage_is_absence=True).version
    if current == new or not agreed:
        return current, None if current == new else new
    point_to(target, new, expected)
    return new, None
