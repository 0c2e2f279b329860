"""Disk faults for tests: makes the n-th call to the disk fail. Loop over n = 1, 2, ... until nothing fails.

```python
for n in itertools.count(1):
    with failing(n, "ENOSPC") as calls:
        ...  # run the code, which may raise; then check what is stored
    if not calls.tripped:
        break
```
"""

import errno
import os
import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, Literal, get_args

from dataset_assets.core import files

DiskFault = Literal["EIO", "ENOSPC", "EDQUOT", "short", "short-ENOSPC", "kill"]
"""A system error; a read or write of half the bytes, possibly followed by an error; or SIGKILL to this process."""

DISK_FAULTS: tuple[DiskFault, ...] = get_args(DiskFault)

Hook = Callable[[str, Path, int], int | None]


class Calls:
    """The number of `calls` that passed the fail points, and whether the n-th call came (`tripped`).

    A fault that shortens reads and writes has no effect on other calls; these still count as tripped. `struck` is the
    name of the system error that was raised, or "short"; None if nothing happened.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.tripped = False
        self.struck: str | None = None
        self._counting = threading.Lock()

    def next(self) -> int:
        """Count a call and return its number."""
        with self._counting:
            self.calls += 1
            return self.calls

    def strike(self, fault: str, operation: str) -> None:
        """Raise the OSError with this name, or kill this process. Reads fail with EIO only, as on a real disk."""
        self.struck = "EIO" if operation in files.READS and fault != "kill" else fault
        strike(self.struck)


@contextmanager
def counting(reads: bool = False) -> Iterator[Calls]:
    """Count the changes to the disk inside the block, and with `reads` all reads, too."""
    calls = Calls()

    def count(operation: str, path: Path, size: int) -> None:
        if reads or operation not in files.READS:
            calls.next()

    with installed(count):
        yield calls


@contextmanager
def failing(n: int, fault: DiskFault, reads: bool = False) -> Iterator[Calls]:
    """Make the n-th change to the disk inside the block fail, counted from 1 over all operations and threads.

    With `reads`, the n-th read or change: opening a file, reading and mapping it, and looking at a folder count too.
    """
    calls = Calls()
    first, _, then = fault.partition("-")
    cut = threading.Event()

    def fail(operation: str, path: Path, size: int) -> int | None:
        if operation in files.READS and not reads:
            return None
        number = calls.next()
        if number == n + 1 and then and cut.is_set():
            calls.strike(then, operation)
        if number != n:
            return None
        calls.tripped = True
        if first != "short":
            calls.strike(first, operation)
        elif operation == "write" or operation == "read" and size > 1:
            cut.set()
            calls.struck = first
            return size // 2
        return None

    with installed(fail):
        yield calls


def strike(fault: str) -> None:
    """Raise the OSError with this name, or kill this process."""
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    number = getattr(errno, fault)
    raise OSError(number, os.strerror(number))


@contextmanager
def installed(hook: Hook) -> Iterator[None]:
    """Call a function at every call to the disk inside the block, in all threads. The function may raise."""
    before, files.hook = files.hook, hook
    try:
        yield
    finally:
        files.hook = before
