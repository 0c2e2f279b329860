"""A dataset in parts that two machines make at once: processes with homes of their own, on one storage."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from dataset_assets import Array, Dataset, ForEach, Split, prepare

NAME = "org.example.many"
FILES = 12
PATIENCE = 60.0


def numbers(table: BinaryIO) -> Iterator[Any]:
    meet()
    for line in table:
        yield {"number": int(line)}


def meet() -> None:
    """Go on when a process of each machine is at a part, or one of them was killed there."""
    here, end = Path(os.environ["MEETING"]), time.monotonic() + PATIENCE
    (here / os.environ["MACHINE"]).touch()
    while len([*here.iterdir()]) < 2:
        if time.monotonic() > end:
            raise TimeoutError("the other machine has not come")
        time.sleep(0.01)
    if os.environ["MACHINE"] == os.environ.get("DIES"):
        os.kill(os.getpid(), signal.SIGKILL)


def many(pattern: str) -> Dataset:
    split = Split(numbers, table=ForEach(pattern, files_per_part=1))
    return Dataset(NAME, "Numbers.", {"number": Array("int64")}, {"all": split})


def main() -> None:
    # The one that dies works alone, so that no process of its own outlives it.
    jobs = 1 if os.environ["MACHINE"] == os.environ.get("DIES") else 2
    print(prepare(many(os.environ["PATTERN"]), jobs=jobs)["all"].version)


if __name__ == "__main__":
    main()
