"""Ratios: the shares of the rows that parts get."""

from typing import Sequence

from dataset_assets.errors import UsageError


def sizes_of(n: int, ratios: Sequence[float]) -> list[int]:
    """Return the number of rows for each ratio; the ratios with the largest remainders get the rows left over.

    Raises `UsageError` for ratios that are not positive or do not sum to 1.

    >>> sizes_of(100, (0.29, 0.71)), sizes_of(10, (1 / 3, 1 / 3, 1 / 3))
    ([29, 71], [4, 3, 3])
    """
    if not ratios or any(not ratio > 0 for ratio in ratios) or abs(sum(ratios) - 1) > 1e-9:
        raise UsageError(f"Ratios {tuple(ratios)} sum to {sum(ratios):.9g}. Give positive ratios that sum to 1.")
    exact = [ratio * n for ratio in ratios]
    sizes = [int(value + 1e-9) for value in exact]
    by_remainder = sorted(range(len(ratios)), key=lambda k: (sizes[k] - exact[k], k))
    for k in by_remainder[: n - sum(sizes)]:
        sizes[k] += 1
    return sizes
