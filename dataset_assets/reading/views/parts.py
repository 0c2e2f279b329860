"""Splits a view into disjoint parts that cover it. A seed makes them the same in every process."""

from abc import abstractmethod
from typing import Any, Iterator, Mapping, Sequence

import numpy as np

from dataset_assets.core.permutation import Rows
from dataset_assets.core.splitting import (
    Keys,
    folds_of,
    group_parts,
    hashed_parts,
    random_parts,
    rest_of,
    stratified_parts,
)
from dataset_assets.errors import UsageError
from dataset_assets.formats.columns import values_of
from dataset_assets.reading.views.columns_whole import column_of, labels_of
from dataset_assets.reading.views.operations import operation
from dataset_assets.reading.views.selected import Selected
from dataset_assets.reading.views.view import Fold, NestedFold, View

KEYS = 1 << 20
"""Of how many values each different one is hashed once. More need more memory."""
PLAIN = {f"{kind}{size}" for kind in "iuf" for size in (2, 4, 8)} | {"b1", "i1", "u1"}
"""Kinds of numbers, with their bytes, whose text is that of Python's number."""


class Part(Selected):
    """A part of a split. Its rows are the same in every epoch; `indices` are their numbers."""

    _whole = True

    def __init__(self, parent: View, rows: Rows, given: Mapping[str, Any]) -> None:
        # Sorted, with tuples, so that a stack that was read from JSON looks the same.
        self._given = {name: tuple(given[name]) if name == "ratios" else given[name] for name in sorted(given)}
        super().__init__(parent, rows)

    @classmethod
    def all_of(cls, parent: View, **given: Any) -> "list[Part]":
        """Return all parts of one split."""
        return [cls(parent, rows, {**given, "part": k}) for k, rows in enumerate(cls.divided(parent, **given))]

    @staticmethod
    @abstractmethod
    def divided(parent: View, **given: Any) -> list[Rows]:
        """Return the rows of each part."""

    def arguments(self) -> dict[str, Any]:
        return dict(self._given)

    @classmethod
    def build(cls, arguments: Mapping[str, Any], parents: Sequence[View]) -> View:
        given = dict(arguments)
        part = given.pop("part")
        return cls(parents[0], cls.one_of(parents[0], part, **given), arguments)

    @classmethod
    def one_of(cls, parent: View, part: Any, **given: Any) -> Rows:
        """Return the rows of one part."""
        parts = cls.divided(parent, **given)
        return parts[_number(part, len(parts))]

    def _line(self) -> str:
        arguments = ", ".join(f"{name}={value}" for name, value in self._given.items() if value is not None)
        return f"{type(self).__name__}({len(self)}, {arguments})"


@operation("random_split")
class RandomPart(Part):
    """A part of a random split."""

    @staticmethod
    def divided(parent: View, *, ratios: Sequence[float], seed: int) -> list[Rows]:  # type: ignore[override]
        return random_parts(len(parent), ratios, seed)


@operation("stratified_split")
class StratifiedPart(Part):
    """A part of a stratified split: it has its share of each class."""

    @staticmethod
    def divided(parent: View, *, ratios: Sequence[float], by: str, seed: int) -> list[Rows]:  # type: ignore[override]
        return stratified_parts(labels_of(parent, by), ratios, seed, parent.classes.get(by, ()))


@operation("group_split")
class GroupPart(Part):
    """A part of a split by group: it has all samples of a group, or none of them."""

    @staticmethod
    def divided(parent: View, *, ratios: Sequence[float], by: str, seed: int) -> list[Rows]:  # type: ignore[override]
        return group_parts(labels_of(parent, by), ratios, seed)


@operation("hash_split")
class HashPart(Part):
    """A part of a split by hash: the hash of a sample's key decides its part."""

    @staticmethod
    def divided(parent: View, *, ratios: Sequence[float], by: str, seed: int) -> list[Rows]:  # type: ignore[override]
        return hashed_parts(keys_in(column_of(parent, by), by), ratios, seed)


@operation("kfold")
class FoldPart(Part):
    """A part of a cross-validation: training and held-out samples of the first fold, then of the next, and so on."""

    @staticmethod
    def divided(parent: View, *, folds: int, by: str | None, seed: int) -> list[Rows]:  # type: ignore[override]
        held_out = FoldPart._held_out(parent, folds, by, seed)
        return [rows for out in held_out for rows in (rest_of(len(parent), out), out)]

    @classmethod
    def one_of(cls, parent: View, part: Any, **given: Any) -> Rows:
        # Computes one part only, because the training parts of many folds together are many times the view.
        held_out = cls._held_out(parent, **given)
        fold, out = divmod(_number(part, 2 * len(held_out)), 2)
        return held_out[fold] if out else rest_of(len(parent), held_out[fold])

    @staticmethod
    def _held_out(parent: View, folds: int, by: str | None, seed: int) -> list[Rows]:
        return folds_of(len(parent), folds, seed, None if by is None else labels_of(parent, by))


def _number(part: Any, count: int) -> int:
    if part not in range(count):
        raise UsageError(f"part is {part!r:.80}, but there are {count} parts. Give a number from 0 to {count - 1}.")
    return int(part)


def folds(view: View, count: int, by: str | None, seed: int) -> list[Fold]:
    """Return the cross-validation folds of a view."""
    parts = FoldPart.all_of(view, folds=count, by=by, seed=seed)
    return [Fold(*pair) for pair in zip(parts[::2], parts[1::2])]


def nested_folds(
    view: View, outer: int, inner: int, outer_by: str | None, inner_by: str | None, seed: int
) -> list[NestedFold]:
    """Return the outer folds of a view, each with its inner ones."""
    return [NestedFold(*fold, folds(fold.train, inner, inner_by, seed)) for fold in folds(view, outer, outer_by, seed)]


def keys_in(values: Any, by: str) -> Iterator[Keys]:
    """Yield the keys of values in blocks: each different one once, and the number of the key of each value."""
    for lo in range(0, len(values), KEYS):
        block = values[lo : lo + KEYS]
        if isinstance(block, np.ndarray) and block.ndim == 1 and f"{block.dtype.kind}{block.itemsize}" in PLAIN:
            # By their bits, because 0.0 and -0.0 are equal, and their texts are not.
            bits, numbers = np.unique(np.ascontiguousarray(block).view(f"u{block.itemsize}"), return_inverse=True)
            yield bits.view(block.dtype), numbers
        else:
            keys = [key_of(value, by) for value in values_of(block)]
            known = {key: number for number, key in enumerate(dict.fromkeys(keys))}
            yield [*known], np.array([known[key] for key in keys], np.intp)


def key_of(value: Any, by: str) -> str:
    """Return the text whose hash decides the part of a sample."""
    if isinstance(value, (bool, int, float, str)):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    raise UsageError(
        f"A value of {by} is a {type(value).__name__}, which is not a key. Split by a stream, or a field, of numbers "
        "or text."
    )
