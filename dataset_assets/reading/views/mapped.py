"""Mapped: applies a function to samples when they are read."""

from functools import cached_property
from typing import Any, Callable, Iterator, Mapping, Sequence

import numpy as np

from dataset_assets.core.permutation import generator
from dataset_assets.errors import SchemaError
from dataset_assets.formats.columns import Columns, values_of
from dataset_assets.reading.views.blocks import as_columns, numbers_in, owned, some_of
from dataset_assets.reading.views.forms import Form, blocks_of, declared_forms
from dataset_assets.reading.views.node import checked_version
from dataset_assets.reading.views.operations import operation
from dataset_assets.reading.views.rows import Where
from dataset_assets.reading.views.view import View


class Changed(View):
    """The parent's samples, transformed by a function; subclasses say how it is called."""

    def __init__(
        self,
        parent: View,
        change: Callable[..., Any],
        seed: int | None = None,
        epoch: int = 0,
        version: str | None = None,
        streams: Mapping[str, Any] | None = None,
    ) -> None:
        self.parents = (parent,)
        self.parent, self.change, self.seed, self.epoch = parent, change, seed, epoch
        self.code_version = checked_version(version)
        self._declared = {} if streams is None else declared_forms(streams)

    def arguments(self) -> dict[str, Any]:
        random = {} if self.seed is None else {"seed": self.seed, "epoch": self.epoch}
        version = {} if self.code_version is None else {"version": self.code_version}
        declared = {"streams": {name: form.described() for name, form in self._declared.items()}}
        return {"change": self.change, **random, **version, **(declared if self._declared else {})}

    @property
    def declared(self) -> Mapping[Any, Any]:
        return self._declared

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def roles(self) -> Mapping[str, str]:
        """The parent's roles whose streams still exist; all of them if the streams are not known."""
        known = self.streams
        return {role: stream for role, stream in self.parent.roles.items() if stream in known or not known}

    def row_bytes(self, streams: Sequence[str] | None = None) -> float:
        # All streams count, because it is unknown which of them the function uses.
        return self.parent.row_bytes()

    def _generator(self, row: int) -> "np.random.Generator":
        return generator_of(self.parent, row, self.seed or 0, self.epoch)

    def _line(self) -> str:
        random = "" if self.seed is None else f", seed={self.seed}, epoch={self.epoch}"
        return f"{type(self).__name__}({len(self)}, {_name_of(self.change)}{random})"


@operation("map")
class Mapped(Changed):
    """The parent's samples, each transformed by a function."""

    @cached_property
    def streams(self) -> tuple[str, ...]:
        """The streams of the first transformed sample; empty if there is no sample to look at."""
        first = self.sample(0) if len(self) else {}
        return tuple(first) if isinstance(first, Mapping) else ()

    @property
    def computed(self) -> bool:
        return True

    def sample(self, i: int) -> Any:
        sample = self.parent.sample(i)
        try:
            return self.change(sample) if self.seed is None else self.change(sample, self._generator(i))
        except Exception as error:
            raise _with_place(error, self, self.change, f"sample {i}") from error.__cause__

    def each(self, where: Where) -> Iterator[Any]:
        change, fixed = self.change, self.seed is None
        for row, sample in zip(numbers_in(where), self.parent.each(where)):
            try:
                changed = change(sample) if fixed else change(sample, self._generator(row))
            except Exception as error:
                raise _with_place(error, self, change, f"sample {row}") from error.__cause__
            yield changed

    def rows(self, where: Where) -> Columns:
        samples = self.samples(where)
        return as_columns(samples, () if samples else self.streams, blocks_of(self, numbers_in(where)))

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        samples = [some_of(sample, streams) for sample in self.each(where)]
        return as_columns(samples, streams, blocks_of(self, numbers_in(where)))


@operation("map_blocks")
class MappedBlocks(Changed):
    """The parent's samples, transformed in blocks: the function takes and returns a mapping of stream to values.

    A block may have any number of samples, even one, so the function must treat each sample on its own.
    """

    @cached_property
    def streams(self) -> tuple[str, ...]:
        """The streams of the first transformed sample; empty if there is no sample to look at."""
        return tuple(self.rows(slice(0, 1))) if len(self) else ()

    def rows(self, where: Where) -> Columns:
        rows = numbers_in(where)
        if not rows:
            return Columns({name: [] for name in self.streams})
        block = {name: owned(values) for name, values in self.parent.rows(where).items()}
        generators = () if self.seed is None else ([self._generator(row) for row in rows],)
        try:
            changed = self.change(block, *generators)
        except Exception as error:
            raise _with_place(error, self, self.change, f"{len(rows)} samples, first {rows[0]},") from error.__cause__
        if not isinstance(changed, Mapping):
            raise SchemaError(
                f"{_name_of(self.change)} returned a {type(changed).__name__}. Return a mapping of stream to values."
            )
        columns = Columns(changed)
        if columns.samples != len(rows):
            raise SchemaError(
                f"{_name_of(self.change)} got {len(rows)} samples and returned {columns.samples}. Return as many as it "
                "gets."
            )
        return columns


@operation("tuples")
class Tupled(Mapped):
    """The parent's samples as tuples of their values."""

    def __init__(self, parent: View, streams: Sequence[str]) -> None:
        self._names = tuple(parent._stream(name) for name in streams)
        super().__init__(parent, _tuple_of(self._names))

    def arguments(self) -> dict[str, Any]:
        return {"streams": self._names}

    @property
    def declared(self) -> Mapping[Any, Form]:
        """The parent's declared forms, by the numbers of the values."""
        declared = self.parent.declared
        return {k: declared[name] for k, name in enumerate(self._names) if name in declared}

    def each(self, where: Where) -> Iterator[Any]:
        if self.parent.computed:
            return super().each(where)
        columns = self.parent.rows(where)
        return zip(*(values_of(columns[name]) for name in self._names))


def generator_of(view: View, row: int, seed: int, epoch: int) -> "np.random.Generator":
    """Return a random generator for a sample. It depends only on seed, epoch, version and stored row."""
    origins = view.traced(row)
    stored, number = origins[0] if origins else (view, row)
    return generator(seed, epoch, f"map {stored.dataset} {stored.split} {stored.origin.index}", number)


def _with_place(error: Exception, view: View, change: Callable[..., Any], what: str) -> Exception:
    """Return the function's error with a note about the place; a StopIteration, which would end a loop, is replaced."""
    place = f"in {_name_of(change)}, for {what} of {view.dataset} {view.split}"
    if isinstance(error, StopIteration):
        return RuntimeError(f"StopIteration {place}")
    error.add_note(place)
    return error


def _name_of(change: Callable[[Any], Any]) -> str:
    return getattr(change, "__qualname__", None) or repr(change)


class _tuple_of:
    """Converts a sample to a tuple. A class, so that the view can be pickled."""

    def __init__(self, streams: tuple[str, ...]) -> None:
        self.streams = streams
        self.__qualname__ = f"tuple of {', '.join(streams)}"

    def __call__(self, sample: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple([sample[name] for name in self.streams])
