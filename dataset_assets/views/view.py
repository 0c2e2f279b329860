"""Views: a Sequence on a Sequence. What only rearranges is `Selected`; every other does one thing."""

import io
import operator
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, BinaryIO, Callable, Iterator, Mapping, Sequence, TextIO, cast, overload

import numpy as np

from dataset_assets.errors import SchemaError, UnknownStream, UsageError, nearest
from dataset_assets.samples import Column, Columns, Indices, join, pick

Where = slice | Indices
BLOCK = 1024


@dataclass(frozen=True)
class Origin:
    """Which stored bytes a view shows: dataset, split, the version it was opened at, and the roles of its streams."""

    dataset: str
    split: str
    index: str
    version: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class View(Sequence[Any], ABC):
    """Samples in an order. Indexing reads one, iterating reads in blocks, slices and index arrays give views."""

    parents: tuple["View", ...] = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def rows(self, where: Where) -> Columns:
        """Return the streams' values at some rows, as blocks that may lie on the stored bytes."""

    @property
    @abstractmethod
    def streams(self) -> tuple[str, ...]:
        """The names of the streams."""

    def sample(self, i: int) -> Any:
        """Return the sample in row `0 <= i < len`."""
        return self.samples(np.array([i]))[0]

    def samples(self, where: Where) -> list[Any]:
        """Return the samples in some rows."""
        return as_samples(self.rows(where))

    @overload
    def __getitem__(self, i: int) -> Any: ...
    @overload
    def __getitem__(self, i: slice) -> "View": ...
    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return self._selected(range(len(self))[i])
        if isinstance(i, (list, np.ndarray)) and np.ndim(i) == 1:
            return self.select(i)
        try:
            at = operator.index(i)
        except TypeError:
            raise TypeError(f"a view takes an integer, a slice or a list of integers, not {i!r}") from None
        size = len(self)
        if not -size <= at < size:
            raise IndexError(f"sample {at} of a view of {size}")
        return self.sample(at % size)

    def __iter__(self) -> Iterator[Any]:
        for lo in range(0, len(self), BLOCK):
            yield from self.samples(slice(lo, min(lo + BLOCK, len(self))))

    @property
    def origin(self) -> Origin:
        """What the view shows: of its first parent, where it has several."""
        return self.parents[0].origin

    @property
    def dataset(self) -> str:
        """The dataset's qualified name."""
        return self.origin.dataset

    @property
    def split(self) -> str:
        """The split's name."""
        return self.origin.split

    @property
    def version(self) -> str | None:
        """The digest of the version that was opened; None for a split that was opened by its index."""
        return self.origin.version

    @property
    def roles(self) -> Mapping[str, str]:
        """Which stream is the sample, the target, the tag."""
        return self.origin.roles

    def select(self, indices: Sequence[int] | Indices) -> "View":
        """Return the samples at these indices, in this order; negative ones count from the end.

        >>> from dataset_assets.views import view_of
        >>> list(view_of(label=[10, 20, 30]).select([2, 0, 0]).tuples("label"))
        [(30,), (10,), (10,)]
        """
        found = np.asarray(indices)
        if found.size == 0:
            found = found.astype(np.intp)
        if found.dtype.kind not in "iu" or found.ndim != 1:
            raise TypeError(f"a view is indexed by integers, not by {found.dtype} of shape {found.shape}")
        size = len(self)
        if found.size and not -size <= int(found.min()) <= int(found.max()) < size:
            raise IndexError(f"samples {found.min()} to {found.max()} of a view of {size}")
        return self._selected(np.where(found < 0, found + size, found).astype(np.intp))

    def take(self, n: int) -> "View":
        """Return the first `n` samples."""
        return self[:n]

    def skip(self, n: int) -> "View":
        """Return all but the first `n` samples."""
        return self[n:]

    def map(self, change: Callable[[Any], Any]) -> "Mapped":
        """Return each sample changed by a function, which is called when a sample is read."""
        return Mapped(self, change)

    def zip(self, *others: "View") -> "Zipped":
        """Return the streams of several views side by side."""
        return Zipped((self, *others))

    def concat(self, *others: "View") -> "Concatenated":
        """Return this view's samples, then those of the others."""
        return Concatenated((self, *others))

    def only(self, *streams: str) -> "Narrowed":
        """Return the view with only these streams; the others are not read."""
        return Narrowed(self, streams)

    def tuples(self, *streams: str) -> "Mapped":
        """Return each sample as a tuple of these streams' values."""
        return Mapped(self.only(*streams), _tuple_of(streams))

    def batch(self, n: int, *, drop_last: bool = False) -> "Batched":
        """Return blocks of `n` samples, each a mapping of stream to values; arrays are the caller's own, to write in."""
        return Batched(self, n, drop_last)

    def open(self, stream: str, *, part: int = 0, encoding: str | None = None) -> BinaryIO | TextIO:
        """Open the stored file of a stream: seekable, read-only, read when asked; as text with an encoding.

        Of a stream in several files, `part` says which.
        """
        return self.parents[0].open(stream, part=part, encoding=encoding)

    def open_raw(self, argument: str, *, encoding: str | None = None) -> BinaryIO | TextIO:
        """Open the raw file that the split's function had as this argument, as `open` does a stream's."""
        return self.parents[0].open_raw(argument, encoding=encoding)

    def to_numpy(self) -> dict[str, Any]:
        """Return every stream as an array of its own; text and ragged values as objects, a table as a dict of arrays."""
        from dataset_assets.views.export import to_numpy

        return to_numpy(self)

    def to_pandas(self) -> Any:
        """Return a DataFrame with a column per stream, and one per field of a table."""
        from dataset_assets.views.export import to_pandas

        return to_pandas(self)

    def _selected(self, order: "range | Indices") -> "View":
        return Selected(self, order)

    def _stream(self, name: str) -> str:
        if name not in self.streams:
            raise UnknownStream(f"{self.dataset} {self.split} has no stream {name!r}.{nearest(name, self.streams)}")
        return name

    def _line(self) -> str:
        return f"{type(self).__name__}({len(self)})"

    def __repr__(self) -> str:
        """Draw the stack, this view first."""
        lines = [self._line()]
        for parent in self.parents:
            lines += ["  " + line for line in repr(parent).splitlines()]
        return "\n".join(lines)


class Stored(View):
    """The samples of a split, on its stored bytes."""

    def __init__(
        self,
        origin: Origin,
        columns: Mapping[str, Column],
        opener: "Opener | None" = None,
        reopen: tuple[Any, ...] | None = None,
    ) -> None:
        self._origin, self.columns, self.opener, self._reopen = origin, dict(columns), opener, reopen
        self._samples = len(next(iter(self.columns.values()))) if self.columns else 0

    def __len__(self) -> int:
        return self._samples

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(self.columns)

    @property
    def origin(self) -> Origin:
        return self._origin

    def sample(self, i: int) -> dict[str, Any]:
        return {name: column[i] for name, column in self.columns.items()}

    def rows(self, where: Where) -> Columns:
        return self.rows_of(self.streams, where)

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        """Return some streams' values at some rows."""
        if isinstance(where, slice):
            return Columns({name: self.columns[name].slice(where.start, where.stop) for name in streams})
        return Columns({name: self.columns[name].take(where) for name in streams})

    def open(self, stream: str, *, part: int = 0, encoding: str | None = None) -> BinaryIO | TextIO:
        return _as_asked(self._opener.stream(self._stream(stream), part), encoding)

    def open_raw(self, argument: str, *, encoding: str | None = None) -> BinaryIO | TextIO:
        return _as_asked(self._opener.raw(argument), encoding)

    @property
    def _opener(self) -> "Opener":
        if self.opener is None:
            raise UsageError("This view is over values in memory, which are in no file.")
        return self.opener

    def __reduce__(self) -> Any:
        # Never handles: another process opens the same bytes again, by their digest.
        return self._reopen or (Stored, (self._origin, self.columns))

    def _line(self) -> str:
        at = f"@{self._origin.version[:12]}" if self._origin.version else ""
        return f"Stored({self._origin.dataset}{at} {self._origin.split}: {len(self)} samples of {', '.join(self.streams)})"


class Opener(ABC):
    """Opens the files that a stored view is made of."""

    @abstractmethod
    def stream(self, stream: str, part: int) -> BinaryIO: ...

    @abstractmethod
    def raw(self, argument: str) -> BinaryIO: ...


class Selected(View):
    """The parent's samples in another order, some of them, some of them twice: arithmetic on indices."""

    def __init__(self, parent: View, order: "range | Indices") -> None:
        self.parents = (parent,)
        self.parent, self.order = parent, order

    def __len__(self) -> int:
        return len(self.order)

    @property
    def streams(self) -> tuple[str, ...]:
        return self.parent.streams

    def sample(self, i: int) -> Any:
        return self.parent.sample(int(self.order[i]))

    def rows(self, where: Where) -> Columns:
        return self.parent.rows(in_order(self.order, where))

    def samples(self, where: Where) -> list[Any]:
        return self.parent.samples(in_order(self.order, where))

    def _selected(self, order: "range | Indices") -> View:
        return Selected(self.parent, composed(self.order, order))


class Mapped(View):
    """The parent's samples, each changed by a function."""

    def __init__(self, parent: View, change: Callable[[Any], Any]) -> None:
        self.parents = (parent,)
        self.parent, self.change = parent, change

    def __len__(self) -> int:
        return len(self.parent)

    @cached_property
    def streams(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names of the changed samples' streams: those of the first one."""
        first = self.sample(0) if len(self) else {}
        return tuple(first) if isinstance(first, Mapping) else ()

    def sample(self, i: int) -> Any:
        return self.change(self.parent.sample(i))

    def samples(self, where: Where) -> list[Any]:
        return [self.change(sample) for sample in self.parent.samples(where)]

    def rows(self, where: Where) -> Columns:
        return as_columns(self.samples(where))

    def _line(self) -> str:
        name = getattr(self.change, "__qualname__", None) or repr(self.change)
        return f"Mapped({len(self)}, {name})"


class Narrowed(View):
    """The parent's samples with some of their streams; only those are read."""

    def __init__(self, parent: View, streams: Sequence[str]) -> None:
        self.parents = (parent,)
        self.parent, self._streams = parent, tuple(parent._stream(name) for name in streams)

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def streams(self) -> tuple[str, ...]:
        return self._streams

    def sample(self, i: int) -> Any:
        if isinstance(self.parent, Stored):
            return {name: self.parent.columns[name][i] for name in self._streams}
        found = self.parent.sample(i)
        return {name: found[name] for name in self._streams}

    def rows(self, where: Where) -> Columns:
        if isinstance(self.parent, Stored):
            return self.parent.rows_of(self._streams, where)
        found = self.parent.rows(where)
        return Columns({name: found[name] for name in self._streams})

    def _line(self) -> str:
        return f"Narrowed({len(self)}, {', '.join(self._streams)})"


class Zipped(View):
    """The streams of several views of one length, side by side."""

    def __init__(self, parents: Sequence[View]) -> None:
        self.parents = tuple(parents)
        if len({len(view) for view in parents}) != 1:
            raise UsageError(f"Views of {', '.join(str(len(view)) for view in parents)} samples cannot be zipped.")
        names = [name for view in parents for name in view.streams]
        if twice := {name for name in names if names.count(name) > 1}:
            raise UsageError(f"Stream {', '.join(sorted(twice))} is in two of the zipped views. Narrow one with only().")

    def __len__(self) -> int:
        return len(self.parents[0])

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(name for view in self.parents for name in view.streams)

    def sample(self, i: int) -> dict[str, Any]:
        return {name: value for view in self.parents for name, value in view.sample(i).items()}

    def rows(self, where: Where) -> Columns:
        return Columns({name: column for view in self.parents for name, column in view.rows(where).items()})


class Concatenated(View):
    """The samples of the first view, then those of the second, and so on; all have the same streams."""

    def __init__(self, parents: Sequence[View]) -> None:
        self.parents = tuple(parents)
        first = self.parents[0].streams
        for view in self.parents[1:]:
            if set(view.streams) != set(first) and len(view):
                raise UsageError(f"Views with the streams {first} and {view.streams} cannot follow each other.")
        self.starts = np.cumsum([0, *(len(view) for view in self.parents)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def streams(self) -> tuple[str, ...]:
        return self.parents[0].streams

    def sample(self, i: int) -> Any:
        part = int(np.searchsorted(self.starts, i, "right")) - 1
        return self.parents[part].sample(i - int(self.starts[part]))

    def samples(self, where: Where) -> list[Any]:
        pieces, back = self._pieces(where)
        found = [sample for view, rows in pieces for sample in view.samples(rows)]
        return found if back is None else [found[i] for i in back.tolist()]

    def rows(self, where: Where) -> Columns:
        pieces, back = self._pieces(where)
        blocks = [view.rows(rows) for view, rows in pieces] or [self.parents[0].rows(slice(0, 0))]
        joined = {name: join([block[name] for block in blocks]) for name in self.streams}
        return Columns(joined if back is None else {name: pick(block, back) for name, block in joined.items()})

    def _pieces(self, where: Where) -> tuple[list[tuple[View, Where]], Indices | None]:
        """Return which rows of which parent are asked for, and the order that puts them back."""
        if isinstance(where, slice):
            lo, hi = where.start, where.stop
            spans = zip(self.parents, self.starts[:-1].tolist(), self.starts[1:].tolist())
            return [(v, slice(max(lo, a) - a, min(hi, b) - a)) for v, a, b in spans if a < hi and b > lo and a < b], None
        part = np.searchsorted(self.starts, where, "right") - 1
        order = np.argsort(part, kind="stable")
        back = np.empty(len(order), np.intp)
        back[order] = np.arange(len(order))
        cuts = np.flatnonzero(np.diff(part[order])) + 1
        groups = [rows for rows in np.split(order, cuts) if len(rows)]
        return [(self.parents[k := int(part[rows[0]])], where[rows] - self.starts[k]) for rows in groups], back


class Batched(View):
    """Blocks of the parent's samples; element i is a mapping of stream to the values of batch i."""

    def __init__(self, parent: View, n: int, drop_last: bool = False) -> None:
        if n < 1:
            raise UsageError(f"A batch has at least one sample, not {n}.")
        self.parents = (parent,)
        self.parent, self.n, self.drop_last = parent, n, drop_last

    def __len__(self) -> int:
        return len(self.parent) // self.n if self.drop_last else -(-len(self.parent) // self.n)

    @property
    def streams(self) -> tuple[str, ...]:
        return self.parent.streams

    def sample(self, i: int) -> Any:
        where = slice(i * self.n, min((i + 1) * self.n, len(self.parent)))
        return {name: owned(block) for name, block in self.parent.rows(where).items()}

    def samples(self, where: Where) -> list[Any]:
        numbers = range(where.start, where.stop) if isinstance(where, slice) else where.tolist()
        return [self.sample(i) for i in numbers]

    def rows(self, where: Where) -> Columns:
        batches = self.samples(where)
        return Columns({name: [batch[name] for batch in batches] for name in self.streams})

    def __iter__(self) -> Iterator[Any]:
        # A block of batches at once would hold as many batches as a block has samples.
        return map(self.sample, range(len(self)))


def in_order(order: "range | Indices", where: Where) -> Where:
    """Return which of the parent's rows stand at some places of an order."""
    if isinstance(order, np.ndarray):
        return cast(Indices, order[where])
    if isinstance(where, slice):
        part = order[where]
        return slice(part.start, part.stop) if part.step == 1 else np.arange(part.start, part.stop, part.step, np.intp)
    return (order.start + order.step * where).astype(np.intp)


def composed(first: "range | Indices", then: "range | Indices") -> "range | Indices":
    """Return the order that asks `first` for what stands at the places `then`."""
    if isinstance(then, range):
        if isinstance(first, range):
            return first[then.start : then.stop : then.step] if then.step > 0 else _backwards(first, then)
        return first[np.arange(then.start, then.stop, then.step, np.intp)]
    return cast(Indices, in_order(first, then))


def _backwards(first: range, then: range) -> range:
    step = first.step * then.step
    start = first.start + first.step * then.start
    return range(start, start + step * len(then), step)


def as_samples(columns: Columns) -> list[dict[str, Any]]:
    """Return a block as single samples."""
    names = list(columns)
    return [dict(zip(names, values)) for values in zip(*(_values(columns[name]) for name in names))]


def as_columns(samples: Sequence[Any]) -> Columns:
    """Return single samples as a block: arrays of equal shape stacked, anything else in lists."""
    if not samples:
        return Columns()
    if not isinstance(samples[0], Mapping):
        raise UsageError(f"Samples that are a {type(samples[0]).__name__} have no streams. Make them mappings first.")
    names = samples[0].keys()
    for sample in samples:
        if sample.keys() != names:
            raise SchemaError(f"Samples have different streams: {', '.join(names)}, then {', '.join(sample)}.")
    return Columns({name: stacked([sample[name] for sample in samples]) for name in names})


def stacked(values: list[Any]) -> Any:
    """Return values as one array if they are numbers, or arrays of one shape; else as they are."""
    if not isinstance(values[0], (np.ndarray, np.generic, int, float, complex)):
        return values
    if len({np.shape(value) for value in values}) > 1:
        return values
    return np.asarray(values)


def owned(block: Any) -> Any:
    """Return a block that may be written in without reaching what is stored."""
    if isinstance(block, np.ndarray) and not (block.flags.owndata and block.flags.writeable):
        return block.copy()
    return block


def _values(block: Any) -> list[Any]:
    if isinstance(block, np.ndarray):
        return block.tolist() if block.ndim == 1 and block.dtype.kind in "biuf" else list(block)
    return block if isinstance(block, list) else cast("list[Any]", block.to_pylist())


def _as_asked(file: BinaryIO, encoding: str | None) -> BinaryIO | TextIO:
    return file if encoding is None else io.TextIOWrapper(file, encoding=encoding)


class _tuple_of:
    """Makes a sample a tuple; a class so that a view pickles."""

    def __init__(self, streams: tuple[str, ...]) -> None:
        self.streams = streams
        self.__qualname__ = f"tuple of {', '.join(streams)}"

    def __call__(self, sample: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(sample[name] for name in self.streams)
