"""Keyed permutations: the row at each place of a shuffled order, as arithmetic on numpy arrays.

An order is computed on request, one block at a time, so it takes no longer to resume at any place than to start.
numpy does not promise the same random numbers in every release, so the permutation is our own: docs/orders.md
specifies it and has test vectors.
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
    """The numbers 0 to n - 1 in an order that depends only on `n`, `seed`, `epoch` and `purpose`.

    A few rows are sorted by a keyed hash. Many rows go through a Feistel network over two digits, repeatedly until the
    result is below n: J. Black, P. Rogaway, Ciphers with arbitrary finite domains, CT-RSA 2002, methods 2 and 3.

    >>> order = Permutation(10, seed=7)
    >>> sorted(order[i] for i in range(10)) == list(range(10))
    True
    """

    def __init__(self, n: int, seed: int, epoch: int = 0, purpose: str = "shuffle") -> None:
        if not 0 <= n <= MOST_ROWS:
            raise UsageError(f"A permutation has 0 to {MOST_ROWS} rows, not {n}.")
        self.n, self.seed, self.epoch, self.purpose = n, seed, epoch, purpose
        self._keys = keys_of(seed, epoch, purpose)
        self._network = _Network(n, self._keys) if n > FEW else None

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> int:
        return int(self.rows(np.array([range(self.n)[i]]))[0])

    def rows(self, where: "slice | Rows") -> Rows:
        """Return the rows at these places: `where.start` up to `where.stop`, or each place of an array."""
        if self._network is None:
            return self._few[where]
        count = where.stop - where.start if isinstance(where, slice) else len(where)
        rows = np.empty(count, np.intp)
        # In blocks that fit in the CPU cache: a round is a dozen passes over its block.
        for lo in range(0, count, BLOCK):
            if isinstance(where, slice):
                places = np.arange(where.start + lo, where.start + min(lo + BLOCK, count), dtype=np.uint32)
            else:
                places = where[lo : lo + BLOCK].astype(np.uint32)
            rows[lo : lo + BLOCK] = self._network.permute(places)
        self._network.walk(rows)
        return rows

    @cached_property
    def _few(self) -> Rows:
        # A network over few bits is not close to uniform, and sorting few rows is fast.
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
    """A shuffle of rows stored in blocks that reads few blocks at a time, for data larger than memory and disk.

    The blocks are shuffled and grouped, `together` blocks a group; then the rows of each group are shuffled. The order
    depends only on the sizes of the blocks, `together`, `seed` and `epoch`. A row never leaves its group.

    >>> order = BlockPermutation([3, 4, 2], together=2, seed=7)
    >>> sorted(order.rows(slice(0, 9)).tolist()) == list(range(9))
    True
    """

    def __init__(self, sizes: Sequence[int], together: int, seed: int, epoch: int = 0) -> None:
        if together < 1:
            raise UsageError(f"At least one block must be read at a time, got {together}.")
        self.seed, self.epoch = seed, epoch
        counts = np.asarray(sizes, np.intp)
        full = np.flatnonzero(counts)
        blocks = full[Permutation(len(full), seed, epoch, "blocks").rows(slice(0, len(full)))]
        # The first row of each block, and its first place in the order before the groups are shuffled.
        self._first = (np.cumsum(counts) - counts)[blocks]
        self._starts = np.cumsum([0, *counts[blocks]])
        self._groups = self._starts[[*range(0, len(blocks), together), len(blocks)]]
        self._inside: dict[int, Permutation] = {}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def rows(self, where: "slice | Rows") -> Rows:
        """Return the rows at these places."""
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
    """A Feistel network that permutes the numbers below n: a hash of one digit is added to the other, in turn.

    The bases of the two digits are about the square root of n. Their product is just above n, so few numbers have to
    go through twice.
    """

    def __init__(self, n: int, keys: Words) -> None:
        self.n, self.keys = n, keys
        high = math.isqrt(n - 1) + 1
        self.high, self.low = np.uint32(high), np.uint32(-(-n // high))

    def walk(self, rows: Rows) -> None:
        """Send results that are n or more through the network again, until all are below n (cycle walking)."""
        beyond = np.flatnonzero(rows >= self.n)
        while len(beyond):
            again = self.permute(rows[beyond].astype(np.uint32))
            rows[beyond] = again
            beyond = beyond[again >= self.n]

    def permute(self, numbers: Words) -> Words:
        """Send numbers through the network once."""
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
        """Add a hash of the other digit, modulo the base. It allocates nothing, which would take most of the time."""
        _hash(by, key, moved, spare)
        # (upper 16 bits of the hash * base) >> 16 is below the base, which has at most 16 bits.
        np.right_shift(moved, np.uint32(16), out=moved)
        np.multiply(moved, base, out=moved)
        np.right_shift(moved, np.uint32(16), out=moved)
        np.add(digit, moved, out=digit)
        # One subtraction replaces the modulo; where the digit was below the base it wraps around to a large number.
        np.subtract(digit, base, out=spare)
        np.minimum(digit, spare, out=digit)


def keys_of(seed: int, epoch: int, purpose: str) -> Words:
    """Return the eight keys of a permutation: the sha256 of its seed, epoch and purpose."""
    text = json.dumps([int(seed), int(epoch), purpose])
    return np.frombuffer(hashlib.sha256(text.encode()).digest(), "<u4").astype(np.uint32)


def _hash(numbers: Words, key: np.uint32, mixed: Words, spare: Words) -> None:
    """Write the keyed hash of each number into `mixed`; its upper bits are the better ones."""
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


def generator(seed: int, epoch: int, purpose: str, row: int = 0) -> "np.random.Generator":
    """Return a random number generator that depends only on these arguments."""
    text = json.dumps([int(seed), int(epoch), purpose, int(row)])
    key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")
    return np.random.Generator(np.random.Philox(key=key))


def shard_of(n: int, count: int, rank: int) -> range:
    """Return the places of shard `rank` of `count`: every count-th, so that shards differ by one sample at most.

    >>> list(shard_of(7, 3, 0)), list(shard_of(7, 3, 2))
    ([0, 3, 6], [2, 5])
    """
    if count < 1 or not 0 <= rank < count:
        raise UsageError(f"There is no shard {rank} of {count}. Use 0 to {count - 1}.")
    return range(rank, n, count)
