"""A renewable lease that keeps garbage collection and releases apart.

A collector writes its lease beside a dataset, and only then looks at what is stored. A release stores its version
first, and then looks for a lease. So either the collector sees the version and keeps what it names, or the release sees
the lease, waits for its end, and checks that its files are still stored.

A thread of the collector renews the lease every `SECONDS / 5`. A lease that does not change for `SECONDS`, by the clock
of the process that waits, is abandoned; clocks are never compared. Whoever finds an abandoned lease voids it by a swap
before going on. So a collector that was only stopped cannot renew its lease, and removes nothing more.
"""

import logging
import os
import threading
import time
from contextlib import contextmanager, suppress
from typing import Any, Callable, Iterator, NamedTuple

from dataset_assets.core.canonical import sha256_hex
from dataset_assets.core.documents import checked_arguments
from dataset_assets.core.processes import Process, this_process
from dataset_assets.errors import Conflict, DatasetAssetsError, IntegrityError
from dataset_assets.storage.keys import collector_key
from dataset_assets.storage.manifest import bounded, sealed, unsealed
from dataset_assets.storage.storage import open_object
from dataset_assets.storage.stored_dataset import StoredDataset

SECONDS = 10
"""A lease that is not renewed for this long is abandoned; at once if its process ran on this machine and has ended."""

LONGEST_SECONDS = 3600
"""The longest time that a lease may ask for; one that asks for more gets `SECONDS`."""

VOID = sealed({"milliseconds": 0})
"""A lease that nobody holds."""
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

    Waits for the end of one that was killed; raises `Conflict` if another one is running.
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
        self.token, self.beat, self.since = os.urandom(8).hex(), 0, (0.0, 0.0)
        self.digest: str | None = None
        self._tried: str | None = None
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name="dataset_assets-lease", daemon=True)

    def take(self, abandoned: bytes | None) -> None:
        _held.add(self.token)
        self._write(None if abandoned is None else sha256_hex(abandoned))
        self._thread.start()

    def renew(self) -> None:
        """Return if the lease is held, and half of its time is left for a removal. Raises `Conflict`."""
        with self._lock:
            for _ in range(3):
                if self.digest and self._age() < self.seconds / 2:
                    return
                self._write(self.digest)
        raise self._lost()

    def give_up(self) -> None:
        self._ended.set()
        _held.discard(self.token)
        with self._lock:
            if self.digest is not None:
                self.storage.delete(self.key)
                self.digest = None

    def _beat(self) -> None:
        """Renew the lease while the collector looks at what is stored. It gets an error at its next removal."""
        while not self._ended.wait(self.seconds / 5):
            with self._lock, suppress(DatasetAssetsError, OSError):
                if self.digest is None:
                    return
                self._write(self.digest)

    def _write(self, expected: str | None) -> None:
        if self.beat and expected is None:
            raise self._lost()
        began, self.beat = _clocks(), self.beat + 1
        lease = {"collector": self.token, "beat": self.beat, "milliseconds": int(1000 * self.seconds)}
        data = sealed({**lease, "owner": this_process()._asdict()})
        tried, self._tried = self._tried, sha256_hex(data)
        # An earlier swap may have been done though its answer was lost.
        if not any(
            self.storage.swap(self.key, data, before) for before in dict.fromkeys((expected, tried or expected))
        ):
            self.digest = None
            raise self._lost()
        self.since, self.digest = began, self._tried

    def _age(self) -> float:
        return max(now - then for now, then in zip(_clocks(), self.since))

    def _lost(self) -> Conflict:
        return Conflict(
            f"Another process took over, or {self.storage.url} was too slow, at {self.key}. Nothing that is in "
            "use was removed; run it again later."
        )


def _clocks() -> tuple[float, float]:
    # A machine that was suspended or paused goes on with an old monotonic clock.
    return time.monotonic(), time.time()


def _wait(stored: StoredDataset, seconds: float = SECONDS, alive_is_a_conflict: bool = False) -> bytes | None:
    """Wait for the end of a lease; return what stands at its key then, if it was abandoned and is void now."""
    seen = lease = _read(stored, seconds)
    since = time.monotonic()
    if lease and lease.seconds:
        logger.warning("%s is collecting %s; waiting for its end", lease.owner or "somebody", stored.name)
    while lease and seen:
        if not lease.seconds:
            return lease.data
        if lease.data != seen.data:
            if alive_is_a_conflict:
                who = lease.owner or seen.owner or "it does not say who"
                raise Conflict(
                    f"Another collector is at work on {stored.name} in {stored.storage.url}: {who}. Run it later."
                )
            seen, since = lease, time.monotonic()
        elif lease.is_abandoned or time.monotonic() - since > lease.seconds:
            logger.warning("%s did not finish collecting %s; going on", lease.owner or "somebody", stored.name)
            stored.storage.swap(collector_key(stored.name), VOID, sha256_hex(lease.data))
        time.sleep(0.05)
        lease = _read(stored, seconds)
    return None


def _read(stored: StoredDataset, seconds: float) -> _Lease | None:
    key, found = collector_key(stored.name), dict[str, Any]()
    try:
        with open_object(stored.storage, key, whole=True) as file:
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
