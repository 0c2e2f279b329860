"""Ends calls that wait too long for a server, where the client library has no limit of its own.

A thread shuts down the socket of such a call, which then fails as if the server had closed it.
"""

import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import Iterator

POLL_SECONDS = 0.1

_lock = threading.Lock()
_some = threading.Event()
_calls: dict["Call", None] = {}
_watching = False


class Call:
    """A call that waits for a server: the socket, until when it may wait, and whether it was ended."""

    def __init__(self, descriptor: int, seconds: float) -> None:
        self.descriptor, self.until = descriptor, time.monotonic() + seconds
        self.ended = False

    def end(self) -> None:
        self.ended = True
        with suppress(OSError), socket.socket(fileno=os.dup(self.descriptor)) as other:
            other.shutdown(socket.SHUT_RDWR)


@contextmanager
def watched(descriptor: int, seconds: float) -> Iterator[Call]:
    """Shut down a socket if the block takes longer than this."""
    call = Call(descriptor, seconds)
    with _lock:
        _calls[call] = None
        _start()
    _some.set()
    try:
        yield call
    finally:
        # Under the lock, so that the socket is not closed and its number used anew while it is shut down.
        with _lock:
            _calls.pop(call, None)


def _start() -> None:
    global _watching
    if not _watching:
        _watching = True
        threading.Thread(target=_watch, name="dataset_assets-watchdog", daemon=True).start()


def _watch() -> None:
    while True:
        _some.wait()
        with _lock:
            late = [call for call in _calls if call.until < time.monotonic()]
            for call in late:
                call.end()
                del _calls[call]
            if not _calls:
                _some.clear()
        time.sleep(POLL_SECONDS)


def _forget() -> None:
    """Begin anew in a forked child, which has no thread that watches."""
    global _lock, _watching
    _lock, _watching = threading.Lock(), False
    _calls.clear()


os.register_at_fork(after_in_child=_forget)
