"""The numbers that a check found, which Dagster plots over all of its runs.

What is stored of a check is its message; so the numbers are read from it.
"""

import re
from collections.abc import Callable, Iterable, Mapping

from dataset_assets.checks.thresholds import Balance, Drift, Nulls, Passed
from dataset_assets.storage.manifest import Finding

AsOne = Callable[[Iterable[float]], float]

_PATTERNS: Mapping[str, tuple[str, str, AsOne]] = {
    "counts": ("samples", r"^(\d+) samples\.", sum),
    "schema": ("streams that differ", r" has (\d+), its files say \d+", lambda found: sum(1 for _ in found)),
    "classes": ("values of no class", r" has (\d+) values that are none of its ", sum),
    "leakage": ("samples in two splits", r"(?:^|; )(\d+) samples of \S+ are also in ", sum),
    "skipped": ("skipped samples", r"^(\d+) of \d+ samples were skipped", sum),
    "range": ("values out of range", r": (\d+) values of \S+ are not between ", sum),
    "nulls": (Nulls.NUMBER, r": (\d+) of (\d+) values of \S+ are missing, ", max),
    "balance": (Balance.NUMBER, r" has (\d+) of .+? and (\d+) of .+?, more than ", max),
    "drift": (Drift.NUMBER, r" is distributed differently, by ([\d.e+-]+), ", max),
}
"""Of each check: its number, how the message says it or what it is the ratio of, and how those of streams are one."""

_CUT = re.compile(r"; and \d+ more\.$")
"""The end of a message that does not name all that was found."""

_MEASURED = re.compile(r"^(?:Passed\. )?The (.+?) is ([\d.e+-]+), of ")
"""How a check with a threshold says its number when it passes."""

_THRESHOLDS = ("range", "nulls", "balance", "drift")

_ZERO_IF_PASSED = ("schema", "classes", "leakage", "range")
"""The checks that tolerate none."""


def numbers_of(finding: Finding) -> dict[str, int | float]:
    """Return what a check counted; nothing for a check of the author, or if it does not say."""
    check = finding.check.rpartition(".")[2]
    measured = finding.message.measured if isinstance(finding.message, Passed) else finding.message
    if said := _MEASURED.match(measured):
        return {said[1]: _plain(float(said[2]))}
    if _CUT.search(finding.message):
        return {}
    # A definition may give a check with a threshold any name.
    for name, pattern, as_one in [_PATTERNS[check]] if check in _PATTERNS else map(_PATTERNS.__getitem__, _THRESHOLDS):
        if found := [_number(match.groups()) for match in re.finditer(pattern, finding.message)]:
            return {name: _plain(as_one(found))}
    is_zero = check == "counts" or finding.passed and check in _ZERO_IF_PASSED
    return {_PATTERNS[check][0]: 0} if is_zero else {}


def _number(groups: tuple[str, ...]) -> float:
    """Return a number, or the ratio of two."""
    first, *second = map(float, groups)
    return first / max(1, *second) if second else first


def _plain(value: float) -> int | float:
    return int(value) if value == int(value) else value
