"""Counts the calls of Python functions, so that how work grows can be tested without a clock."""

import sys
from typing import Any, Callable


def calls(work: Callable[[], Any]) -> int:
    """Return the number of calls that some work makes in this thread, of Python functions and of built-in ones."""
    count = 0

    def seen(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count
