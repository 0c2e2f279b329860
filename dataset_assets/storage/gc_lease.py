"""A renewable lease that keeps garbage collection and releases apart.

A collector writes its lease beside a dataset, renews it, and only then looks at what is stored. A release stores its
version first, and then looks for a lease. So either the collector sees the version and keeps what it names, or the
release sees the lease, waits for its end, and checks that its files are still stored.
"""

import logging
import os
import time
from contextlib import contextmanager, suppress
from typing import Any, Callable, Iterator, NamedTuple

from dataset_assets.core.canonical import sha256_hex
from dataset_assets.core.documents import checked_arguments
from dataset_assets.core.processes import Process, this_process
from dataset_assets.errors import Conflict, IntegrityError
from dataset_assets.storage.keys import collector_key
from dataset_assets.storage.manifest import bounded, sealed, unsealed
from dataset_assets.storage.storage import open_object
from dataset_assets.storage.stored_dataset import StoredDataset

SECONDS = 120
"""A lease that is not renewed for this long is considered abandoned. Longer than the slowest storage call.

The lease of a process of this machine that ended is abandoned at once.
"""

LONGEST_SECONDS = 3600
"""The longest time that a lease may ask for; one that asks for more gets `SECONDS`."""

_held: set[str] = set()
"""The tokens of the leases that this process holds."""

logger = logging.getLogger(__name__)


class _Lease(NamedTuple):
    """A lease as it is stored."""

    data: bytes
    seconds: float
    owner: Process | None
    token: Any

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody holds it any more: its process has ended, or is this one, and could not remove it."""
        ours = self.owner == this_process() and bool(self.owner.machine) and self.token not in _held
        return self.owner is not None and (ours or self.owner.is_gone)


@contextmanager
def collecting(stored: StoredDataset, seconds: float = SECONDS) -> Iterator[Callable[[], None]]:
    """Be the only collector of a dataset. Call the function before each removal: it raises `Conflict` without a lease.

    Waits for a collector that was killed; raises `Conflict` if another one is running.
    """
    lease = _Holder(stored, seconds)
    abandoned = _wait(stored, seconds, alive_is_a_conflict=True)
    try:
        lease.take(abandoned)
        yield lease.renew
    finally:
        lease.give_up()


def wait_for_collector(stored: StoredDataset) -> None:
    """Return when no running collector looked at a dataset before this call."""
    _wait(stored)


class _Holder:
    """Writes and renews the lease of this process."""

    def __init__(self, stored: StoredDataset, seconds: float) -> None:
        self.storage, self.key, self.seconds = stored.storage, collector_key(stored.name), seconds
        self.token, self.beat, self.since = os.urandom(8).hex(), 0, 0.0
        self.digest: str | None = None

    def take(self, abandoned: bytes | None) -> None:
        _held.add(self.token)
        self._write(None if abandoned is None else sha256_hex(abandoned))

    def renew(self) -> None:
        # Half of the time is left for the removal itself.
        if time.monotonic() - self.since > self.seconds / 4:
            self._write(self.digest)

    def give_up(self) -> None:
        _held.discard(self.token)
        if self.digest is not None:
            self.storage.delete(self.key)

    def _write(self, expected: str | None) -> None:
        began, self.beat = time.monotonic(), self.beat + 1
        lease = {"collector": self.token, "beat": self.beat, "milliseconds": int(1000 * self.seconds)}
        data = sealed({**lease, "owner": this_process()._asdict()})
        if not self.storage.swap(self.key, data, expected) or time.monotonic() - began > self.seconds / 4:
            self.digest = None
            raise Conflict(
                f"Another collector took over, or {self.storage.url} was too slow, at {self.key}. Nothing that is in "
                "use was removed; run it again later."
            )
        self.since, self.digest = began, sha256_hex(data)


def _wait(stored: StoredDataset, seconds: float = SECONDS, alive_is_a_conflict: bool = False) -> bytes | None:
    """Wait for the end of a lease; return an abandoned one, after `seconds` if it cannot be read."""
    seen = lease = _read(stored, seconds)
    since = time.monotonic()
    if lease:
        logger.warning("%s is collecting %s; waiting for its end", lease.owner or "somebody", stored.name)
    while lease and seen:
        if lease.data != seen.data:
            if alive_is_a_conflict:
                who = lease.owner or seen.owner or "it does not say who"
                raise Conflict(
                    f"Another collector is at work on {stored.name} in {stored.storage.url}: {who}. Run it later."
                )
            seen, since = lease, time.monotonic()
        elif lease.is_abandoned or time.monotonic() - since > lease.seconds:
            logger.warning("%s did not finish collecting %s; going on", lease.owner or "somebody", stored.name)
            return lease.data
        time.sleep(0.05)
        lease = _read(stored, seconds)
    return None


def _read(stored: StoredDataset, seconds: float) -> _Lease | None:
    key, found = collector_key(stored.name), dict[str, Any]()
    try:
        with open_object(stored.storage, key) as file:
            data = bounded(file)
    except FileNotFoundError:
        return None
    with suppress(IntegrityError):
        found = unsealed(data, key, stored.name)
    asked: Any = found.get("milliseconds")
    valid = type(asked) is int and 0 <= asked <= 1000 * LONGEST_SECONDS
    return _Lease(data, asked / 1000 if valid else seconds, _owner_of(found.get("owner")), found.get("collector"))


def _owner_of(written: Any) -> Process | None:
    try:
        return Process(**checked_arguments(Process, written)) if 0 < written["process"] < 1 << 31 else None
    except (TypeError, KeyError, ValueError, AttributeError):
        return None
