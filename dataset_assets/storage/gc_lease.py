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

from dataset_assets.core.documents import checked_arguments
from dataset_assets.core.processes import Owner, this_process
from dataset_assets.errors import Conflict, IntegrityError
from dataset_assets.storage import Storage
from dataset_assets.storage.keys import collector_key
from dataset_assets.storage.manifest import bounded, sealed, sha256_hex, unsealed

SECONDS = 120
"""How long a note is believed that nobody renews: longer than one call of a storage takes with all its retries.

That of a process which this machine knows to be gone is not believed at all.
"""

LONGEST_SECONDS = 3600
"""What a note may ask for; one that asks for more is believed as long as any other."""

logger = logging.getLogger(__name__)


class _Note(NamedTuple):
    data: bytes
    seconds: float
    owner: Owner | None


@contextmanager
def collecting(storage: Storage, dataset: str, seconds: float = SECONDS) -> Iterator[Callable[[], None]]:
    """Be the one collector of a dataset. Call what is given before each removal; it raises `Conflict` if that is lost.

    Waits for another one that was killed; raises `Conflict` if it lives.
    """
    lease = _Lease(storage, collector_key(dataset), seconds)
    lease.take(_wait(storage, dataset, seconds, alive_is_a_conflict=True))
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
        said = {"collector": self.token, "beat": self.beat, "milliseconds": int(1000 * self.seconds)}
        data = sealed({**said, "owner": this_process()._asdict()})
        if not self.storage.swap(self.key, data, expected) or time.monotonic() - began > self.seconds / 4:
            self.digest = None
            raise Conflict(
                f"Another collector took over, or {self.storage.url} was too slow, at {self.key}. Nothing that is in "
                "use was removed; run it again later."
            )
        self.since, self.digest = began, sha256_hex(data)


def _wait(storage: Storage, dataset: str, seconds: float = SECONDS, alive_is_a_conflict: bool = False) -> bytes | None:
    """Wait for the end of a collector; return the note of one that was killed, after `seconds` if it cannot be read."""
    seen = note = _read(storage, dataset, seconds)
    since = time.monotonic()
    if note:
        logger.warning("%s is collecting %s; waiting for its end", note.owner or "somebody", dataset)
    while note and seen:
        if note.data != seen.data:
            if alive_is_a_conflict:
                who = note.owner or seen.owner or "it does not say who"
                raise Conflict(f"Another collector is at work on {dataset} in {storage.url}: {who}. Run it later.")
            seen, since = note, time.monotonic()
        elif note.owner and note.owner.is_gone or time.monotonic() - since > note.seconds:
            logger.warning("%s did not end what it was collecting of %s; going on", note.owner or "somebody", dataset)
            return note.data
        time.sleep(0.05)
        note = _read(storage, dataset, seconds)
    return None


def _read(storage: Storage, dataset: str, seconds: float) -> _Note | None:
    key, found = collector_key(dataset), dict[str, Any]()
    try:
        with storage.get(key) as file:
            data = bounded(file)
    except FileNotFoundError:
        return None
    with suppress(IntegrityError):
        found = unsealed(data, key, dataset)
    told: Any = found.get("milliseconds")
    believed = type(told) is int and 0 <= told <= 1000 * LONGEST_SECONDS
    return _Note(data, told / 1000 if believed else seconds, _owner_of(found.get("owner")))


def _owner_of(told: Any) -> Owner | None:
    try:
        return Owner(**checked_arguments(Owner, told)) if 0 < told["process"] < 1 << 31 else None
    except (TypeError, KeyError, ValueError, AttributeError):
        return None
