"""Licences: the setting `allow_licenses` says which ones data may have that is opened."""

import re
from fnmatch import fnmatchcase
from typing import Sequence

from dataset_assets.core.settings import settings
from dataset_assets.errors import Refused
from dataset_assets.storage.manifest import SplitIndex


def see_allowed(index: SplitIndex) -> None:
    """Raise `Refused` if the setting `allow_licenses` does not allow the licence of a split."""
    check_license(f"{index.dataset}, split {index.split},", index.license)


def check_license(what: str, stated: str | None) -> None:
    """Raise `Refused` if the setting `allow_licenses` does not allow a licence; None is one that is not stated."""
    allowed = settings().allow_licenses
    if allowed and not is_allowed(stated, allowed):
        named = f"has the licence {stated!r}" if stated else "states no licence"
        raise Refused(
            f"{what} {named}, and the setting allow_licenses allows only {', '.join(allowed)}. Add the licence to the "
            "setting, or leave the dataset out."
        )


def is_allowed(stated: str | None, allowed: Sequence[str]) -> bool:
    """Say whether a licence is allowed: of an SPDX expression each operand of AND, and one of OR.

    What is not an SPDX expression, such as "public domain", must be listed in the same words; no pattern matches it.

    >>> is_allowed("MIT OR GPL-3.0-only", ["mit", "cc-by-*"]), is_allowed("CC-BY-4.0 AND GPL-3.0-only", ["cc-by-*"])
    (True, False)
    """
    if stated is None:
        return False
    if any(stated.strip().casefold() == one.casefold() for one in allowed):
        return True
    try:
        return _Expression(stated, allowed).value()
    except (ValueError, RecursionError):
        return False


class _Expression:
    """An SPDX expression, whose value is whether it is allowed. Raises `ValueError` if it is not one."""

    def __init__(self, text: str, allowed: Sequence[str]) -> None:
        self.allowed = [one.casefold() for one in allowed]
        # The first word is the last one here. The end is an empty word, so that there always is a next one.
        self.words: list[str] = [*_WORD.findall(text), ""][::-1]

    def value(self) -> bool:
        found = self._either()
        self._expect("")
        return found

    def _either(self) -> bool:
        found = self._every()
        while self._next("OR"):
            found = self._every() or found
        return found

    def _every(self) -> bool:
        found = self._one()
        while self._next("AND"):
            found = self._one() and found
        return found

    def _one(self) -> bool:
        if self._next("("):
            found = self._either()
            self._expect(")")
            return found
        name = self._name()
        name += f" WITH {self._name()}" if self._next("WITH") else ""
        return any(fnmatchcase(name.casefold(), one) for one in self.allowed)

    def _name(self) -> str:
        word = self.words.pop()
        if word in _OPERATORS or not _NAME.fullmatch(word):
            raise ValueError(f"{word!r} is not the name of a licence")
        return word

    def _next(self, word: str) -> bool:
        """Take the next word if it is this one."""
        return self.words[-1:] == [word] and bool(self.words.pop())

    def _expect(self, word: str) -> None:
        if self.words.pop() != word:
            raise ValueError(f"{word!r} is missing")


_OPERATORS = ("AND", "OR", "WITH")
_WORD = re.compile(r"[()]|[^()\s]+")
_NAME = re.compile(r"[A-Za-z0-9.+-]+(:[A-Za-z0-9.-]+)?")
