"""Releasing a version: its document first, then the pointer.

Every function may be called again after its process was killed, and by several processes at once, without a lock.
"""

from contextlib import suppress
from typing import Iterable, Iterator

from dataset_assets.core.canonical import canonical, digest_of, sha256_hex
from dataset_assets.core.commands import command
from dataset_assets.core.names import is_member
from dataset_assets.errors import Conflict, NotPrepared
from dataset_assets.storage.aliases import lacking_aliases, write_aliases
from dataset_assets.storage.exclusions import exclusions
from dataset_assets.storage.gc_lease import wait_for_collector
from dataset_assets.storage.keys import index_key, pointer_key, version_key
from dataset_assets.storage.manifest import Version, pointer_to
from dataset_assets.storage.storage import settle
from dataset_assets.storage.stored_dataset import UNUSABLE, StoredDataset
from dataset_assets.storage.variants import write_axes


def publish_version(stored: StoredDataset, version: Version) -> str:
    """Store a version, so that its digest opens it, without releasing it; return the digest."""
    digest = digest_of(version)
    settle(stored.storage, _named_by(stored, version))
    stored.put_document(version_key(stored.name, digest), canonical(version))
    return digest


def _named_by(stored: StoredDataset, version: Version) -> Iterator[str]:
    """Yield the keys of a version's indexes and of their files."""
    for split, digest in version.splits.items():
        yield index_key(stored.name, split, digest)
        # A damaged index is found when the version is released.
        with suppress(*UNUSABLE):
            yield from stored.index(split, digest).files


def release(stored: StoredDataset, version: Version, expected: str | None, aliases: Iterable[str] = ()) -> str:
    """Store a version and make it current, as `point_to` does, unless it is current already; return its digest.

    The aliases are stored after it. Raises `Conflict`, and releases nothing, if another stored dataset has one of them.
    """
    aliases = lacking_aliases(stored, aliases)
    digest = digest_of(version)
    if stored.current().digest != digest:
        _see_excluded(stored, version)
        is_new = not stored.storage.exists(version_key(stored.name, digest))
        publish_version(stored, version)
        # A collector may have removed files before it could see this version; from now on it sees it.
        wait_for_collector(stored)
        try:
            for split, index in version.splits.items():
                # Not from memory: the index may be gone too.
                stored.check_sizes(stored.remembering().index(split, index))
        except UNUSABLE:
            # Its files were collected while this process was stopped. A version that others may use or have pinned
            # stays, so that it can be repaired.
            if is_new and stored.pointer(damage_is_absence=True).version != digest:
                stored.storage.delete(version_key(stored.name, digest))
            raise
        point_to(stored, digest, expected)
    write_aliases(stored, aliases)
    return digest


def _see_excluded(stored: StoredDataset, version: Version) -> None:
    """Raise `Conflict` for a version with samples that somebody took out while it was made."""
    indexes = [stored.index(*split) for split in version.splits.items()]
    if {version.excluded, *(index.excluded for index in indexes)} != {exclusions(stored, fresh=True).digest}:
        raise Conflict(
            f"Samples of {stored.name} were taken out while {digest_of(version)} was prepared, so it is not released. "
            f"Make it again with: {command(f'prepare {stored.name}', stored.storage.url)}"
        )


def point_to(stored: StoredDataset, digest: str, expected: str | None) -> None:
    """Move the pointer to a version if it is still the one that was read (`expected`) before the work began.

    Raises `Conflict` if another version was released in the meantime, and `NotPrepared` if this one was collected.
    """
    if is_member(stored.name):
        write_axes(stored, stored.version(digest).axes)
    before = stored.pointer(damage_is_absence=True)
    if stored.storage.swap(pointer_key(stored.name), pointer_to(digest), expected):
        _look_again(stored, digest, before.version)
        return
    current = stored.pointer().version
    if current is None:
        raise Conflict(
            f"{stored.name} was removed by somebody else while {digest} was prepared. Make it again with: "
            f"{command(f'prepare {stored.name}', stored.storage.url)}"
        )
    if current != digest:
        raise Conflict(
            f"{stored.name}: version {current} was released by somebody else while {digest} was prepared. The current "
            f"version is left as it is; open yours as {stored.name}@{digest}, or prepare again to release it."
        )


def _look_again(stored: StoredDataset, digest: str, before: str | None) -> None:
    """Move the pointer back if its version is gone, which happens if this process was stopped for days.

    A collector that starts now sees the pointer. One that is running removes the version before its files.
    """
    wait_for_collector(stored)
    if stored.storage.exists(version_key(stored.name, digest)):
        return
    key, moved = pointer_key(stored.name), pointer_to(digest)
    if before is not None:
        stored.storage.swap(key, pointer_to(before), sha256_hex(moved))
    elif stored.pointer(damage_is_absence=True).digest == sha256_hex(moved):
        stored.storage.delete(key)
    raise NotPrepared(
        f"{stored.name}: version {digest} was collected before it was released. It is not the current version. Make it "
        f"again with: {command(f'prepare {stored.name}', stored.storage.url)}"
    )
