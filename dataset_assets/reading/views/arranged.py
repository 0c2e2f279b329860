"""Views that reorder samples by a rule: shuffled, sorted, filtered, repeated, sharded, interleaved, mixed."""

import operator
from typing import Any, Callable, ClassVar, Mapping, Sequence

import numpy as np

from dataset_assets.core.mixture import Interleaving, Mixture, Repetition
from dataset_assets.core.permutation import Permutation, shard_of
from dataset_assets.errors import UsageError
from dataset_assets.reading.views.columns_whole import column_of, sorted_rows, truths
from dataset_assets.reading.views.joined import Concatenated, countable
from dataset_assets.reading.views.node import checked_version
from dataset_assets.reading.views.operations import operation
from dataset_assets.reading.views.selected import Selected
from dataset_assets.reading.views.view import View


class Arranged(Selected):
    """The base of views whose order follows from a rule and a few arguments."""

    shown: ClassVar[tuple[str, ...]] = ()

    def arguments(self) -> dict[str, Any]:
        found = {name: getattr(self, name) for name in self.shown}
        return found if self.code_version is None else {**found, "version": self.code_version}

    def _line(self) -> str:
        return f"{type(self).__name__}({len(self)}, {_shown(self.arguments())})"


@operation("shuffle")
class Shuffled(Arranged):
    """The parent's samples in a shuffled order, which depends on a seed and an epoch."""

    shown = ("seed", "epoch")

    def __init__(self, parent: View, seed: int, epoch: int = 0) -> None:
        self.seed, self.epoch = operator.index(seed), operator.index(epoch)
        super().__init__(parent, Permutation(len(parent), self.seed, self.epoch))


@operation("shard")
class Sharded(Arranged):
    """Every n-th sample of the parent."""

    shown = ("shards", "rank")

    def __init__(self, parent: View, shards: int, rank: int) -> None:
        self.shards, self.rank = operator.index(shards), operator.index(rank)
        super().__init__(parent, shard_of(len(parent), self.shards, self.rank))


@operation("repeat")
class Repeated(Arranged):
    """The parent's samples, several times."""

    shown = ("times",)

    def __init__(self, parent: View, times: int) -> None:
        if operator.index(times) < 0:
            raise UsageError(f"times is {times}, which is too small. Give 0 or more.")
        self.times = operator.index(times)
        countable(len(parent) * self.times)
        super().__init__(parent, Repetition(len(parent), self.times))


@operation("sort_by")
class Sorted(Arranged):
    """The parent's samples, sorted by a stream, or by a function of the sample."""

    shown = ("by", "reverse")
    _whole = True

    def __init__(
        self, parent: View, by: str | Callable[[Any], Any], reverse: bool = False, version: str | None = None
    ) -> None:
        self.by, self.reverse, self.code_version = by, bool(reverse), checked_version(version)
        values = column_of(parent, by) if isinstance(by, str) else [by(sample) for sample in parent]
        super().__init__(parent, sorted_rows(values, self.reverse))


@operation("filter")
class Filtered(Arranged):
    """The parent's samples that satisfy a condition."""

    shown = ("where", "column")
    _whole = True

    def __init__(
        self,
        parent: View,
        where: Callable[[Any], Any] | Sequence[Any],
        column: str | None = None,
        version: str | None = None,
    ) -> None:
        self.where, self.column = where if callable(where) else tuple(where), column
        self.code_version = checked_version(version)
        super().__init__(parent, np.flatnonzero(truths(parent, self.where, column)))


class Merged(Arranged):
    """The base of views that merge several views: an order of the rows of all parents, one after the other."""

    def __init__(self, parents: Sequence[View], order: Any) -> None:
        self.own = order
        self._stand(parents)

    @classmethod
    def build(cls, arguments: Mapping[str, Any], parents: Sequence[View]) -> View:
        return cls(parents, **arguments)

    def _base(self) -> View:
        return Concatenated(self.parents)


@operation("interleave")
class Interleaved(Merged):
    """The samples of several views, one of each view in turn."""

    def __init__(self, parents: Sequence[View]) -> None:
        super().__init__(parents, Interleaving([len(view) for view in parents]))

    def _line(self) -> str:
        return f"Interleaved({len(self)})"


@operation("mix")
class Mixed(Merged):
    """Samples of several views, mixed by weights."""

    shown = ("weights", "seed", "stop", "epoch")

    def __init__(
        self, parents: Sequence[View], weights: Sequence[float], seed: int, stop: str | int, epoch: int = 0
    ) -> None:
        self.weights, self.stop = tuple(map(float, weights)), stop
        self.seed, self.epoch = operator.index(seed), operator.index(epoch)
        sizes = [len(view) for view in parents]
        super().__init__(parents, Mixture(sizes, self.weights, self.seed, stop, self.epoch))


def _shown(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_short(value)}" for name, value in arguments.items() if value is not None)


def _short(value: Any) -> str:
    text = getattr(value, "__qualname__", None) or repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
