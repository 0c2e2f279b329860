"""Checks with a threshold: values that are missing or out of range, rare classes, and a drift since the last version.

They warn, unless they are told to refuse: `nulls(0.01, severity="error")`. `checks={"nulls": "warn"}` takes the
default threshold.
"""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Callable, ClassVar, Iterable, Iterator, Mapping, NamedTuple, Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.checks.numbers import blocks_of, missing_in, numbers_in
from dataset_assets.core.frozen import FrozenMapping
from dataset_assets.errors import DefinitionError, nearest
from dataset_assets.reading.views import View

SEVERITIES = ("warn", "error")
SHOWN = 10
MOST_NUMBERS = 1 << 20
"""How many numbers of a field a drift is looked for in: of a larger one, those of evenly spaced samples."""

Bounds = tuple[float | None, float | None]


class Passed(str):
    """The message of a check that passes, with what it measured, which is not part of what is stored."""

    measured: str = ""


class Measured(NamedTuple):
    """A number that was measured, of what, and what is wrong with it if it exceeds the threshold."""

    what: str
    number: float
    problem: str | None


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A check of splits, and how severe a failure is."""

    NUMBER: ClassVar[str] = ""
    """What the number is of which the largest is named when the check passes."""

    severity: str = "warn"

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise DefinitionError(f"severity={self.severity!r} is not known. Use 'warn' or 'error'.")

    def __call__(self, views: Mapping[str, View], **more: Any) -> str | None:
        passed, said = self.found(views, **more)
        return None if passed else said

    def found(self, views: Mapping[str, View], **more: Any) -> tuple[bool, str]:
        """Return whether the check passes, and what it found: all problems, or else the largest number."""
        measured = [*self._measured(views, **more)]
        if problem := _told([each.problem for each in measured if each.problem]):
            return False, problem
        if not self.NUMBER or not measured:
            return True, "Passed."
        largest = max(measured, key=lambda each: each.number)
        return True, self._passed(f"The {self.NUMBER} is {largest.number:.6g}, of {largest.what}.")

    def _passed(self, measured: str) -> str:
        return f"Passed. {measured}"

    def _measured(self, views: Mapping[str, View]) -> Iterator[Measured]:
        for split, view in views.items():
            yield from self._of(split, view)

    def _of(self, split: str, view: View) -> Iterator[Measured]:
        raise NotImplementedError


@dataclass(frozen=True)
class Nulls(Threshold):
    """At most so large a share of the values of a stream, or of a field of it, is missing."""

    NUMBER = "largest share of missing values"

    most: float | Mapping[str, float] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.most, Mapping):
            object.__setattr__(self, "most", FrozenMapping(self.most))
        for share in self.most.values() if isinstance(self.most, Mapping) else [self.most]:
            _check_share("nulls", share)

    def _of(self, split: str, view: View) -> Iterator[Measured]:
        named = self.most if isinstance(self.most, Mapping) else {}
        found = {name: counts for stream in view.streams for name, counts in _missing(view, stream)}
        _check_named(split, named, found, view.streams)
        for name, (missing, total) in found.items():
            most = named.get(name) if isinstance(self.most, Mapping) else self.most
            if most is not None:
                said = f"{split}: {missing} of {total} values of {name} are missing, more than {100 * most:g} %"
                yield Measured(f"{split}: {name}", missing / max(1, total), said if missing > most * total else None)


@dataclass(frozen=True)
class InRange(Threshold):
    """All numbers of a stream, or of a field of it, are within bounds, which are included; NaN is passed over."""

    bounds: Mapping[str, Bounds] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "bounds", FrozenMapping({n: _checked_bounds(n, b) for n, b in self.bounds.items()}))

    def _of(self, split: str, view: View) -> Iterator[Measured]:
        streams = {name.partition(".")[0] for name in self.bounds} & {*view.streams}
        found = {name: values for stream in sorted(streams) for name, values in _extremes(view, stream, self.bounds)}
        if len(view):
            _check_named(split, self.bounds, found, view.streams)
        for name, (outside, first) in found.items():
            least, most = self.bounds[name]
            between = f"between {_end(least)} and {_end(most)}"
            said = f"{split}: {outside} values of {name} are not {between}, first {first}"
            yield Measured(f"{split}: {name}", outside, said if outside else None)


@dataclass(frozen=True)
class Balance(Threshold):
    """The most frequent class of a split has at most so many times the samples of the rarest one."""

    NUMBER = "largest ratio of two classes"

    most: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _is_number(self.most) or self.most < 1:
            raise DefinitionError(f"balance(most={self.most!r}) is not a ratio. Give a number of at least 1.")

    def _of(self, split: str, view: View) -> Iterator[Measured]:
        for stream, classes in view.classes.items():
            counts = _counts(view, stream, classes)
            common, rare = int(counts.argmax()), int(counts.argmin())
            said = (
                f"{split}: {stream} has {counts[common]} of {classes[common]} and {counts[rare]} of "
                f"{classes[rare]}, more than {self.most:g} times as many"
            )
            exceeds = counts[common] > self.most * counts[rare]
            yield Measured(f"{split}: {stream}", counts[common] / max(1, counts[rare]), said if exceeds else None)


@dataclass(frozen=True)
class Drift(Threshold):
    """Numbers and classes of a split are distributed as in the version before.

    Of numbers, the largest difference of the cumulative distributions counts (Kolmogorov-Smirnov), of classes half the
    sum of the differences of their shares (total variation). Both are from 0 to 1.
    """

    NUMBER = "largest distance"

    most: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_share("drift", self.most)

    def _measured(
        self, views: Mapping[str, View], before: Mapping[str, View] = MappingProxyType({})
    ) -> Iterator[Measured]:
        for split, new in views.items():
            if split in before and len(before[split]) and len(new):
                yield from self._between(split, before[split], new)

    def _passed(self, measured: str) -> str:
        # It is stored only if it fails: equal data is the same version whatever was there before.
        said = Passed("Passed.")
        said.measured = measured
        return said

    def _between(self, split: str, old: View, new: View) -> Iterator[Measured]:
        for name, distance in _distances(old, new):
            said = f"{split}: {name} is distributed differently, by {distance:.2g}, more than {self.most:g}"
            yield Measured(f"{split}: {name}", distance, said if distance > self.most else None)


def nulls(most: float | Mapping[str, float] = 0.0, *, severity: str = "warn") -> Nulls:
    """Return a check that at most so large a share of values is missing: None or NaN.

    `most` is the share for all streams, or a mapping of a stream, or `stream.field`, to its share.

    >>> Dataset(..., checks={"nulls": nulls({"patient.age": 0.05}, severity="error")})
    """
    return Nulls(most, severity=severity)


def in_range(bounds: Mapping[str, Bounds], *, severity: str = "warn") -> InRange:
    """Return a check that numbers are within bounds, by stream or `stream.field`; None leaves a side open.

    >>> Dataset(..., checks={"range": in_range({"patient.age": (0, 120), "price": (0, None)})})
    """
    return InRange(bounds, severity=severity)


def balance(most: float = 10.0, *, severity: str = "warn") -> Balance:
    """Return a check that no class has more than `most` times the samples of another one of its split."""
    return Balance(most, severity=severity)


def drift(most: float = 0.1, *, severity: str = "warn") -> Drift:
    """Return a check that numbers and classes are distributed as in the version that was current before.

    Without such a version it passes. See `Drift` for the distance, which is from 0 to 1.
    """
    return Drift(most, severity=severity)


BY_NAME: Mapping[str, Callable[..., Threshold]] = {"nulls": nulls, "balance": balance, "drift": drift}
"""The checks that a definition may turn on by their name and a severity."""


def _missing(view: View, stream: str) -> Iterator[tuple[str, tuple[int, int]]]:
    counts: dict[str, tuple[int, int]] = {}
    for block in blocks_of(view, stream):
        for name, missing, total in missing_in(block):
            before = counts.get(name, (0, 0))
            counts[name] = before[0] + missing, before[1] + total
    for name, count in counts.items():
        yield _full(stream, name), count


def _extremes(view: View, stream: str, bounds: Mapping[str, Bounds]) -> Iterator[tuple[str, tuple[int, Any]]]:
    """Yield the number of values out of bounds of each field that has bounds, and the first such value."""
    found: dict[str, tuple[int, Any]] = {}
    for block in blocks_of(view, stream):
        for name, values in numbers_in(block):
            if (full := _full(stream, name)) in bounds:
                least, most = bounds[full]
                outside = values[(values < least if least is not None else False) | (values > _high(most))]
                count, first = found.get(full, (0, None))
                found[full] = count + outside.size, outside.flat[0].item() if outside.size and not count else first
    yield from found.items()


def _distances(old: View, new: View) -> Iterator[tuple[str, float]]:
    labelled = {name for name in new.classes if old.classes.get(name) == new.classes[name]}
    for stream in new.streams:
        if stream in labelled:
            shares = [_shares(_counts(view, stream, new.classes[stream])) for view in (old, new)]
            yield stream, float(np.abs(shares[0] - shares[1]).sum() / 2)
        elif stream in old.streams:
            numbers = [_numbers(view, stream) for view in (old, new)]
            # In the order of the view: a message of it is part of the version.
            for name in [name for name in numbers[1] if name in numbers[0]]:
                yield _full(stream, name), _largest_difference(numbers[0][name], numbers[1][name])


def _numbers(view: View, stream: str) -> dict[str, NDArray[np.float64]]:
    kept: dict[str, list[NDArray[np.float64]]] = {}
    at = step = 0
    for block in blocks_of(view, stream):
        found = dict(numbers_in(block))
        width = sum(values[0].size for values in found.values())
        step = step or max(1, -(-len(view) * width // MOST_NUMBERS))
        for name, values in found.items():
            numbers = values[-at % step :: step].astype(np.float64).reshape(-1)
            kept.setdefault(name, []).append(numbers[np.isfinite(numbers)])
        at += len(block)
    return {name: np.sort(np.concatenate(parts)) for name, parts in kept.items()}


def _largest_difference(old: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    """Return the largest difference of two cumulative distributions; 1 if only one of them has numbers."""
    if not old.size or not new.size:
        return float(old.size != new.size)
    every = np.concatenate([old, new])
    shares = [np.searchsorted(values, every, side="right") / values.size for values in (old, new)]
    return float(np.abs(shares[0] - shares[1]).max())


def _counts(view: View, stream: str, classes: tuple[str, ...]) -> NDArray[np.int64]:
    total = np.zeros(len(classes), np.int64)
    for block in blocks_of(view, stream):
        values = np.asarray(block).reshape(-1)
        total += np.bincount(values[(values >= 0) & (values < len(classes))].astype(np.int64), minlength=len(classes))
    return total


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = counts / max(1, counts.sum())
    return found


def _told(said: Sequence[str]) -> str | None:
    more = f"; and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
    return "; ".join(said[:SHOWN]) + more + "." if said else None


def _full(stream: str, name: str) -> str:
    return f"{stream}.{name}" if name else stream


def _high(most: float | None) -> float:
    return float("inf") if most is None else most


def _end(bound: float | None) -> str:
    return "anything" if bound is None else f"{bound:g}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def _check_share(what: str, share: Any) -> None:
    if not _is_number(share) or not 0 <= share <= 1:
        raise DefinitionError(f"{what}({share!r}): {share!r} is not a share. Give a number from 0 to 1.")


def _checked_bounds(name: str, bounds: Any) -> Bounds:
    whole = isinstance(bounds, (tuple, list)) and len(bounds) == 2
    if not whole or not all(end is None or _is_number(end) for end in bounds):
        raise DefinitionError(f"The range of {name} is {bounds!r}. Give two numbers, as in (0, 120); None is no bound.")
    if None not in bounds and bounds[0] > bounds[1]:
        raise DefinitionError(f"The range of {name} is {bounds!r}, whose ends are swapped. Put the smaller first.")
    return bounds[0], bounds[1]


def _check_named(split: str, named: Mapping[str, Any], found: Mapping[str, Any], streams: Iterable[str]) -> None:
    for name in named:
        if name not in found:
            hint = nearest(name, [*found, *streams])
            raise DefinitionError(f"A check is to look at {name!r}, but split {split} has no such numbers.{hint}")
