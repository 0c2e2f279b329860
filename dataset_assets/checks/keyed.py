"""Finds rows of two views that have the same key, such as the text without its case."""

import hashlib
from typing import Any, Callable

import numpy as np

from dataset_assets.checks.duplicates import Hashes, proposed
from dataset_assets.checks.pairs import blocks_of
from dataset_assets.reading.views import View

Key = Callable[[Any], bytes | None]

_NONE = np.uint64(0)


def hashes_of(view: View, stream: str, key: Key) -> Hashes:
    """Return a 64-bit hash of each row's key; 0 for a row without one."""
    found = bytearray()
    for block in blocks_of(view, stream):
        for value in block:
            data = key(value)
            found += bytes(8) if data is None else hashlib.blake2b(data, digest_size=8).digest()
    return np.frombuffer(found, np.uint64)


def equal_rows(
    first: View, here: Hashes, second: View, there: Hashes, stream: str, key: Key
) -> tuple[list[int], list[int]]:
    """Return, for each row of `second` whose key a row of `first` has, the first such row.

    Hashes propose pairs, and the keys decide.
    """
    ours, theirs = proposed(here, there)
    keyed = there[theirs] != _NONE
    pairs = zip(ours[keyed].tolist(), theirs[keyed].tolist())
    same = [(i, j) for i, j in pairs if key(first[i][stream]) == key(second[j][stream])]
    return [i for i, _ in same], [j for _, j in same]
