"""Categories: as their numbers, or as vectors with a single 1."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from dataset_assets.encoding.encoder import Values, check_choice, encoder, known_by
from dataset_assets.encoding.values import distinct
from dataset_assets.errors import SchemaError, UsageError, nearest

Unseen = Literal["error", "ignore"]
Missing = Literal["error", "ignore", "category"]
MISSING = "A value is missing. Take missing='ignore' or 'category', or drop the sample."


@dataclass(frozen=True)
class Categorical:
    """What Ordinal and OneHot share.

    `categories` are learnt, in ascending order, where they are not given. A value that is none of them is an error, or
    is ignored. A missing one (None, NaN) is an error, is ignored, or is a category of its own, the last. More than
    `most` categories are an error: then it is hardly a category.
    """

    categories: tuple[Any, ...] | None = None
    unseen: Unseen = "error"
    missing: Missing = "error"
    most: int = 10_000

    name: ClassVar[str]

    def __post_init__(self) -> None:
        check_choice("unseen", self.unseen, ("error", "ignore"))
        check_choice("missing", self.missing, ("error", "ignore", "category"))
        if self.categories is not None:
            object.__setattr__(self, "categories", tuple(self.categories))
            if len(set(self.categories)) < len(self.categories):
                raise UsageError(f"A category is twice among {self.categories}. Name each once.")

    def learn(self, known: "set[Any] | None", values: Values) -> set[Any]:
        """Add the categories of a block."""
        found = set() if known is None else known
        if self.categories is None:
            found.update(distinct(values)[0])
            if None in found and self.missing == "error":
                raise SchemaError(MISSING)
            if len(found) > self.most:
                raise SchemaError(f"There are more than {self.most} categories. Encode it otherwise, or raise `most`.")
        return found

    def learnt(self, known: "set[Any] | None") -> Self:
        """Return an encoder with these categories, in ascending order."""
        if self.categories is not None:
            return self
        if not known:
            raise UsageError("There are no values to fit on. Fit on a view that has some.")
        try:
            ordered = sorted(known - {None})
        except TypeError as error:
            raise SchemaError(
                f"Categories of several types have no order ({error}). Give them: categories=(...)."
            ) from error
        found = (*ordered, None) if self.missing == "category" and None in known else tuple(ordered)
        return replace(self, categories=found)

    def numbers(self, values: Values) -> NDArray[np.int64]:
        """Return the number of each value's category; -1 for what is ignored."""
        known = self._known
        found, codes = distinct(values)
        table = np.array([self._number(value, known) for value in found], np.int64)
        return table[codes]

    @cached_property
    def _known(self) -> dict[Any, int]:
        return {value: k for k, value in enumerate(known_by(self, self.categories))}

    def _number(self, value: Any, known: dict[Any, int]) -> int:
        if value in known:
            return known[value]
        if value is None and self.missing != "category":
            if self.missing == "ignore":
                return -1
            raise SchemaError(MISSING)
        if self.unseen == "ignore":
            return -1
        raise SchemaError(
            f"{value!r} is not among the {len(known)} categories.{nearest(str(value), map(str, known))} "
            "Fit on a view that has it, or take unseen='ignore'."
        )


@encoder("ordinal")
@dataclass(frozen=True)
class Ordinal(Categorical):
    """A category as its number, from 0 up in the order of `categories`; what is ignored is -1."""

    def apply(self, values: Values) -> NDArray[np.int64]:
        """Return the numbers of the categories.

        >>> Ordinal(("a", "b")).apply(["b", "a"])
        array([1, 0])
        """
        return self.numbers(values)


@encoder("one_hot")
@dataclass(frozen=True)
class OneHot(Categorical):
    """A category as a vector with a single 1; what is ignored is all zeros."""

    def apply(self, values: Values) -> NDArray[np.float32]:
        """Return a row of a number for each category.

        >>> OneHot(("a", "b"), unseen="ignore").apply(["b", "c"])
        array([[0., 1.],
               [0., 0.]], dtype=float32)
        """
        numbers = self.numbers(values)
        found = np.zeros((len(numbers), len(known_by(self, self.categories))), np.float32)
        seen = np.flatnonzero(numbers >= 0)
        found[seen, numbers[seen]] = 1
        return found

    def columns(self, feature: str) -> tuple[str, ...]:
        """Return what each number of a row is called."""
        return tuple(f"{feature}={category}" for category in known_by(self, self.categories))
