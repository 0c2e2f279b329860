"""Maps values, such as targets, to different values."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.encoding.encoder import Values, check_choice, encoder, plain
from dataset_assets.encoding.values import PLAIN, distinct
from dataset_assets.errors import SchemaError, UsageError, nearest

Unmapped = Literal["error", "keep"]


@encoder("mapping")
@dataclass(frozen=True)
class Remapped:
    """Maps old values to new ones, all at once: a new value is not mapped again. It learns nothing.

    `pairs` is a mapping of old to new; several old values may become the same one. `unmapped` decides about a value
    that is not in it: raise an error, or keep it.
    """

    pairs: Any
    unmapped: Unmapped = "error"

    name: ClassVar[str]

    def __post_init__(self) -> None:
        check_choice("unmapped", self.unmapped, ("error", "keep"))
        object.__setattr__(self, "pairs", _pairs(self.pairs))
        if not self.pairs or len(dict(self.pairs)) < len(self.pairs):
            problem = "names a value twice. Name each once." if self.pairs else "is empty. Give at least one pair."
            raise UsageError(f"The mapping {self.pairs} {problem}")
        kinds = {str if isinstance(new, str) else float for _, new in self.pairs}
        if len(kinds) > 1:
            raise UsageError(
                f"The mapping {dict(self.pairs)} maps to both numbers and text. Map to only numbers or only text."
            )

    def learn(self, known: Any, values: Values) -> Any:
        """Return `known`: there is nothing to learn."""
        return known

    def learnt(self, known: Any) -> "Remapped":
        """Return this encoder."""
        return self

    def apply(self, values: Values) -> "NDArray[Any] | list[Any]":
        """Return the mapped values: an array of numbers, or a list with text.

        >>> Remapped({1: 0, 0: 5}).apply([1, 0])
        array([0, 5])
        """
        table = self._table
        different, codes = distinct(values)
        if self.unmapped == "error" and (unknown := [value for value in different if value not in table]):
            raise SchemaError(
                f"{unknown[0]!r} is not mapped.{nearest(str(unknown[0]), map(str, table))} "
                "Map it, or use unmapped='keep' or 'drop'."
            )
        new = [table.get(value, value) for value in different]
        if any(isinstance(value, str) or value is None for value in new):
            return [new[code] for code in codes.tolist()]
        # The dtype must not depend on the values in this block.
        return np.array(new, self._dtype(values))[codes]

    def classes(self, names: Sequence[str]) -> tuple[str, ...] | None:
        """Return the names of the mapped class numbers, or None if these are not numbers from 0 up.

        Names of classes that become one are joined; a number that no class has any more is named so.

        >>> Remapped({0: 1, 1: 0, 2: 0}).classes(("a", "b", "c")), Remapped({0: 2}, "keep").classes(("a", "b", "c"))
        (('b+c', 'a'), ('unused 0', 'b', 'a+c'))
        """
        numbers = range(len(names))
        kept = numbers if self.unmapped == "keep" else [old for old, _ in self.pairs if old in numbers]
        found: dict[Any, list[str]] = {}
        for old in sorted(kept):
            found.setdefault(self._table.get(old, old), []).append(names[int(old)])
        filled = set(found) == set(range(len(found)))
        if not found or not (filled or all(new in numbers for new in found)):
            return None
        most = len(found) if filled else len(names)
        return tuple("+".join(found.get(number, [f"unused {number}"])) for number in range(most))

    def outputs(self) -> tuple[Any, ...]:
        """Return all new values, each once."""
        return tuple(dict.fromkeys(new for _, new in self.pairs))

    @cached_property
    def _table(self) -> dict[Any, Any]:
        return dict(self.pairs)

    def _dtype(self, values: Values) -> np.dtype[Any]:
        kinds = [np.result_type(type(new)) for _, new in self.pairs]
        if self.unmapped == "keep" and isinstance(values, np.ndarray):
            kinds.append(values.dtype)
        return np.result_type(*kinds)


def _pairs(pairs: Any) -> tuple[tuple[Any, Any], ...]:
    """Return each old value with the new one. Raises `UsageError` for values that are not numbers or text."""
    try:
        known = tuple((plain(old), plain(new)) for old, new in (pairs.items() if isinstance(pairs, Mapping) else pairs))
    except (TypeError, ValueError):
        raise UsageError(f"The mapping is {pairs!r:.60}. Give the new value of each old one: {{0: 1, 1: 0}}.") from None
    for value in (value for pair in known for value in pair):
        if not isinstance(value, PLAIN):
            raise UsageError(
                f"The mapping has {value!r:.60}, a {type(value).__name__}. Map a number or text to a number or text."
            )
    return known
