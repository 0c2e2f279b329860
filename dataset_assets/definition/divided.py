"""The functions of splits that are parts of another split."""

from typing import Any


def part_of(whole: Any, operation: str, ratios: list[float], part: int, **given: Any) -> Any:
    """Return one part of a view that is divided by the operation of this name."""
    # This code is in the recipe of every such split: if it changes, all of them are made again.
    return getattr(whole, operation)(ratios, **given)[part]


def rows_of(whole: Any, operation: str, ratios: list[float], part: int, **given: Any) -> Any:
    """Return one part of a view as `part_of` does, of which only the row numbers are stored."""
    return part_of(whole, operation, ratios, part, **given)
