"""Ways to split rows: at random, by class, into folds, by a hash of a key, or by group.

Each function returns the rows of each part in ascending order. docs/orders.md specifies the parts, so that they never
change, and has code to check them by.
"""

import hashlib
from typing import Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.core.permutation import Permutation, Rows
from dataset_assets.core.ratios import sizes_of
from dataset_assets.errors import UsageError


def random_parts(n: int, ratios: Sequence[float], seed: int) -> list[Rows]:
    """Return random parts of the rows 0 to n - 1. Each row is in exactly one part."""
    return _cut(Permutation(n, seed, purpose="split").rows(slice(0, n)), sizes_of(n, ratios))


def stratified_parts(labels: NDArray[np.generic], ratios: Sequence[float], seed: int) -> list[Rows]:
    """Return parts with the same share of each class, to within one sample.

    Raises `UsageError` for a class with fewer samples than parts.
    """
    parts: list[list[Rows]] = [[] for _ in ratios]
    for k, (label, rows) in enumerate(_by_class(labels)):
        if len(rows) < len(ratios):
            raise UsageError(
                f"Class {label!r} has {_counted(len(rows))}, too few for {len(ratios)} stratified parts. Leave it out, "
                "or split at random."
            )
        order = rows[Permutation(len(rows), seed, epoch=k, purpose="stratify").rows(slice(0, len(rows)))]
        for part, piece in zip(parts, _cut(order, sizes_of(len(rows), ratios)), strict=True):
            part.append(piece)
    return [np.sort(np.concatenate(part)) if part else np.empty(0, np.intp) for part in parts]


def folds_of(n: int, folds: int, seed: int, labels: NDArray[np.generic] | None = None) -> list[Rows]:
    """Return the held-out rows of each fold. Sizes differ by one at most; with labels, those of each class too."""
    if not 2 <= folds <= max(n, 1):
        raise UsageError(f"{n} samples cannot be split into {folds} folds. Use 2 to {n} folds.")
    if labels is None:
        order = Permutation(n, seed, purpose="folds").rows(slice(0, n))
        return [np.sort(order[k::folds]) for k in range(folds)]
    turn, which = 0, np.empty(n, np.intp)
    for k, (label, rows) in enumerate(_by_class(labels)):
        if len(rows) < folds:
            raise UsageError(f"Class {label!r} has {_counted(len(rows))}, too few for {folds} stratified folds.")
        order = rows[Permutation(len(rows), seed, epoch=k, purpose="folds").rows(slice(0, len(rows)))]
        which[order] = (np.arange(len(rows)) + turn) % folds
        # The next class continues where this one ended, so that no fold gets all remainders.
        turn += len(rows)
    return [np.flatnonzero(which == k) for k in range(folds)]


def rest_of(n: int, rows: Rows) -> Rows:
    """Return the rows of 0 to n - 1 that are not in `rows`, in ascending order."""
    kept = np.ones(n, bool)
    kept[rows] = False
    return np.flatnonzero(kept)


def hashed_parts(keys: Sequence[str], ratios: Sequence[float], seed: int) -> list[Rows]:
    """Return parts decided by a hash of each row's key: a row keeps its part when others are added or removed."""
    sizes_of(1, ratios)
    borders = np.cumsum(ratios)[:-1]
    digests = [hashlib.sha256(f"{int(seed)}:{key}".encode()).digest() for key in keys]
    places = np.array([int.from_bytes(digest[:8], "little") / 2**64 for digest in digests])
    part = np.searchsorted(borders, places, "right")
    return [np.flatnonzero(part == k) for k in range(len(ratios))]


def group_parts(labels: NDArray[np.generic], ratios: Sequence[float], seed: int) -> list[Rows]:
    """Return parts of about these ratios that keep the rows of one label together.

    The largest group is assigned first, each to the part that lacks most rows; a permutation orders groups of equal
    size. Raises `UsageError` if a group is larger than the largest part, or if a part gets no group.
    """
    sizes = sizes_of(len(labels), ratios)
    groups = _by_class(labels)
    chance = Permutation(len(groups), seed, purpose="group").rows(slice(0, len(groups)))
    lacking, parts = list(sizes), [[np.empty(0, np.intp)] for _ in ratios]
    for k in sorted(chance.tolist(), key=lambda k: -len(groups[k][1])):
        label, rows = groups[k]
        if len(rows) > max(sizes):
            raise UsageError(
                f"Group {label!r} has {len(rows)} samples, but the largest part gets only {max(sizes)}. Give a part a "
                "larger ratio, or divide the group."
            )
        part = max(range(len(sizes)), key=lambda p: (lacking[p], -p))
        lacking[part] -= len(rows)
        parts[part].append(rows)
    for part, pieces in enumerate(parts):
        if len(labels) and len(pieces) == 1:
            raise UsageError(
                f"No group is left for part {part}, which should get {sizes[part]} samples: there are {len(groups)} "
                f"groups, the smallest has {min(len(rows) for _, rows in groups)}. Use fewer parts or different ratios."
            )
    return [np.sort(np.concatenate(pieces)) for pieces in parts]


def _by_class(labels: NDArray[np.generic]) -> list[tuple[object, Rows]]:
    if not len(labels):
        return []
    classes, inverse = np.unique(labels, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    cuts = np.cumsum(np.bincount(inverse, minlength=len(classes)))[:-1]
    return list(zip(classes.tolist(), np.split(order, cuts), strict=True))


def _counted(n: int) -> str:
    return "1 sample" if n == 1 else f"{n} samples"


def _cut(order: Rows, sizes: Sequence[int]) -> list[Rows]:
    return [np.sort(part) for part in np.split(order, np.cumsum(sizes)[:-1])]
