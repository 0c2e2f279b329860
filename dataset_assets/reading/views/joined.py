"""Joins several views: zips their streams, or concatenates their samples."""

import sys
from bisect import bisect_right
from typing import Any, Iterator, Mapping, Sequence

import numpy as np

from dataset_assets.errors import UsageError
from dataset_assets.formats.columns import Columns, Indices, grouped, put_back, spans
from dataset_assets.reading.views.node import Traceable, once
from dataset_assets.reading.views.operations import operation
from dataset_assets.reading.views.rows import Where
from dataset_assets.reading.views.view import View


@operation("zip")
class Zipped(View):
    """The streams of several views of the same length in one sample."""

    def __init__(self, parents: Sequence[View]) -> None:
        self.parents = tuple(parents)
        if len({len(view) for view in parents}) != 1:
            raise UsageError(
                f"Views of {', '.join(str(len(view)) for view in parents)} samples cannot be zipped. Select the same "
                "number of samples from each."
            )
        self._samples = len(parents[0])
        self._owners: dict[str, View] = {}
        for view in parents:
            if len(view) and not view.streams:
                raise UsageError(
                    "The samples of a view are not mappings, so it has no streams to zip. Return mappings from its "
                    "function."
                )
            if twice := self._owners.keys() & set(view.streams):
                raise UsageError(
                    f"Stream {', '.join(sorted(twice))} is in two of the zipped views. Remove it from one with only(), "
                    "or rename it with rename()."
                )
            self._owners |= dict.fromkeys(view.streams, view)
        self._reads = _reads_of(parents)
        self._read_of = {name: number for number, (_, names) in enumerate(self._reads) for name in names}
        self._shares = len(self._reads) < len(self.parents)

    def __len__(self) -> int:
        return self._samples

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(self._owners)

    @property
    @once
    def declared(self) -> Mapping[Any, Any]:
        return {name: form for view in self.parents for name, form in view.declared.items() if name in self._owners}

    def sample(self, i: int) -> dict[str, Any]:
        if self._shares:
            return self.sample_of(self.streams, i)
        return {name: value for view in self.parents for name, value in view.sample(i).items()}

    def sample_of(self, streams: Sequence[str], i: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for view, names in self._by_read(streams):
            sample = view.sample_of(list(names.values()), i)
            values |= {name: sample[below] for name, below in names.items()}
        return {name: values[name] for name in streams}

    def _array_forms(self, streams: Sequence[str]) -> Mapping[str, Any]:
        read = {
            name: view._array_forms([old])[old] for view, names in self._by_read(streams) for name, old in names.items()
        }
        return {name: read.get(name) for name in streams}

    def rows(self, where: Where) -> Columns:
        if self._shares:
            return self.rows_of(self.streams, where)
        return Columns({name: column for view in self.parents for name, column in view.rows(where).items()})

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        found: dict[str, Any] = {}
        for view, names in self._by_read(streams):
            rows = view.rows_of(list(names.values()), where)
            found |= {name: rows[below] for name, below in names.items()}
        return Columns({name: found[name] if len(self) else found.get(name, []) for name in streams})

    def each(self, where: Where) -> Iterator[Any]:
        if not self.computed:
            return super().each(where)
        if self._shares:
            return self._each_of(where)
        return (_merged(samples) for samples in zip(*(view.each(where) for view in self.parents)))

    def _each_of(self, where: Where) -> Iterator[Any]:
        names = [names for _, names in self._reads]
        for samples in zip(*(view.each(where) for view, _ in self._reads)):
            values = {name: sample[old] for sample, olds in zip(samples, names) for name, old in olds.items()}
            yield {name: values[name] for name in self.streams}

    @once
    def row_bytes(self, streams: Sequence[str] | None = None) -> float:
        owners = self._by_owner(self.streams if streams is None else streams)
        return sum(view.row_bytes(names) for view, names in owners)

    @classmethod
    def build(cls, arguments: Mapping[str, Any], parents: Sequence[View]) -> View:
        return cls(parents)

    def _by_owner(self, streams: Sequence[str]) -> list[tuple[View, list[str]]]:
        """Return each parent that has some of the streams, with these."""
        found: dict[int, tuple[View, list[str]]] = {}
        for name in streams:
            if (view := self._owners.get(name)) is not None:
                found.setdefault(id(view), (view, []))[1].append(name)
        return list(found.values())

    def _by_read(self, streams: Sequence[str]) -> list[tuple[View, dict[str, str]]]:
        """Return each view from which some of the streams are read, with these and their names there."""
        found: dict[int, dict[str, str]] = {}
        for name in streams:
            if (number := self._read_of.get(name)) is not None:
                found.setdefault(number, {})[name] = self._reads[number][1][name]
        return [(self._reads[number][0], names) for number, names in sorted(found.items())]

    def _stream(self, name: str) -> str:
        known = all(view.streams for view in self.parents)
        return super()._stream(name) if known or len(self) else name

    def _source(self, stream: str | None) -> View:
        return self._owners[stream] if stream in self._owners else super()._source(stream)


@operation("concat")
class Concatenated(View):
    """The samples of several views with the same streams, one view after the other."""

    def __init__(self, parents: Sequence[View]) -> None:
        # Flattened, because otherwise a sum of many views would be a deep stack.
        flat = [part for view in parents for part in (view.parents if type(view) is Concatenated else (view,))]
        if not flat:
            raise UsageError("There are no views to concatenate. Give at least one.")
        self.parents = tuple(flat)
        self._first = next((view for view in flat if len(view)), flat[0])
        for view in flat:
            if len(view) and set(view.streams) != set(self.streams):
                raise UsageError(
                    f"Views with the streams {self.streams} and {view.streams} cannot be concatenated. Give them the "
                    "same streams, with only() or rename()."
                )
        countable(sum(len(view) for view in flat))
        self.starts = np.cumsum([0, *(len(view) for view in flat)])
        self._starts: list[int] = self.starts.tolist()

    def __len__(self) -> int:
        return self._starts[-1]

    @property
    def streams(self) -> tuple[str, ...]:
        return self._first.streams

    @property
    @once
    def declared(self) -> Mapping[Any, Any]:
        """What any of the views declares, unless another one declares something else."""
        every = [view.declared for view in self.parents if view.declared]
        names = dict.fromkeys(name for one in every for name in one)
        forms = {name: {one[name] for one in every if name in one} for name in names}
        return {name: form for name, (form, *others) in forms.items() if not others}

    def sample(self, i: int) -> Any:
        part = bisect_right(self._starts, i) - 1
        return self.parents[part].sample(i - self._starts[part])

    def sample_of(self, streams: Sequence[str], i: int) -> Any:
        part = bisect_right(self._starts, i) - 1
        return self.parents[part].sample_of(streams, i - self._starts[part])

    @once
    def _array_forms(self, streams: Sequence[str]) -> Mapping[str, Any]:
        first, *others = [view._array_forms(streams) for view in self.parents]
        return {name: form if all(other[name] == form for other in others) else None for name, form in first.items()}

    def rows(self, where: Where) -> Columns:
        if not self.streams:
            # The samples are not mappings, so there are no blocks; the parent raises the error.
            for part, rows in self._pieces(where)[0]:
                self.parents[part].rows(rows)
        return self.rows_of(self.streams, where)

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        pieces, order = self._pieces(where)
        blocks = [self.parents[part].rows_of(streams, rows) for part, rows in pieces]
        if not blocks:
            return self._first.rows_of(streams, slice(0, 0))
        return Columns({name: put_back([block[name] for block in blocks], order) for name in streams})

    def each(self, where: Where) -> Iterator[Any]:
        pieces, order = self._pieces(where)
        if order is None or isinstance(where, slice):
            return (sample for part, rows in pieces for sample in self.parents[part].each(rows))
        # Within a part the rows keep the requested order, so each place takes the next sample of its part.
        parts = {part: self.parents[part].each(rows) for part, rows in pieces}
        places = np.searchsorted(self.starts, where, "right") - 1
        return (next(parts[part]) for part in places.tolist())

    def _stream(self, name: str) -> str:
        return self._first._stream(name)

    def traced(self, i: int) -> list[tuple[Traceable, int]]:
        part = bisect_right(self._starts, i) - 1
        return self.parents[part].traced(i - self._starts[part])

    @classmethod
    def build(cls, arguments: Mapping[str, Any], parents: Sequence[View]) -> View:
        return cls(parents)

    def _pieces(self, where: Where) -> tuple[list[tuple[int, Where]], Indices | None]:
        """Return the rows of each parent, and the order that puts them back (see `grouped`)."""
        if isinstance(where, slice):
            return [(part, slice(*rows)) for part, rows in spans(self._starts, where.start, where.stop)], None
        groups, order = grouped(self.starts, where)
        return [(part, rows) for part, rows in groups], order


def _reads_of(parents: Sequence[View]) -> list[tuple[View, dict[str, str]]]:
    """Return the views from which the streams of zipped views are read, with these and their names there.

    Views that only select and rename streams of one view are read from that one, at once: a function below is called
    once for a sample, and not for each of them.
    """
    below = [view._below(view.streams) for view in parents]
    names: dict[int, list[str]] = {}
    for base, olds in below:
        names.setdefault(id(base), []).extend(olds)
    found: dict[int, tuple[View, dict[str, str]]] = {}
    for view, (base, olds) in zip(parents, below):
        # Two streams that are one below are read twice, so that each has its own memory.
        shared = len(olds) < len(names[id(base)]) == len(set(names[id(base)]))
        read, olds = (base, olds) if shared else (view, view.streams)
        found.setdefault(id(read), (read, {}))[1].update(zip(view.streams, olds))
    return list(found.values())


def countable(size: int) -> None:
    """Raise `UsageError` for more samples than a Python sequence can have."""
    if size > sys.maxsize:
        raise UsageError(
            f"The view would have {size} samples; at most {sys.maxsize} are allowed. Repeat or join fewer."
        )


def _merged(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: value for sample in samples for name, value in sample.items()}
