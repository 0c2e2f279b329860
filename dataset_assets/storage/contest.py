"""Tries whether a store keeps two writers apart, which releases rely on."""

import logging
import os
import threading
from typing import Protocol, runtime_checkable

from dataset_assets.core.canonical import sha256_hex
from dataset_assets.storage.outcome import SINGLE
from dataset_assets.storage.storage import Storage

PROBES = "meta"
"""The folder of a storage for probes; no dataset can have this name."""
ROUNDS = 3

logger = logging.getLogger(__name__)
_tried: set[str] = set()


@runtime_checkable
class Contested(Protocol):
    """An optional method of connectors whose `swap` relies on what a server may lack."""

    def contest(self, key: str) -> bool:
        """Let two writers create an object, and two replace it; say whether exactly one of each two succeeded.

        Raises `NoConditions` if the server refuses what `swap` needs. The object is removed.
        """
        ...


def probe_key() -> str:
    """Return a new key for a probe."""
    return f"{PROBES}/probe_{os.urandom(8).hex()}"


def keeps_writers_apart(storage: Storage) -> bool:
    """Say whether of two writers of one object exactly one succeeds. Raises `NoConditions` if the store refuses to."""
    if isinstance(storage, Contested):
        return storage.contest(probe_key())
    return all(_one_wins(storage, probe_key()) for _ in range(ROUNDS))


def warn_of_single_writer(storage: Storage) -> None:
    """Say once that a store is for a single writer, before work begins there. Raises `NoConditions`."""
    if not isinstance(storage, Contested) or storage.url in _tried:
        return
    if not keeps_writers_apart(storage):
        logger.warning("%s ignores conditional writes, so it is for a single writer. %s", storage.url, SINGLE)
    _tried.add(storage.url)


def _one_wins(storage: Storage, key: str) -> bool:
    """Let two threads create an object, and then replace it."""
    try:
        created = _at_once(storage, key, (b"one", b"two"), None)
        with storage.get(key) as file:
            held = sha256_hex(file.read())
        replaced = _at_once(storage, key, (b"three", b"four"), held)
        return sorted(created) == sorted(replaced) == [False, True]
    finally:
        storage.delete(key)


def _at_once(storage: Storage, key: str, values: tuple[bytes, bytes], expected: str | None) -> list[bool]:
    barrier, won = threading.Barrier(len(values)), list[bool]()

    def swap(new: bytes) -> None:
        barrier.wait()
        won.append(storage.swap(key, new, expected))

    threads = [threading.Thread(target=swap, args=(new,)) for new in values]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won
