"""Functions that worker processes import by name."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO, Iterator

import numpy as np

from dataset_assets.errors import DecodeError


def rows(table: BinaryIO, count: int = 40) -> Iterator[int]:
    yield from (int(line) for line in list(table)[:count])


def squared(number: int) -> Any:
    time.sleep(0.02)
    return {"n": number * number, "process": os.getpid()}


def with_another(number: int) -> Any:
    """Work in another process when there are two of them: one of them alone might be done before the other begins."""
    if os.getpid() != int(os.environ["BEGUN_BY"]):
        marks, until = Path(os.environ["MARKS"]), time.monotonic() + 60
        (marks / str(os.getpid())).touch()
        while len([*marks.iterdir()]) < 2 and time.monotonic() < until:
            time.sleep(0.01)
    return squared(number)


def several(number: int) -> Any:
    time.sleep(0.02)
    return [{"n": number}] * (number % 3)


def failing(number: int) -> Any:
    if number == 30:
        raise ValueError("thirty is bad")
    return squared(number)


def leaving(number: int) -> Any:
    if number == 30:
        raise SystemExit("out of here")
    return squared(number)


def undecodable(number: int) -> Any:
    if number == 30:
        raise DecodeError("It is cut.")
    return squared(number)


def killed_once(number: int) -> Any:
    """End the process at item 25, the first time; the mark that remembers it is in the folder of an environment."""
    mark = Path(os.environ["KILLED_ONCE"])
    if number == 25 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return squared(number)


def killed(number: int) -> Any:
    if number == 25:
        os.kill(os.getpid(), signal.SIGKILL)
    return squared(number)


BUFFER = np.zeros((), np.int64)


def into_one_buffer(number: int) -> Any:
    time.sleep(0.02)
    BUFFER[...] = number
    return {"n": BUFFER}


def slowly(item: Any) -> Any:
    time.sleep(0.02)
    return {"n": 1}


def a_lock(item: Any) -> Any:
    time.sleep(0.02)
    return threading.Lock()


def number_in(data: bytearray) -> Any:
    time.sleep(0.02)
    return {"n": int.from_bytes(data, "little")}
