"""Identifies the process that holds a lock or a lease, and tells whether it has ended."""

import os
import time
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A process number, the name of its host, an id of the machine, boot and container, and when the process started.

    The last two are "" if unknown.
    """

    process: int
    host: str
    machine: str
    started: str = ""

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"

    @property
    def is_gone(self) -> bool:
        """True if the process has surely ended. Always False on other machines."""
        if not self.machine or self.machine != _machine():
            return False
        return not lives(self.process) or bool(self.started) and self.started != _started(self.process)


def this_process() -> Process:
    """Return the current process."""
    return Process(os.getpid(), os.uname().nodename, _machine(), _started(os.getpid()))


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


def _started(process: int) -> str:
    """Return when a process started, in ticks since the boot, or "" if that is unknown or it ended just now."""
    try:
        # The name before it, in brackets, may hold spaces and brackets.
        fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""


def started_at(process: int) -> float | None:
    """Return the time at which a process of this machine started, or None if that is unknown."""
    ticks = _started(process)
    if not ticks or not hasattr(time, "CLOCK_BOOTTIME"):
        return None
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(ticks) / os.sysconf("SC_CLK_TCK")


@lru_cache(maxsize=1)
def _machine() -> str:
    try:
        # The same number is a different process in each container.
        return f"{boot()}-{os.stat('/proc/self/ns/pid').st_ino}" if boot() else ""
    except OSError:
        return ""
