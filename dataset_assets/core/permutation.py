"""Orders: which row stands at which place, as arithmetic on plain numpy; knows no view.

A shuffled order is a keyed permutation that is computed where it is asked for, a block at a time, so that beginning,
and going on at any place, cost the same. numpy promises no stable streams, so the permutation is ours: docs/orders.md
specifies it and has vectors to check it by.
"""

import hashlib
import json
import math
from functools import cached_property
from typing import Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import UsageError

Rows = NDArray[np.intp]
Words = NDArray[np.uint32]

# Multipliers and shifts of a 32-bit integer hash with low bias: https://nullprogram.com/blog/2018/07/31/
_FIRST, _SECOND = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
MOST_ROWS = (1 << 32) - (1 << 17)
BLOCK = 1 << 14
ROUNDS = 6
FEW = 1 << 12


class Permutation:
    """The numbers 0 to n - 1 in an order that only `n`, `seed`, `epoch` and `purpose` decide.

    A few rows are sorted by a keyed hash of each. Many go through a Feistel network over two digits, and on through it
    until they fall below n: J. Black, P. Rogaway, Ciphers with arbitrary finite domains, CT-RSA 2002, methods 2 and 3.

    >>> order = Permutation(10, seed=7)
    >>> sorted(order[i] for i in range(10)) == list(range(10))
    True
    """

    def __init__(self, n: int, seed: int, epoch: int = 0, purpose: str = "shuffle") -> None:
        if not 0 <= n <= MOST_ROWS:
            raise UsageError(f"A permutation is of 0 to {MOST_ROWS} rows, not of {n}.")
        self.n, self.seed, self.epoch, self.purpose = n, seed, epoch, purpose
        self._keys = keys_of(seed, epoch, purpose)
        self._network = _Network(n, self._keys) if n > FEW else None

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> int:
        return int(self.rows(np.array([range(self.n)[i]]))[0])

    def rows(self, where: "slice | Rows") -> Rows:
        """Return which rows stand at some places: from `where.start` up to `where.stop`, or at each of an array."""
        if self._network is None:
            return self._few[where]
        count = where.stop - where.start if isinstance(where, slice) else len(where)
        rows = np.empty(count, np.intp)
        # In pieces that stay in the cache: a round is a dozen passes over its piece.
        for lo in range(0, count, BLOCK):
            if isinstance(where, slice):
                places = np.arange(where.start + lo, where.start + min(lo + BLOCK, count), dtype=np.uint32)
            else:
                places = where[lo : lo + BLOCK].astype(np.uint32)
            rows[lo : lo + BLOCK] = self._network.crossed(places)
        self._network.walk(rows)
        return rows

    @cached_property
    def _few(self) -> Rows:
        # A network over so few bits is not close to uniform; sorting so few rows takes no time.
        numbers = np.arange(self.n, dtype=np.uint32)
        high, low = np.empty_like(numbers), np.empty_like(numbers)
        _hash(numbers, self._keys[0], high, np.empty_like(numbers))
        _hash(numbers ^ high, self._keys[1], low, np.empty_like(numbers))
        return np.argsort(high.astype(np.uint64) << np.uint64(32) | low, kind="stable")

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_few"}

    def __repr__(self) -> str:
        return f"Permutation({self.n}, seed={self.seed}, epoch={self.epoch}, purpose={self.purpose!r})"


class BlockPermutation:
    """Rows that lie in blocks, shuffled so that few blocks are read at a time: for what fits neither memory nor disk.

    The blocks come in an order of their own, `together` at a time; the rows of these are permuted as one. Only the
    blocks' sizes, `together`, `seed` and `epoch` decide. How far a row is carried is what `together` blocks hold.

    >>> order = BlockPermutation([3, 4, 2], together=2, seed=7)
    >>> sorted(order.rows(slice(0, 9)).tolist()) == list(range(9))
    True
    """

    def __init__(self, sizes: Sequence[int], together: int, seed: int, epoch: int = 0) -> None:
        if together < 1:
            raise UsageError(f"At least one block is read at a time, not {together}.")
        self.seed, self.epoch = seed, epoch
        counts = np.asarray(sizes, np.intp)
        full = np.flatnonzero(counts)
        blocks = full[Permutation(len(full), seed, epoch, "blocks").rows(slice(0, len(full)))]
        # Where each block begins in the rows, and where in the order if it were not shuffled inside the groups.
        self._first = (np.cumsum(counts) - counts)[blocks]
        self._starts = np.cumsum([0, *counts[blocks]])
        self._groups = self._starts[[*range(0, len(blocks), together), len(blocks)]]
        self._inside: dict[int, Permutation] = {}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def rows(self, where: "slice | Rows") -> Rows:
        """Return which rows stand at some places."""
        places = np.arange(where.start, where.stop) if isinstance(where, slice) else where
        groups = np.searchsorted(self._groups, places, "right") - 1
        moved = np.empty(len(places), np.intp)
        for group in np.unique(groups).tolist():
            mine, start = groups == group, int(self._groups[group])
            moved[mine] = start + self._permutation(group).rows(places[mine] - start)
        block = np.searchsorted(self._starts, moved, "right") - 1
        moved += self._first[block] - self._starts[block]
        return moved

    def _permutation(self, group: int) -> Permutation:
        if group not in self._inside:
            size = int(self._groups[group + 1] - self._groups[group])
            self._inside[group] = Permutation(size, self.seed, self.epoch, f"group {group}")
        return self._inside[group]


class _Network:
    """Permutes the numbers below n, with keys: two digits, each moved on in turn by a hash of the other.

    The digits' bases are about the root of n, so that their product is hardly above n and few numbers walk twice.
    """

    def __init__(self, n: int, keys: Words) -> None:
        self.n, self.keys = n, keys
        high = math.isqrt(n - 1) + 1
        self.high, self.low = np.uint32(high), np.uint32(-(-n // high))

    def walk(self, rows: Rows) -> None:
        """Send those that came out beyond n through again, until each is below it."""
        beyond = np.flatnonzero(rows >= self.n)
        while len(beyond):
            again = self.crossed(rows[beyond].astype(np.uint32))
            rows[beyond] = again
            beyond = beyond[again >= self.n]

    def crossed(self, numbers: Words) -> Words:
        """Send numbers through once."""
        # Not divmod, which takes four times as long.
        high = numbers // self.low
        low = numbers - high * self.low
        moved, spare = np.empty_like(low), np.empty_like(low)
        for k in range(0, ROUNDS, 2):
            self._move(high, self.high, low, self.keys[k], moved, spare)
            self._move(low, self.low, high, self.keys[k + 1], moved, spare)
        high *= self.low
        high += low
        return high

    def _move(self, digit: Words, base: np.uint32, by: Words, key: np.uint32, moved: Words, spare: Words) -> None:
        """Add a hash of the other digit, modulo the base; nothing is allocated, which is most of what it would cost."""
        _hash(by, key, moved, spare)
        # The upper half of the hash times the base, halved again, is a number below the base: it has 16 bits at most.
        np.right_shift(moved, np.uint32(16), out=moved)
        np.multiply(moved, base, out=moved)
        np.right_shift(moved, np.uint32(16), out=moved)
        np.add(digit, moved, out=digit)
        # One subtraction does for modulo; where it was not needed it wraps round to something large.
        np.subtract(digit, base, out=spare)
        np.minimum(digit, spare, out=digit)


def keys_of(seed: int, epoch: int, purpose: str) -> Words:
    """Return the eight keys of a permutation: the sha256 of its seed, epoch and purpose."""
    text = json.dumps([int(seed), int(epoch), purpose])
    return np.frombuffer(hashlib.sha256(text.encode()).digest(), "<u4").astype(np.uint32)


def _hash(numbers: Words, key: np.uint32, mixed: Words, spare: Words) -> None:
    """Write the keyed hash of each number into `mixed`; its upper half is the good one."""
    np.add(numbers, key, out=mixed)
    for shift, factor in ((16, _FIRST), (15, _SECOND)):
        np.right_shift(mixed, np.uint32(shift), out=spare)
        np.bitwise_xor(mixed, spare, out=mixed)
        np.multiply(mixed, factor, out=mixed)


def hashed(numbers: Words, key: np.uint32) -> Words:
    """Return the keyed hash of each number."""
    mixed = np.empty_like(numbers)
    _hash(numbers, key, mixed, np.empty_like(numbers))
    return mixed


def generator(seed: int, epoch: int, purpose: str, row: int = 0) -> np.random.Generator:
    """Return a generator of random numbers for one purpose, the same wherever and whenever it is asked for."""
    text = json.dumps([int(seed), int(epoch), purpose, int(row)])
    key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")
    return np.random.Generator(np.random.Philox(key=key))


def sizes_of(n: int, ratios: Sequence[float]) -> list[int]:
    """Return how many of n rows each ratio gets: the largest remainders get what is left over.

    Raises `UsageError` for ratios that are not positive or do not sum to 1.

    >>> sizes_of(100, (0.29, 0.71)), sizes_of(10, (1 / 3, 1 / 3, 1 / 3))
    ([29, 71], [4, 3, 3])
    """
    if not ratios or any(not ratio > 0 for ratio in ratios) or abs(sum(ratios) - 1) > 1e-9:
        raise UsageError(f"Ratios {tuple(ratios)} sum to {sum(ratios):.9g}. Give positive ones that sum to 1.")
    exact = [ratio * n for ratio in ratios]
    sizes = [int(value + 1e-9) for value in exact]
    by_remainder = sorted(range(len(ratios)), key=lambda k: (sizes[k] - exact[k], k))
    for k in by_remainder[: n - sum(sizes)]:
        sizes[k] += 1
    return sizes


def random_parts(n: int, ratios: Sequence[float], seed: int) -> list[Rows]:
    """Return disjoint, covering parts of 0 to n - 1, each in ascending order."""
    return _cut(Permutation(n, seed, purpose="split").rows(slice(0, n)), sizes_of(n, ratios))


def stratified_parts(labels: NDArray[np.generic], ratios: Sequence[float], seed: int) -> list[Rows]:
    """Return parts in which each class has its share, to within one sample.

    Raises `UsageError` for a class with fewer samples than there are parts.
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
    """Return the held-out rows of each fold: disjoint, covering, of sizes that differ by one at most, by class too."""
    if not 2 <= folds <= max(n, 1):
        raise UsageError(f"{n} samples cannot be put into {folds} folds. Use between 2 and {n}.")
    if labels is None:
        order = Permutation(n, seed, purpose="folds").rows(slice(0, n))
        return [np.sort(order[k::folds]) for k in range(folds)]
    turn, which = 0, np.empty(n, np.intp)
    for k, (label, rows) in enumerate(_by_class(labels)):
        if len(rows) < folds:
            raise UsageError(f"Class {label!r} has {_counted(len(rows))}, too few for {folds} stratified folds.")
        order = rows[Permutation(len(rows), seed, epoch=k, purpose="folds").rows(slice(0, len(rows)))]
        which[order] = (np.arange(len(rows)) + turn) % folds
        # The next class goes on where this one ended, so that no fold collects all remainders.
        turn += len(rows)
    return [np.flatnonzero(which == k) for k in range(folds)]


def rest_of(n: int, rows: Rows) -> Rows:
    """Return the other rows of 0 to n - 1, in ascending order."""
    kept = np.ones(n, bool)
    kept[rows] = False
    return np.flatnonzero(kept)


def shard_of(n: int, count: int, rank: int) -> range:
    """Return the places of shard `rank` of `count`: every count-th, so that shards differ by one sample at most.

    >>> list(shard_of(7, 3, 0)), list(shard_of(7, 3, 2))
    ([0, 3, 6], [2, 5])
    """
    if count < 1 or not 0 <= rank < count:
        raise UsageError(f"There is no shard {rank} of {count}. Use 0 to {count - 1}.")
    return range(rank, n, count)


def hashed_parts(keys: Sequence[str], ratios: Sequence[float], seed: int) -> list[Rows]:
    """Return parts decided by each row's own key, so that no row changes its part when others come or go."""
    sizes_of(1, ratios)
    borders = np.cumsum(ratios)[:-1]
    digests = [hashlib.sha256(f"{int(seed)}:{key}".encode()).digest() for key in keys]
    places = np.array([int.from_bytes(digest[:8], "little") / 2**64 for digest in digests])
    part = np.searchsorted(borders, places, "right")
    return [np.flatnonzero(part == k) for k in range(len(ratios))]


def group_parts(labels: NDArray[np.generic], ratios: Sequence[float], seed: int) -> list[Rows]:
    """Return parts of about these ratios that keep the rows of one label together.

    The largest groups go first, each to the part that lacks most; of equal ones a permutation says which. Raises
    `UsageError` for a group that is larger than every part is to be, and for a part that no group fits in.
    """
    sizes = sizes_of(len(labels), ratios)
    groups = _by_class(labels)
    chance = Permutation(len(groups), seed, purpose="group").rows(slice(0, len(groups)))
    lacking, parts = list(sizes), [[np.empty(0, np.intp)] for _ in ratios]
    for k in sorted(chance.tolist(), key=lambda k: -len(groups[k][1])):
        label, rows = groups[k]
        if len(rows) > max(sizes):
            raise UsageError(
                f"Group {label!r} has {len(rows)} samples, and the largest part is to have {max(sizes)}. Give a part a "
                "larger ratio, or divide the group."
            )
        part = max(range(len(sizes)), key=lambda p: (lacking[p], -p))
        lacking[part] -= len(rows)
        parts[part].append(rows)
    for part, chunks in enumerate(parts):
        if len(labels) and len(chunks) == 1:
            raise UsageError(
                f"No group is left for part {part}, which is to have {sizes[part]} samples: there are {len(groups)} "
                f"groups, the smallest of {min(len(rows) for _, rows in groups)}. Use fewer parts, or other ratios."
            )
    return [np.sort(np.concatenate(chunks)) for chunks in parts]


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
