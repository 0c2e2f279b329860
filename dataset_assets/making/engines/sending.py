"""Tasks as bytes that another process understands."""

import pickle
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
