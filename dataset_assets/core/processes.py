"""Identifies the process that holds a lock or a lease, and tells whether it has ended."""

import os
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A process number, the name of its host, and an id of the machine, boot and container ("" if unknown)."""

    process: int
    host: str
    machine: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"

    @property
    def is_gone(self) -> bool:
        """True if the process has surely ended. False on other machines, and if a new process has its number."""
        return bool(self.machine) and self.machine == _machine() and not lives(self.process)


def this_process() -> Process:
    """Return the current process."""
    return Process(os.getpid(), os.uname().nodename, _machine())


def lives(process: int) -> bool:
    """Return True if a process with this number runs on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


@lru_cache(maxsize=1)
def boot() -> str:
    """Return an id of the last start of this machine, or "" if the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@lru_cache(maxsize=1)
def _machine() -> str:
    try:
        # The same number is a different process in each container.
        return f"{boot()}-{os.stat('/proc/self/ns/pid').st_ino}" if boot() else ""
    except OSError:
        return ""
