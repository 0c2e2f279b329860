"""Releasing a version: its document first, then the pointer.

Every function may be called again after its process was killed, and by several processes at once, without a lock.
"""

from dataset_assets.core.canonical import canonical, digest_of
from dataset_assets.errors import Conflict
from dataset_assets.storage.gc_lease import wait_for_collector
from dataset_assets.storage.keys import pointer_key, version_key
from dataset_assets.storage.manifest import Version, pointer_to
from dataset_assets.storage.stored_dataset import StoredDataset


def publish_version(stored: StoredDataset, version: Version) -> str:
    """Store a version, so that its digest opens it, without releasing it; return the digest."""
    digest = digest_of(version)
    stored.storage.put(version_key(stored.name, digest), canonical(version))
    return digest


def release(stored: StoredDataset, version: Version, expected: str | None) -> str:
    """Store a version and make it current, as `point_to` does, unless it is current already; return its digest."""
    digest = digest_of(version)
    if stored.current().digest != digest:
        publish_version(stored, version)
        # A collector may have removed files before it could see this version; from now on it sees it.
        wait_for_collector(stored)
        for split, index in version.splits.items():
            stored.check_sizes(stored.index(split, index))
        point_to(stored, digest, expected)
    return digest


def point_to(stored: StoredDataset, digest: str, expected: str | None) -> None:
    """Move the pointer to a version if it is still the one that was read (`expected`) before the work began.

    Raises `Conflict` if another version was released in the meantime.
    """
    if stored.storage.swap(pointer_key(stored.name), pointer_to(digest), expected):
        return
    current = stored.pointer().version
    if current != digest:
        raise Conflict(
            f"{stored.name}: version {current} was released by somebody else while {digest} was prepared. The current "
            f"version is left as it is; open yours as {stored.name}@{digest}, or prepare again to release it."
        )
