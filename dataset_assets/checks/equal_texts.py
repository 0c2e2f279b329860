"""Texts that are equal but for case, white space and the form of their characters."""

import unicodedata
from functools import partial
from typing import Any, Mapping, Sequence

from dataset_assets.checks.keyed import equal_rows, hashes_of
from dataset_assets.checks.pairs import Check, chosen, leaks, told
from dataset_assets.errors import DefinitionError


def same_text(stream: str, *, splits: Sequence[str] | None = None) -> Check:
    """Return a check that no text of one split is in another, whatever its case, white space and Unicode form.

    Texts are compared in the form NFKC, case-folded, with single spaces. `splits` names those that are compared;
    without it, all are.

    >>> Dataset(..., checks={"copies": same_text("review", splits=("train", "test"))})
    """
    return partial(_check, stream=stream, splits=None if splits is None else tuple(splits))


def plain(text: Any) -> str:
    """Return a text in the form in which it is compared. Raises `DefinitionError` for a value that is no text."""
    if not isinstance(text, str):
        raise DefinitionError(f"The check compares texts, and the stream has a {type(text).__name__}. Name another.")
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).split())


def _check(views: Mapping[str, Any], stream: str, splits: Sequence[str] | None) -> str | None:
    found = chosen(views, stream, splits)
    hashes = {name: hashes_of(view, stream, _key) for name, view in found.items()}

    def between(first: str, second: str) -> str | None:
        here, there = equal_rows(found[first], hashes[first], found[second], hashes[second], stream, _key)
        what = "are, but for case, white space and the form of characters, also in"
        return told(what, first, second, here, there, found[second][there[0]][stream]) if there else None

    return leaks(found, between)


def _key(text: Any) -> bytes | None:
    # Empty texts are no copies of each other.
    return plain(text).encode("utf-8", "surrogatepass") or None
