"""What became of a request whose answer was lost: the connector looks, and does not guess."""

import errno
from contextlib import suppress
from typing import Callable, TypeVar

from dataset_assets.core.interruptible import within
from dataset_assets.errors import NoConditions, StorageError, StoreUnavailable

T = TypeVar("T")
U = TypeVar("U")

NOTHING = "Nothing was published."
SINGLE = "Prepare and release from one process at a time there, with ?writers=one in the URL; or use another store."


def settled(act: Callable[[], T], done: Callable[[], bool], result: U, seconds: float) -> T | U:
    """Act, and return what `act` returns; if its answer was lost but it is `done`, return `result`.

    Otherwise raises the error, which then says that the outcome is not known. To look takes so many seconds at most.
    """
    try:
        return act()
    except StoreUnavailable as error:
        lost = error
    with suppress(StorageError, TimeoutError):
        if within(seconds, done):
            return result
    said = str(lost.strerror or lost).replace(NOTHING, "It is not known whether the server did it.")
    raise type(lost)(lost.errno, said)


def without_conditions(url: str, why: str) -> NoConditions:
    """Return the error for a store on which two writers cannot be kept apart."""
    return NoConditions(errno.ENOTSUP, f"{url} {why}, so it is for a single writer. {SINGLE}")
