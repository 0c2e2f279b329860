"""One client of the soak: soak_client.py VERB STORAGE OTHER ROUND. It ends with 0 after saying what was acknowledged.

7 is a typed error that a lost server explains. 3 is a wrong sample, and any other end is a fault too.
"""

import os
import sys
from typing import Any, Iterator

import numpy as np

from dataset_assets import Array, Columns, Dataset, Split, load, prepare
from dataset_assets.errors import Conflict, NotPrepared, StorageError
from dataset_assets.loader import Loader
from dataset_assets.moving.copy import copy
from dataset_assets.moving.gc import collect
from dataset_assets.storage import open_storage

NAME = "org.example.soak"
BLOCKS, BLOCK = 6, 500
ROW = 40
GRACE_SECONDS = 240.0
EXPLAINED, WRONG = 7, 3


def rows(number: int) -> Iterator[Columns]:
    for k in range(BLOCKS):
        at = np.arange(k * BLOCK, (k + 1) * BLOCK)
        yield Columns(at=at, number=np.full(BLOCK, number), row=expected(at, np.full(BLOCK, number)))


def expected(at: Any, number: Any) -> Any:
    """Return the right values of some samples: they depend on where a sample is, and on the version."""
    return at[:, None] * 7919 + number[:, None] * 104729 + np.arange(ROW)


def dataset(number: int) -> Dataset:
    return Dataset(
        NAME,
        "Numbers that tell their place and their version.",
        {"at": Array(), "number": Array(), "row": Array()},
        {"train": Split(rows, number=number)},
    )


def wrong(batch: Any) -> bool:
    return not np.array_equal(batch["row"], expected(batch["at"], batch["number"]))


def epoch(storage: str, seed: int) -> str:
    """Read an epoch; every sample must come once and be right, and all of one version."""
    view: Any = load(NAME, "train", storage=storage)
    seen: list[Any] = []
    for batch in Loader(view, 64, shuffle=True, seed=seed).epoch(0):
        if wrong(batch):
            sys.exit(WRONG)
        seen.append((batch["at"], batch["number"]))
    at, number = (np.concatenate([one[k] for one in seen]) for k in (0, 1))
    if not np.array_equal(np.sort(at), np.arange(BLOCKS * BLOCK)) or len({*number.tolist()}) != 1:
        sys.exit(WRONG)
    return str(view.version)


def run(verb: str, storage: str, other: str, number: int) -> str:
    if verb == "prepare":
        return prepare(dataset(number), storage=storage)["train"].version  # type: ignore[attr-defined, no-any-return]
    if verb == "copy":
        return str(copy(NAME, storage, other, make_current=True)[0].current)
    if verb == "gc":
        return str(len(collect(open_storage(storage), grace_seconds=GRACE_SECONDS)))
    return epoch(storage, number)


def main() -> None:
    verb, storage, other, number = sys.argv[1:]
    try:
        print(run(verb, storage, other, int(number)), flush=True)
    except (StorageError, Conflict, NotPrepared) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(EXPLAINED)


if __name__ == "__main__":
    main()
