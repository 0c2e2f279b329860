"""Encoders of categories: as integers, or as one-hot vectors."""

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
MISSING = "A value is missing. Use missing='ignore' or 'category', or drop the sample."


@dataclass(frozen=True)
class Categorical:
    """The base of Ordinal and OneHot.

    Without `categories` they are learnt, in ascending order. `unseen` decides about a value that is not a category:
    raise an error, or ignore it. `missing` decides about None and NaN: raise an error, ignore it, or make it a category
    of its own, the last one. More than `most` categories raise an error, since the feature is probably not categorical.
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
                raise UsageError(f"categories={self.categories} names one twice. Name each category once.")

    def learn(self, known: "set[Any] | None", values: Values) -> set[Any]:
        """Add the categories of a block."""
        categories = set() if known is None else known
        if self.categories is None:
            categories.update(distinct(values)[0])
            if None in categories and self.missing == "error":
                raise SchemaError(MISSING)
            if len(categories) > self.most:
                raise SchemaError(
                    f"The feature has more than {self.most} categories. Use a different encoder, or raise `most`."
                )
        return categories

    def learnt(self, known: "set[Any] | None") -> Self:
        """Return an encoder with these categories, in ascending order."""
        if self.categories is not None:
            return self
        if not known:
            raise UsageError("There are no values to fit on. Fit on a view with samples.")
        try:
            ordered = sorted(known - {None})
        except TypeError as error:
            raise SchemaError(
                f"Categories of different types cannot be sorted ({error}). Name them: categories=(...)."
            ) from error
        categories = (*ordered, None) if self.missing == "category" and None in known else tuple(ordered)
        return replace(self, categories=categories)

    def numbers(self, values: Values) -> NDArray[np.int64]:
        """Return the number of each value's category, or -1 for an ignored value."""
        known = self._known
        different, codes = distinct(values)
        table = np.array([self._number(value, known) for value in different], np.int64)
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
            "Fit on a view that has it, or use unseen='ignore'."
        )


@encoder("ordinal")
@dataclass(frozen=True)
class Ordinal(Categorical):
    """Encodes a category as an integer, from 0 in the order of `categories`; an ignored value becomes -1."""

    def apply(self, values: Values) -> NDArray[np.int64]:
        """Return the numbers of the categories.

        >>> Ordinal(("a", "b")).apply(["b", "a"])
        array([1, 0])
        """
        return self.numbers(values)


@encoder("one_hot")
@dataclass(frozen=True)
class OneHot(Categorical):
    """Encodes a category as a vector with a single 1; an ignored value becomes all zeros."""

    def apply(self, values: Values) -> NDArray[np.float32]:
        """Return a row for each value, with a number for each category.

        >>> OneHot(("a", "b"), unseen="ignore").apply(["b", "c"])
        array([[0., 1.],
               [0., 0.]], dtype=float32)
        """
        numbers = self.numbers(values)
        rows = np.zeros((len(numbers), len(known_by(self, self.categories))), np.float32)
        seen = np.flatnonzero(numbers >= 0)
        rows[seen, numbers[seen]] = 1
        return rows

    def columns(self, feature: str) -> tuple[str, ...]:
        """Return the name of each column of the result."""
        return tuple(f"{feature}={category}" for category in known_by(self, self.categories))
