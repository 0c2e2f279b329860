"""Children of a test process: forked to run a function, and how they ended."""

import os
import signal
from typing import Callable

from dataset_assets.errors import DatasetAssetsError

SECONDS = 200
"""A child that runs for longer hangs; on a busy machine a short one takes its time."""


def in_child(act: Callable[[], object], wait: bool = True) -> int:
    """Run a function in a forked process; return how it ended, or without waiting its number."""
    process = os.fork()
    if process == 0:
        _run_and_leave(act)
    return ended(process) if wait else process


def _run_and_leave(act: Callable[[], object]) -> None:
    """End this process as the command line would."""
    code = 120
    try:
        signal.alarm(SECONDS)
        act()
        code = 0
    except DatasetAssetsError as error:
        code = error.exit_code
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def ended(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
