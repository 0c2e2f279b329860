"""The part of a name in brackets, which names one member of a family of datasets: `[lang=fr,size=small]`.

In the canonical form the axes are sorted, and each value is percent-encoded, so that equal members have equal names.
"""

import re
from typing import Mapping
from urllib.parse import quote, unquote_to_bytes

from dataset_assets.core.canonical import digest_of
from dataset_assets.errors import NameNotAllowed

AXIS = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_ENCODED = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")


def parsed(selector: str) -> dict[str, str]:
    """Return the values of the axes in a selector. Raises `NameNotAllowed`.

    >>> parsed("[size=small,lang=fr]")
    {'lang': 'fr', 'size': 'small'}
    """
    found: dict[str, str] = {}
    for part in selector[1:-1].split(","):
        axis, equals, value = part.strip().partition("=")
        if not equals or not AXIS.fullmatch(axis) or axis in found or {*value} & {*"[]"}:
            raise _invalid(selector, f"{part[:80]!r} is not AXIS=VALUE with an axis that is new")
        found[axis] = _decoded(selector, value)
    return dict(sorted(found.items()))


def spelled(axes: Mapping[str, str]) -> str:
    """Return the canonical selector of these values.

    >>> spelled({"size": "small", "lang": "fr,ca"})
    '[lang=fr%2Cca,size=small]'
    """
    parts = (f"{axis}={encoded(axes[axis])}" for axis in sorted(axes))
    return f"[{','.join(parts)}]"


def encoded(value: str) -> str:
    """Return a value as the canonical selector has it."""
    return quote(value, safe="")


def folder_of(axes: Mapping[str, str]) -> str:
    """Return the name of the member's folder: the digest of its canonical axes."""
    return digest_of(dict(axes))


def _decoded(selector: str, value: str) -> str:
    if not _ENCODED.fullmatch(value):
        raise _invalid(selector, f"{value[:80]!r} has a % that does not begin an encoded character; write it as %25")
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeError:
        raise _invalid(selector, f"{value[:80]!r} is not UTF-8") from None


def _invalid(selector: str, why: str) -> NameNotAllowed:
    return NameNotAllowed(
        f"{selector[:80]!r} does not name a member of a family: {why}. Write [lang=fr,size=small]; in a value, write a "
        "comma as %2C."
    )
