"""Who holds a lock or a lease: a process of a machine, of which that machine knows whether it is gone."""

import os
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple


class Owner(NamedTuple):
    """A process, its host's name, and what tells this machine, boot and container from all others; empty if unknown."""

    process: int
    host: str
    machine: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"

    @property
    def is_gone(self) -> bool:
        """Whether it has surely ended: of other machines nothing is sure, nor if another process has its number now."""
        return bool(self.machine) and self.machine == _machine() and not lives(self.process)


def this_process() -> Owner:
    """Return who we are."""
    return Owner(os.getpid(), os.uname().nodename, _machine())


def lives(process: int) -> bool:
    """Say whether there is a process of this number here."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


@lru_cache(maxsize=1)
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # In containers the same number is another process.
        return f"{boot}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""
