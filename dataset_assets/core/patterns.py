"""Patterns of paths, as in shells: `*` within a folder, `**` across folders, `?`, `[ab]` and `{a,b}`."""

import re
from itertools import islice
from typing import Iterator
from urllib.parse import unquote

from dataset_assets.errors import UsageError

MOST_ALTERNATIVES = 1024


def alternatives(pattern: str) -> Iterator[str]:
    """Yield the patterns that `{a,b}` in a pattern stands for.

    >>> [*alternatives("x.{jpg,png}")]
    ['x.jpg', 'x.png']
    """
    before, brace, rest = pattern.partition("{")
    inside, end, after = rest.partition("}")
    if not (brace and end):
        yield pattern
        return
    for one in inside.split(","):
        yield from alternatives(before + one + after)


def split_pattern(path: str) -> tuple[str, str]:
    """Return the folder before the first part with `*`, and the pattern below it, which is empty without one.

    >>> split_pattern("data/2020/*/a.csv"), split_pattern("data/")
    (('data/2020/', '*/a.csv'), ('data/', ''))
    """
    if "*" not in path:
        return path, ""
    folder = path[: path.index("*")].rpartition("/")[0]
    return (f"{folder}/", path[len(folder) + 1 :]) if folder else ("", path)


def split_quoted_pattern(url: str) -> tuple[str, str]:
    """Return the folder of a URL as it is, and the pattern below it, unquoted; `%2A` in it is no pattern, but a `*`.

    >>> split_quoted_pattern("file:///a%2Ab/*%20%2A.csv")
    ('file:///a%2Ab/', '* [*].csv')
    """
    folder, pattern = split_pattern(url)
    return folder, unquote(re.sub("%2A", "[*]", pattern, flags=re.IGNORECASE))


def matcher(pattern: str) -> re.Pattern[str]:
    """Return what a whole path must match. Raises `UsageError` for a pattern that stands for very many.

    >>> bool(matcher("**/*.{jpg,png}").fullmatch("a/b/1.jpg")), bool(matcher("*.jpg").fullmatch("a/1.jpg"))
    (True, False)
    """
    found = [*islice(alternatives(pattern), MOST_ALTERNATIVES + 1)]
    if len(found) > MOST_ALTERNATIVES:
        raise UsageError(f"The pattern {pattern!r:.200} stands for more than {MOST_ALTERNATIVES}. Write a shorter one.")
    return re.compile("|".join(f"(?:{_translated(one)})" for one in found), re.DOTALL)


_PIECE = re.compile(r"(\*\*/|\*\*|\*|\?|\[!?[^/\]]+\])")
_MEANS = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _translated(pattern: str) -> str:
    return "".join(map(_part, _PIECE.split(pattern)))


def _part(piece: str) -> str:
    if piece.startswith("[") and piece.endswith("]") and len(piece) > 2:
        inside, negated = piece[1:-1], piece[1] == "!"
        escaped = re.escape(inside[negated:]).replace(r"\-", "-")
        return f"[{'^' * negated}{escaped}]"
    return _MEANS.get(piece) or re.escape(piece)
