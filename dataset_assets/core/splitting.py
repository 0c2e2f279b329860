"""Ways to split rows: at random, by class, into folds, by a hash of a key, or by group.

Each function returns the rows of each part in ascending order. docs/orders.md specifies the parts, so that they never
change, and has code to check them by.
"""

import hashlib
from typing import Any, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.core.permutation import Permutation, Rows
from dataset_assets.core.ratios import sizes_of
from dataset_assets.errors import UsageError

Keys = tuple[Any, Any]
# Rows that are compared, and keys that are hashed, together.
BLOCK = 1 << 16


def random_parts(n: int, ratios: Sequence[float], seed: int) -> list[Rows]:
    """Return random parts of the rows 0 to n - 1. Each row is in exactly one part."""
    return _cut(Permutation(n, seed, purpose="split").rows(slice(0, n)), sizes_of(n, ratios))


def stratified_parts(
    labels: NDArray[np.generic], ratios: Sequence[float], seed: int, names: Sequence[str] = ()
) -> list[Rows]:
    """Return parts with the same share of each class, to within one sample.

    Raises `UsageError` for a class with fewer samples than parts; `names` are those of labels that are numbers.
    """
    parts: list[list[Rows]] = [[] for _ in ratios]
    for k, (label, rows) in enumerate(_by_class(labels)):
        if len(rows) < len(ratios):
            named = dict[object, object](enumerate(names)).get(label, label)
            raise UsageError(
                f"Class {named!r} has {_counted(len(rows))}, too few for {len(ratios)} stratified parts. Leave it out, "
                "or divide without classes: random_split() or hash_split()."
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


def hashed_parts(keys: Sequence[Any] | Iterable[Keys], ratios: Sequence[float], seed: int) -> list[Rows]:
    """Return parts decided by a hash of each row's key: a row keeps its part when others are added or removed.

    A key counts as its text. The keys are a list, or blocks of rows: the keys in a block, and which one each row has.
    """
    sizes_of(1, ratios)
    borders, kind = np.cumsum(ratios)[:-1], np.min_scalar_type(len(ratios))
    blocks = [(keys, slice(None))] if isinstance(keys, Sequence) else keys
    parts = [
        np.searchsorted(borders, _places(some, int(seed)), "right").astype(kind)[numbers] for some, numbers in blocks
    ]
    part = np.concatenate(parts) if parts else np.empty(0, kind)
    return [np.flatnonzero(part == k) for k in range(len(ratios))]


def _places(keys: Any, seed: int) -> NDArray[np.float64]:
    """Return where between 0 and 1 the hash of each key lies."""
    sha256, found = hashlib.sha256, np.empty(len(keys))
    for lo in range(0, len(keys), BLOCK):
        some = keys[lo : lo + BLOCK]
        plain = some.tolist() if isinstance(some, np.ndarray) else some
        digests = b"".join([sha256(f"{seed}:{key}".encode()).digest() for key in plain])
        found[lo : lo + BLOCK] = np.frombuffer(digests, "<u8")[::4]
    return found / 2.0**64


def group_parts(labels: NDArray[np.generic], ratios: Sequence[float], seed: int) -> list[Rows]:
    """Return parts of about these ratios that keep the rows of one label together.

    The largest group is assigned first, each to the part that lacks most rows; a permutation orders groups of equal
    size. Raises `UsageError` if a group is larger than the largest part, or if a part gets no group.
    """
    sizes = sizes_of(len(labels), ratios)
    group, counts = _groups(labels)
    chance = Permutation(len(counts), seed, purpose="group").rows(slice(0, len(counts)))
    order = chance[np.argsort(-counts[chance], kind="stable")]
    if len(order) and counts[order[0]] > max(sizes):
        (label,) = labels[[int(np.argmax(group == order[0]))]].tolist()
        raise UsageError(
            f"Group {label!r} has {counts[order[0]]} samples, but the largest part gets only {max(sizes)}. Give a part "
            "a larger ratio, or divide the group."
        )
    part_of = _assigned(counts[order], sizes)
    for part in range(len(sizes)) if len(labels) else ():
        if not (part_of == part).any():
            raise UsageError(
                f"No group is left for part {part}, which should get {sizes[part]} samples: there are {len(counts)} "
                f"groups, the smallest has {counts.min()}. Use fewer parts or different ratios."
            )
    of_group = np.empty_like(part_of)
    of_group[order] = part_of
    of_row = of_group[group]
    return [np.flatnonzero(of_row == k) for k in range(len(sizes))]


def _groups(labels: NDArray[np.generic]) -> tuple[NDArray[Any], Rows]:
    """Return the number of each row's label among the sorted labels, and how many rows each label has."""
    # Like np.unique, in half its memory.
    order = np.argsort(labels, kind="stable")
    begins = np.ones(len(labels), bool)
    for lo in range(1, len(labels), BLOCK):
        at = order[lo - 1 : lo + BLOCK]
        some = labels[at]
        begins[lo : lo + BLOCK] = (some[1:] != some[:-1]) & ((some[1:] == some[1:]) | (some[:-1] == some[:-1]))
    group: NDArray[Any] = np.empty(len(labels), np.int32 if len(labels) < 1 << 31 else np.int64)
    group[order] = np.cumsum(begins, dtype=group.dtype) - 1
    return group, np.diff(np.append(np.flatnonzero(begins), len(labels)))


def _assigned(counts: Rows, sizes: Sequence[int]) -> Rows:
    """Return the part of each group, of groups with these counts, the largest first: the one that lacks most rows."""
    lacking, part_of = list(sizes), np.empty(len(counts), np.min_scalar_type(len(sizes)))
    cuts = [0, *(np.flatnonzero(np.diff(counts)) + 1).tolist(), len(counts)] if len(counts) else [0]
    for lo, hi in zip(cuts, cuts[1:]):
        part_of[lo:hi] = parts = _turns(lacking, int(counts[lo]), hi - lo)
        taken = np.bincount(parts, minlength=len(lacking)).tolist()
        lacking = [lacks - int(counts[lo]) * times for lacks, times in zip(lacking, taken)]
    return part_of


def _turns(lacking: Sequence[int], count: int, groups: int) -> Rows:
    """Return the part for each of some groups of one count, in turn: the one that lacks most then, the first of equals.

    Part p lacks lacking[p] - j * count rows before it takes its group j: the largest of all these numbers are taken.
    """
    low, high = min(lacking) - count * groups, max(lacking)
    while low < high:
        level = (low + high + 1) // 2
        enough = sum(max(0, (lacks - level) // count + 1) for lacks in lacking) >= groups
        low, high = (level, high) if enough else (low, level - 1)
    turns = [max(0, (lacks - low) // count + 1) for lacks in lacking]
    lacks = np.concatenate([before - count * np.arange(times) for before, times in zip(lacking, turns)])
    part: Rows = np.repeat(np.arange(len(lacking)), turns)[np.argsort(-lacks, kind="stable")[:groups]]
    return part


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
