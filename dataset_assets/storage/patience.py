"""How long connectors wait: each means the same by the setting `stall_seconds`."""

import errno
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Callable, Iterator, TypeVar

from dataset_assets.core.settings import settings
from dataset_assets.errors import StoreUnavailable

T = TypeVar("T")

MOST_SILENT_SECONDS = 60.0
"""The longest silence of a server in one request, whatever the setting: the lease of `gc` counts on it."""
_FIRST_PAUSE_SECONDS, _MOST_PAUSE_SECONDS = 0.2, 10.0
_hasty = ContextVar("hasty", default=False)


@contextmanager
def hasty() -> Iterator[None]:
    """Do not wait inside the block for a server that asks to wait: whoever calls can do without the answer."""
    before = _hasty.set(True)
    try:
        yield
    finally:
        _hasty.reset(before)


def silence_seconds() -> float:
    """Return how long a server may be silent in one request. Reading the settings takes milliseconds."""
    return min(max(1.0, float(settings().stall_seconds)), MOST_SILENT_SECONDS)


class Patience:
    """Waits for a server that is too busy, with growing pauses, for `stall_seconds` in all."""

    def __init__(self) -> None:
        self.began, self.pause = time.monotonic(), _FIRST_PAUSE_SECONDS

    def waits(self, error: object) -> bool:
        """Wait before the same request is made again; return False at once if it would be in vain."""
        if _hasty.get() or not isinstance(error, StoreUnavailable) or error.errno != errno.EAGAIN:
            return False
        if time.monotonic() + self.pause > self.began + settings().stall_seconds:
            return False
        time.sleep(self.pause)
        self.pause = min(2 * self.pause, _MOST_PAUSE_SECONDS)
        return True


def waiting(act: Callable[[], T]) -> T:
    """Call a function; call it again while a server answers that it is too busy."""
    patience = Patience()
    while True:
        try:
            return act()
        except StoreUnavailable as error:
            if not patience.waits(error):
                raise
