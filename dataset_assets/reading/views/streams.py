"""Selects or renames the streams of a view."""

from functools import cached_property
from typing import Any, BinaryIO, Iterator, Mapping, Sequence, TextIO

from dataset_assets.errors import UsageError
from dataset_assets.formats.columns import Columns
from dataset_assets.reading.views.blocks import some_of
from dataset_assets.reading.views.operations import operation
from dataset_assets.reading.views.rows import Where
from dataset_assets.reading.views.view import View


@operation("only")
class Narrowed(View):
    """The parent's samples with some of their streams; the other streams are not read."""

    def __init__(self, parent: View, streams: Sequence[str]) -> None:
        self.parents = (parent,)
        self.parent, self._streams = parent, tuple(parent._stream(name) for name in streams)
        if not streams or len(set(streams)) < len(streams):
            raise UsageError(f"only() needs at least one stream, each named once; got ({', '.join(streams)}).")

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def streams(self) -> tuple[str, ...]:
        return self._streams

    @property
    def declared(self) -> Mapping[Any, Any]:
        return self.parent.declared

    def sample(self, i: int) -> Any:
        return self.parent.sample_of(self._streams, i)

    def sample_of(self, streams: Sequence[str], i: int) -> Any:
        return self.parent.sample_of(streams, i)

    def rows(self, where: Where) -> Columns:
        return self.parent.rows_of(self._streams, where)

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        return self.parent.rows_of(streams, where)

    def each(self, where: Where) -> Iterator[Any]:
        if not self.computed:
            return super().each(where)
        return (some_of(sample, self._streams) for sample in self.parent.each(where))

    @property
    def roles(self) -> Mapping[str, str]:
        return {role: stream for role, stream in self.parent.roles.items() if stream in self._streams}

    def arguments(self) -> dict[str, Any]:
        return {"streams": self._streams}

    def _below(self, streams: Sequence[str]) -> tuple[View, Sequence[str]]:
        return self.parent._below(streams)

    def _array_forms(self, streams: Sequence[str]) -> Mapping[str, Any]:
        return self.parent._array_forms(streams)

    def row_bytes(self, streams: Sequence[str] | None = None) -> float:
        return self.parent.row_bytes(self._streams if streams is None else streams)

    def _line(self) -> str:
        return f"Narrowed({len(self)}, {', '.join(self._streams)})"


@operation("rename")
class Renamed(View):
    """The parent's samples with some streams renamed."""

    def __init__(self, parent: View, names: Mapping[str, str]) -> None:
        self.parents = (parent,)
        self.parent, self.names = parent, dict(names)
        new_of = {parent._stream(old): new for new, old in names.items()}
        if len(new_of) < len(names):
            raise UsageError(f"A stream cannot have two names: {names}. Give each stream one name.")
        self._olds = {new_of.get(old, old): old for old in parent.streams or new_of}
        if len(self._olds) < len(parent.streams):
            raise UsageError(
                f"Two of the streams {', '.join(parent.streams)} would have the same name: {names}. Choose another."
            )

    def arguments(self) -> dict[str, Any]:
        return {"names": self.names}

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(self._olds) if self.parent.streams else ()

    @property
    def roles(self) -> Mapping[str, str]:
        return {role: self._new(stream) for role, stream in self.parent.roles.items()}

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        return {self._new(stream): names for stream, names in self.parent.classes.items()}

    @property
    def declared(self) -> Mapping[Any, Any]:
        return {self._new(stream): form for stream, form in self.parent.declared.items()}

    def sample(self, i: int) -> Any:
        return self._renamed(self.parent.sample(i))

    def sample_of(self, streams: Sequence[str], i: int) -> Any:
        return self._renamed(self.parent.sample_of(self._old(streams), i))

    def rows(self, where: Where) -> Columns:
        return Columns(self._renamed(self.parent.rows(where)))

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        return Columns(self._renamed(self.parent.rows_of(self._old(streams), where)))

    def each(self, where: Where) -> Iterator[Any]:
        return map(self._renamed, self.parent.each(where)) if self.computed else super().each(where)

    def row_bytes(self, streams: Sequence[str] | None = None) -> float:
        return self.parent.row_bytes(None if streams is None else self._old(streams))

    def open(self, stream: str, *, part: int = 0, encoding: str | None = None) -> BinaryIO | TextIO:
        return self.parent.open(self._old([self._stream(stream)])[0], part=part, encoding=encoding)

    def _below(self, streams: Sequence[str]) -> tuple[View, Sequence[str]]:
        return self.parent._below(self._old(streams))

    def _array_forms(self, streams: Sequence[str]) -> Mapping[str, Any]:
        return dict(zip(streams, self.parent._array_forms(self._old(streams)).values()))

    def _old(self, streams: Sequence[str]) -> list[str]:
        return [self._olds.get(name, name) for name in streams]

    @cached_property
    def _news(self) -> dict[str, str]:
        return {old: new for new, old in self._olds.items()}

    def _new(self, name: str) -> str:
        return self._news.get(name, name)

    def _renamed(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        news = self._news
        return {news.get(name, name): value for name, value in sample.items()}

    def _stream(self, name: str) -> str:
        return super()._stream(name) if self.streams else name

    def _line(self) -> str:
        return f"Renamed({len(self)}, {', '.join(f'{new}={old}' for new, old in self.names.items())})"
