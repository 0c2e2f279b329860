"""The numbers that a check found, which Dagster plots over all of its runs.

What is stored of a check is its message; so the numbers are read from it.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from dataset_assets.storage.manifest import Finding

Summed = Callable[[Sequence[float]], float]

_PATTERNS: Mapping[str, tuple[str, str, Summed]] = {
    "counts": ("samples", r"^(\d+) samples\.", sum),
    "schema": ("streams that differ", r" has (\d+), its files say \d+", len),
    "classes": ("values of no class", r" has (\d+) values that are none of its ", sum),
    "leakage": ("samples in two splits", r"(?:^|; )(\d+) samples of \S+ are also in ", sum),
    "skipped": ("skipped samples", r"^(\d+) of \d+ samples were skipped", sum),
    "nulls": ("missing values", r": (\d+) of \d+ values of \S+ are missing, ", sum),
    "range": ("values out of range", r": (\d+) values of \S+ are not between ", sum),
    "drift": ("largest distance", r" is distributed differently, by ([\d.e+-]+), ", max),
}
"""Of each check: what it counts, how its message says it, and how the numbers of several streams are one."""

_CUT = re.compile(r"; and \d+ more\.$")
"""The end of a message that does not name all that was found."""

_ZERO_IF_PASSED = ("schema", "classes", "leakage", "range")
"""The checks that tolerate none: those with a threshold say no number when they pass."""


def numbers_of(finding: Finding) -> dict[str, int | float]:
    """Return what a check counted; nothing for a check of the author, or if it does not say."""
    check = finding.check.rpartition(".")[2]
    if check not in _PATTERNS or _CUT.search(finding.message):
        return {}
    name, pattern, as_one = _PATTERNS[check]
    found = [float(number) for number in re.findall(pattern, finding.message)]
    if not found and not (finding.passed and check in _ZERO_IF_PASSED) and check != "counts":
        return {}
    value = as_one(found) if found else 0
    return {name: int(value) if value == int(value) else value}
