"""The memory that Python's allocators give out while a function runs."""

import os
import tracemalloc
from typing import Callable

from children import ended, in_child


def peak_of(act: Callable[[], object]) -> int:
    """Run a function in a forked process, where no other thread allocates; return the most bytes held at once."""
    read, write = os.pipe()

    def traced() -> None:
        tracemalloc.start()
        act()
        os.write(write, b"%d" % tracemalloc.get_traced_memory()[1])

    process = in_child(traced, wait=False)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    assert ended(process) == 0, "see the captured stderr"
    return int(said)
