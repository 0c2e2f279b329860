"""Scales numbers: subtracts a centre and divides by a scale, both learnt for each feature in one pass."""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataset_assets.encoding.encoder import Values, check_choice, encoder, known_by
from dataset_assets.encoding.values import as_numbers
from dataset_assets.errors import SchemaError, UsageError

Floats = NDArray[np.float64]
HOW = ("standard", "min-max", "robust")
# Quantiles are exact up to this many rows. For more rows they are those of a uniform sample of this size.
SAMPLE = 1 << 17


class Moments(NamedTuple):
    """The number of values of each feature, their mean, and the sum of squared differences from it."""

    seen: Floats
    mean: Floats
    squares: Floats


class Extremes(NamedTuple):
    """The smallest and the largest value of each feature, and its moments."""

    low: Floats
    high: Floats
    moments: Moments


class Drawn(NamedTuple):
    """A sample of the rows: those whose numbers have the smallest hashes; and how many rows there were."""

    rows: Floats
    hashes: NDArray[np.uint64]
    seen: int


@encoder("scaled")
@dataclass(frozen=True)
class Scaled:
    """Subtracts a centre and divides by a scale. Values may have any shape; each element of it is a feature.

    "standard" uses the mean and the standard deviation, "min-max" the minimum and the range, "robust" the median and
    the interquartile range (exact up to 131,072 samples, then from a uniform sample of that size). A constant feature
    becomes 0. A missing value (None, NaN) raises an error; with "keep" it stays NaN; with "fill" it is replaced by the
    mean, or by the median for "robust". Missing values do not count when fitting.
    """

    how: Literal["standard", "min-max", "robust"] = "standard"
    missing: Literal["error", "keep", "fill"] = "error"
    centre: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    fill: tuple[float, ...] | None = None
    shape: tuple[int, ...] = ()

    name: ClassVar[str]

    def __post_init__(self) -> None:
        check_choice("how", self.how, HOW)
        check_choice("missing", self.missing, ("error", "keep", "fill"))
        features = math.prod(self.shape)
        for name in ("centre", "scale", "fill"):
            if (known := getattr(self, name)) is not None and len(known) != features:
                raise UsageError(
                    f"{name} has {len(known)} numbers, but values have shape {self.shape}. Give {features} numbers."
                )

    def learn(self, known: Any, values: Values) -> Any:
        """Add the values of a block."""
        rows = self._rows(values)
        shape, statistics = known or (rows.shape[1:], None)
        if rows.shape[1:] != shape:
            raise SchemaError(
                f"Values of shape {rows.shape[1:]} follow values of shape {shape}. Give all values the same shape."
            )
        flat = rows.reshape(len(rows), -1)
        kinds: dict[str, Any] = {"standard": _with_moments, "min-max": _with_extremes, "robust": _with_drawn}
        return shape, kinds[self.how](statistics, flat) if len(flat) else statistics

    def learnt(self, known: Any) -> "Scaled":
        """Return an encoder with the centre and the scale."""
        if known is None or known[1] is None:
            raise UsageError("There are no values to fit on. Fit on a view with samples.")
        centre, scale, fill = _of(known[1])
        if not np.isfinite([centre, scale, fill]).all():
            raise SchemaError("A feature has only missing or infinite values, so it cannot be scaled. Leave it out.")
        # A constant feature becomes zero, not infinite.
        scale = np.where(scale > 0, scale, 1.0)
        centre, scale, fill = (tuple(each.tolist()) for each in (centre, scale, fill))
        return replace(self, centre=centre, scale=scale, fill=fill, shape=known[0])

    def apply(self, values: Values) -> NDArray[np.float32]:
        """Return the scaled values, in the same shape.

        >>> Scaled(centre=(2.0,), scale=(1.0,), fill=(2.0,)).apply([3, 2])
        array([1., 0.], dtype=float32)
        """
        centre, scale = known_by(self, self.centre), known_by(self, self.scale)
        rows = self._rows(values)
        if not len(rows):
            return np.empty((0, *self.shape), np.float32)
        if rows.shape[1:] != self.shape:
            raise SchemaError(
                f"A value has shape {rows.shape[1:]}, but this Scaled was fitted on shape {self.shape}. Fit again."
            )
        flat = rows.reshape(len(rows), -1)
        if self.missing == "fill" and self.fill is not None:
            flat = np.where(np.isnan(flat), self.fill, flat)
        scaled: Floats = (flat - centre) / scale
        return scaled.reshape(rows.shape).astype(np.float32)

    def _rows(self, values: Values) -> Floats:
        rows = as_numbers(values)
        if self.missing == "error" and np.isnan(rows).any():
            raise SchemaError("A value is missing. Use missing='keep' or 'fill', or drop the sample.")
        return rows


def _with_moments(known: "Moments | None", rows: Floats) -> Moments:
    """Add the moments of a block by the method of Chan, Golub and LeVeque, which subtracts no large sums."""
    there = ~np.isnan(rows)
    count = there.sum(0).astype(np.float64)
    mean = np.where(there, rows, 0).sum(0) / np.maximum(count, 1)
    squares = (np.where(there, rows - mean, 0) ** 2).sum(0)
    if known is None:
        return Moments(count, mean, squares)
    total = known.seen + count
    share = count / np.maximum(total, 1)
    apart = mean - known.mean
    return Moments(total, known.mean + apart * share, known.squares + squares + apart**2 * known.seen * share)


def _with_extremes(known: "Extremes | None", rows: Floats) -> Extremes:
    low, high = np.fmin.reduce(rows), np.fmax.reduce(rows)
    moments = _with_moments(known and known.moments, rows)
    if known is None:
        return Extremes(low, high, moments)
    return Extremes(np.fmin(known.low, low), np.fmax(known.high, high), moments)


def _with_drawn(known: "Drawn | None", rows: Floats) -> Drawn:
    before = known.seen if known else 0
    hashes = _hashes(np.arange(before, before + len(rows), dtype=np.uint64))
    if known:
        rows, hashes = np.concatenate([known.rows, rows]), np.concatenate([known.hashes, hashes])
    count = before + len(rows) - (len(known.rows) if known else 0)
    if len(rows) > SAMPLE:
        least = np.sort(np.argpartition(hashes, SAMPLE)[:SAMPLE])
        rows, hashes = rows[least], hashes[least]
    return Drawn(rows, hashes, count)


def _of(known: "Moments | Extremes | Drawn") -> tuple[Any, Any, Any]:
    """Return the centre, the scale, and the value that replaces a missing one."""
    if isinstance(known, Moments):
        mean = np.where(known.seen > 0, known.mean, np.nan)
        return mean, np.sqrt(known.squares / np.maximum(known.seen, 1)), mean
    if isinstance(known, Extremes):
        return known.low, known.high - known.low, _of(known.moments)[0]
    # numpy would warn about a feature without values; `learnt` raises an error instead.
    rows = np.where(np.isnan(known.rows).all(0), np.inf, known.rows)
    with np.errstate(invalid="ignore"):
        low, middle, high = np.nanquantile(rows, (0.25, 0.5, 0.75), axis=0)
    return middle, high - low, middle


def _hashes(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a hash of each number (the finalizer of splitmix64): the smallest hashes are a uniform sample."""
    hashes = numbers * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        hashes = (hashes ^ (hashes >> np.uint64(shift))) * np.uint64(factor)
    return hashes ^ (hashes >> np.uint64(31))
