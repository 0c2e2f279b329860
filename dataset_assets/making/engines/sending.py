"""Tasks as bytes that another process understands."""

import pickle
import re
from collections.abc import Callable
from typing import Any

from dataset_assets.core.workers import using
from dataset_assets.errors import SplitFailed


def packed(name: str, function: Callable[[Any], Any], task: Any) -> bytes:
    """Return a call as bytes. Raises `SplitFailed` for what cannot be sent to another process."""
    import cloudpickle

    try:
        data: bytes = cloudpickle.dumps((function, task))
    except Exception as error:
        raise SplitFailed(
            f"{name} cannot be sent to another process ({error}). Define the function at the top of a module, without "
            "open files or locks, or make the parts in this process: --engine here."
        ) from error
    return data


def called(task: bytes) -> Any:
    """Do a task that was packed; this runs in another process, which starts no more of them."""
    function, what = pickle.loads(task)
    with using(1):
        return function(what)


def twice_killed(name: str, error: Exception) -> SplitFailed:
    """Return the error for a task whose process ended twice; `error` has the exit code of the process, or not."""
    code = re.search(r"\{(SIG\w+|EXIT)\((-?\d+)\)\}", str(error))
    if code and code[1] != "SIGKILL":
        how = f"exit code {code[2]}" if code[1] == "EXIT" else code[1]
        return SplitFailed(
            f"The process that made {name} ended with {how}, also when it was the only one. The function, or a library "
            "that it uses, ends it or crashes: correct that."
        )
    return SplitFailed(
        f"The process that made {name} was killed, also when it was the only one. Perhaps the part needs more memory "
        "than there is: make smaller parts, or use fewer processes (--jobs 1)."
    )
