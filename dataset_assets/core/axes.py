"""The axes of a family of datasets: which values a member's name has, and how they are written."""

import math
import re
import reprlib
from dataclasses import dataclass
from typing import Any, Iterable, Literal, Mapping, Sequence

from dataset_assets.core import selectors
from dataset_assets.errors import NameNotAllowed, UsageError, nearest

Kind = Literal["str", "int", "float", "bool"]
KINDS: dict[type, Kind] = {str: "str", int: "int", float: "float", bool: "bool"}
_TRUTH = {"true": True, "false": False}
_WHOLE = re.compile(r"[+-]?[0-9]{1,300}")


@dataclass(frozen=True)
class Axis:
    """An axis of a family.

    `default` is a value as names have it; None: every name must give one. An axis that is not part of the `identity`
    may be given in a name, but members that differ in it only are one dataset.
    """

    name: str
    kind: Kind
    default: str | None = None
    identity: bool = True

    def text(self, value: Any) -> str:
        """Return a value as names have it. Raises `UsageError` for one of another type."""
        try:
            text = self._written(value)
            text.encode()
            return text
        # Python converts neither very large whole numbers to text, nor lone surrogates to UTF-8.
        except (ValueError, OverflowError):
            raise UsageError(
                f"The value {shown(value)} of axis {self.name!r} is not of its type. Give {_A[self.kind]}."
            ) from None

    def _written(self, value: Any) -> str:
        if self.kind == "float" and type(value) in (int, float) and math.isfinite(value):
            return repr(float(value) + 0.0)
        if KINDS.get(type(value)) != self.kind or self.kind == "float":
            raise ValueError(self.kind)
        text = str(value)
        if self.kind == "int" and not _WHOLE.fullmatch(text):
            raise ValueError(text)
        return text.lower() if self.kind == "bool" else text

    def value(self, text: str) -> Any:
        """Return the value that a name has as text. Raises `NameNotAllowed` if it is not one of this type."""
        try:
            return self._read(text)
        except (ValueError, KeyError, OverflowError):
            raise NameNotAllowed(f"{self.name}={text[:80]} is not {_A[self.kind]}. Write {_AS[self.kind]}.") from None

    def _read(self, text: str) -> Any:
        if self.kind == "bool":
            return _TRUTH[text.lower()]
        if self.kind == "int" and not _WHOLE.fullmatch(text):
            raise ValueError(text)
        if self.kind == "float" and not math.isfinite(float(text)):
            raise ValueError(text)
        return {"int": int, "float": float, "str": str}[self.kind](text)


def shown(value: object) -> str:
    """Return the beginning of what a value is written as; its type, if that fails."""
    try:
        return reprlib.repr(value)
    except Exception:  # of the value's class
        return f"of type {type(value).__name__}"


def completed(family: str, axes: Iterable[Axis], given: Mapping[str, str]) -> dict[str, str]:
    """Return the value of every axis as names have it: the given one, else the default.

    Raises `NameNotAllowed` for an unknown axis, a value of another type, and an axis that has no value.
    """
    known = {axis.name: axis for axis in axes}
    for name in given:
        if name not in known:
            raise NameNotAllowed(f"{family} has no axis {name!r}.{nearest(name, known)}")
    found = {
        name: axis.text(axis.value(given[name])) if name in given else axis.default for name, axis in known.items()
    }
    lacking = [name for name, value in found.items() if value is None]
    if lacking:
        raise NameNotAllowed(
            f"{family} is a family of datasets. Give a value for {', '.join(lacking)}, as in "
            f"{family}[{','.join(f'{name}=VALUE' for name in lacking)}]."
        )
    return {name: value for name, value in found.items() if value is not None}


def member_name(family: str, axes: Iterable[Axis], chosen: Mapping[str, str]) -> str:
    """Return the canonical name of a member: with every axis that is part of the identity."""
    return family + selectors.spelled({axis.name: chosen[axis.name] for axis in axes if axis.identity})


def values_beginning(family: str, values: Mapping[str, Sequence[str]], beginning: str) -> dict[str, Sequence[str]]:
    """Return, of the values of each axis, those that a member's name that begins so may have.

    >>> values_beginning("a.b", {"lang": ["en", "fr"], "size": ["big", "small"]}, "a.b[lang=en,size=s")
    {'lang': ['en'], 'size': ['small']}
    """
    found, text, axes = dict(values), f"{family}[", sorted(values)
    for axis in axes:
        if not beginning.startswith(text):
            return found if text.startswith(beginning) else dict.fromkeys(found, ())
        end, rest = "]" if axis == axes[-1] else ",", beginning[len(text) :]
        parts = {value: f"{axis}={selectors.encoded(value)}{end}" for value in values[axis]}
        found[axis] = [value for value, part in parts.items() if part.startswith(rest) or rest.startswith(part)]
        if len(found[axis]) != 1:
            return found
        text += parts[found[axis][0]]
    return found


_A = {
    "str": "a string of UTF-8",
    "int": "a whole number of at most 300 digits",
    "float": "a finite number",
    "bool": "a truth value",
}
_AS = {"str": "any text", "int": "one such as 7", "float": "one such as 0.5", "bool": "true or false"}
