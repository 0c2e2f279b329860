"""A collector and those who publish, kept apart without a lock that could be left behind.

A collector notes beside a dataset that it is at work, again and again, and only then looks at what is there. Who
releases a version stores it first, and then looks for such a note. So either the collector sees the version, and leaves
what it names; or the other sees the note, waits until it is gone, and looks whether its files are still there.
"""

import logging
import os
import time
from contextlib import contextmanager, suppress
from typing import Any, Callable, Iterator, NamedTuple

from dataset_assets.errors import Conflict, IntegrityError
from dataset_assets.index import sealed, sha256_hex, unsealed
from dataset_assets.layout import collector_key
from dataset_assets.storage import Storage

SECONDS = 120
"""How long a note is believed that nobody renews: longer than one call of a storage takes with all its retries."""

logger = logging.getLogger(__name__)


class _Note(NamedTuple):
    data: bytes
    seconds: float


@contextmanager
def collecting(storage: Storage, dataset: str, seconds: float = SECONDS) -> Iterator[Callable[[], None]]:
    """Be the one collector of a dataset. Call what is given before each removal; it raises `Conflict` if that is lost.

    Waits for another one that was killed; raises `Conflict` if it lives.
    """
    lease = _Lease(storage, collector_key(dataset), seconds)
    lease.take(_wait(storage, dataset, alive_is_a_conflict=True))
    try:
        yield lease.hold
    finally:
        lease.give_up()


def wait_for_collector(storage: Storage, dataset: str) -> None:
    """Return when no collector is at work on a dataset that saw it as it was before this call."""
    _wait(storage, dataset)


class _Lease:
    def __init__(self, storage: Storage, key: str, seconds: float) -> None:
        self.storage, self.key, self.seconds = storage, key, seconds
        self.token, self.beat, self.since = os.urandom(8).hex(), 0, 0.0
        self.digest: str | None = None

    def take(self, dead: bytes | None) -> None:
        self._note(None if dead is None else sha256_hex(dead))

    def hold(self) -> None:
        # Half of the time is left for the removal itself.
        if time.monotonic() - self.since > self.seconds / 4:
            self._note(self.digest)

    def give_up(self) -> None:
        if self.digest is not None:
            self.storage.delete(self.key)

    def _note(self, expected: str | None) -> None:
        began, self.beat = time.monotonic(), self.beat + 1
        data = sealed({"collector": self.token, "beat": self.beat, "milliseconds": int(1000 * self.seconds)})
        if not self.storage.swap(self.key, data, expected) or time.monotonic() - began > self.seconds / 4:
            self.digest = None
            raise Conflict(
                f"Another collector took over, or {self.storage.url} was too slow, at {self.key}. Nothing that is in "
                "use was removed; run it again later."
            )
        self.since, self.digest = began, sha256_hex(data)


def _wait(storage: Storage, dataset: str, alive_is_a_conflict: bool = False) -> bytes | None:
    """Wait for the end of a collector; return the note of one that was killed."""
    first = seen = _read(storage, dataset)
    since = time.monotonic()
    if first:
        logger.warning("a collector is at work on %s; waiting for its end", dataset)
    while (note := _read(storage, dataset)) is not None:
        if seen is None or note.data != seen.data:
            if alive_is_a_conflict:
                raise Conflict(f"Another collector is at work on {dataset} in {storage.url}. Run it again later.")
            seen, since = note, time.monotonic()
        elif time.monotonic() - since > note.seconds:
            return note.data
        time.sleep(0.05)
    return None


def _read(storage: Storage, dataset: str) -> _Note | None:
    key, found = collector_key(dataset), dict[str, Any]()
    try:
        with storage.get(key) as file:
            data = file.read()
    except FileNotFoundError:
        return None
    with suppress(IntegrityError):
        found = unsealed(data, key, dataset)
    told = found.get("milliseconds")
    return _Note(data, told / 1000 if isinstance(told, int) else SECONDS)
