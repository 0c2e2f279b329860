"""Mapped: samples that a function makes when they are read."""

from functools import cached_property
from typing import Any, Callable, Iterator, Mapping, Sequence

import numpy as np

from dataset_assets.core.permutation import generator
from dataset_assets.errors import SchemaError
from dataset_assets.formats.columns import Columns, values_of
from dataset_assets.reading.views.blocks import as_columns, numbers_in, owned, some_of
from dataset_assets.reading.views.node import checked_version
from dataset_assets.reading.views.operations import operation
from dataset_assets.reading.views.rows import Where
from dataset_assets.reading.views.view import View


@operation("map")
class Mapped(View):
    """The parent's samples, each changed by a function."""

    def __init__(
        self,
        parent: View,
        change: Callable[..., Any],
        seed: int | None = None,
        epoch: int = 0,
        version: str | None = None,
    ) -> None:
        self.parents = (parent,)
        self.parent, self.change, self.seed, self.epoch = parent, change, seed, epoch
        self.code_version = checked_version(version)

    def arguments(self) -> dict[str, Any]:
        return _arguments(self)

    def __len__(self) -> int:
        return len(self.parent)

    @cached_property
    def streams(self) -> tuple[str, ...]:
        """The names of the changed samples' streams: those of the first one. Without one, nobody knows."""
        first = self.sample(0) if len(self) else {}
        return tuple(first) if isinstance(first, Mapping) else ()

    @property
    def roles(self) -> Mapping[str, str]:
        """The parent's, of the streams that the function left; all, where nobody knows which these are."""
        return _left(self)

    @property
    def computed(self) -> bool:
        return True

    def sample(self, i: int) -> Any:
        sample = self.parent.sample(i)
        try:
            return self.change(sample) if self.seed is None else self.change(sample, self._chance(i))
        except Exception as error:
            raise _told(error, self, self.change, f"sample {i}") from error.__cause__

    def each(self, where: Where) -> Iterator[Any]:
        change, fixed = self.change, self.seed is None
        for row, sample in zip(numbers_in(where), self.parent.each(where)):
            try:
                changed = change(sample) if fixed else change(sample, self._chance(row))
            except Exception as error:
                raise _told(error, self, change, f"sample {row}") from error.__cause__
            yield changed

    def rows(self, where: Where) -> Columns:
        found = self.samples(where)
        return as_columns(found, () if found else self.streams)

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        return as_columns([some_of(sample, streams) for sample in self.each(where)], streams)

    def row_bytes(self, streams: Sequence[str] | None = None) -> float:
        # Which of the parent's streams the function looks at, nobody knows.
        return self.parent.row_bytes()

    def _chance(self, row: int) -> np.random.Generator:
        return generator_of(self.parent, row, self.seed or 0, self.epoch)

    def _line(self) -> str:
        return f"Mapped({len(self)}, {_drawn(self.change, self.seed, self.epoch)})"


@operation("map_blocks")
class MappedBlocks(View):
    """The parent's samples, changed by a function of some of them at once: a mapping of stream to their values.

    How many there are in a block is not said, and may be one: the function treats each by itself.
    """

    def __init__(
        self,
        parent: View,
        change: Callable[..., Any],
        seed: int | None = None,
        epoch: int = 0,
        version: str | None = None,
    ) -> None:
        self.parents = (parent,)
        self.parent, self.change, self.seed, self.epoch = parent, change, seed, epoch
        self.code_version = checked_version(version)

    def arguments(self) -> dict[str, Any]:
        return _arguments(self)

    def __len__(self) -> int:
        return len(self.parent)

    @cached_property
    def streams(self) -> tuple[str, ...]:
        """The names of the changed samples' streams: those of the first one. Without one, nobody knows."""
        return tuple(self.rows(slice(0, 1))) if len(self) else ()

    @property
    def roles(self) -> Mapping[str, str]:
        """The parent's, of the streams that the function left; all, where nobody knows which these are."""
        return _left(self)

    def rows(self, where: Where) -> Columns:
        rows = numbers_in(where)
        if not rows:
            return Columns({name: [] for name in self.streams})
        block = {name: owned(values) for name, values in self.parent.rows(where).items()}
        chances = () if self.seed is None else ([self._chance(row) for row in rows],)
        try:
            changed = self.change(block, *chances)
        except Exception as error:
            raise _told(error, self, self.change, f"{len(rows)} samples, first {rows[0]},") from error.__cause__
        if not isinstance(changed, Mapping):
            raise SchemaError(
                f"{_name_of(self.change)} returned a {type(changed).__name__}. Return a mapping of stream to values."
            )
        found = Columns(changed)
        if found.samples != len(rows):
            raise SchemaError(
                f"{_name_of(self.change)} was given {len(rows)} samples and returned {found.samples}. Return as many."
            )
        return found

    def row_bytes(self, streams: Sequence[str] | None = None) -> float:
        return self.parent.row_bytes()

    def _chance(self, row: int) -> np.random.Generator:
        return generator_of(self.parent, row, self.seed or 0, self.epoch)

    def _line(self) -> str:
        return f"MappedBlocks({len(self)}, {_drawn(self.change, self.seed, self.epoch)})"


@operation("tuples")
class Tupled(Mapped):
    """The parent's samples as tuples of their values."""

    def __init__(self, parent: View, streams: Sequence[str]) -> None:
        self._names = tuple(parent._stream(name) for name in streams)
        super().__init__(parent, _tuple_of(self._names))

    def arguments(self) -> dict[str, Any]:
        return {"streams": self._names}

    def each(self, where: Where) -> Iterator[Any]:
        if self.parent.computed:
            return super().each(where)
        found = self.parent.rows(where)
        return zip(*(values_of(found[name]) for name in self._names))


def generator_of(view: View, row: int, seed: int, epoch: int) -> np.random.Generator:
    """Return a generator that seed, epoch, version and stored row decide: the same in any process and any order."""
    found = view.traced(row)
    stored, number = found[0] if found else (view, row)
    return generator(seed, epoch, f"map {stored.dataset} {stored.split} {stored.origin.index}", number)


def _left(view: Mapped | MappedBlocks) -> dict[str, str]:
    known = view.streams
    return {role: stream for role, stream in view.parent.roles.items() if stream in known or not known}


def _arguments(view: Mapped | MappedBlocks) -> dict[str, Any]:
    random = {} if view.seed is None else {"seed": view.seed, "epoch": view.epoch}
    return {"change": view.change, **random, **({} if view.code_version is None else {"version": view.code_version})}


def _told(error: Exception, view: View, change: Callable[..., Any], what: str) -> Exception:
    """Return the function's error, with the place; as it is, but for the one that would end a loop in silence."""
    place = f"in {_name_of(change)}, for {what} of {view.dataset} {view.split}"
    if isinstance(error, StopIteration):
        return RuntimeError(f"StopIteration {place}")
    error.add_note(place)
    return error


def _drawn(change: Callable[..., Any], seed: int | None, epoch: int) -> str:
    return _name_of(change) if seed is None else f"{_name_of(change)}, seed={seed}, epoch={epoch}"


def _name_of(change: Callable[[Any], Any]) -> str:
    return getattr(change, "__qualname__", None) or repr(change)


class _tuple_of:
    """Makes a sample a tuple; a class so that a view pickles."""

    def __init__(self, streams: tuple[str, ...]) -> None:
        self.streams = streams
        self.__qualname__ = f"tuple of {', '.join(streams)}"

    def __call__(self, sample: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple([sample[name] for name in self.streams])
