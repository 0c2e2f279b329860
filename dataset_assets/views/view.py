"""Views: a Sequence on a Sequence. What only rearranges is `Selected`; every other does one thing."""

import io
import operator
from abc import ABC, abstractmethod
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, BinaryIO, Callable, Iterator, Mapping, Sequence, SupportsIndex, TextIO, overload

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import SchemaError, UnknownStream, UsageError, nearest
from dataset_assets.samples import Column, Columns, Indices, grouped, put_back, spans, values_of
from dataset_assets.views.blocks import as_columns, as_samples, bytes_of, owned
from dataset_assets.views.ordering import Order, Where, composed, in_order

# Samples are read together while they are no more than this: enough that a block costs little for each of them, little
# enough that whoever keeps one of them keeps no more of the others.
BLOCK = 1024
BLOCK_BYTES = 256 << 10
PROBES = 8


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
    """Samples in an order. Indexing reads one, iterating reads in blocks, slices and index arrays give views.

    A view of one's own has `__len__`, `streams` and `rows`, and `parents` if it stands on others; it has `each` and
    `sample`, and says that it is `computed`, if it makes each sample by itself.
    """

    parents: tuple["View", ...] = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def rows(self, where: Where) -> Columns:
        """Return the streams' values at some rows, as blocks that may lie on the stored bytes.

        `where` is a slice with 0 <= start <= stop <= len and no step, or an array of rows from 0 up to len.
        """

    @property
    @abstractmethod
    def streams(self) -> tuple[str, ...]:
        """The names of the streams."""

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        """Return some streams' values at some rows; the others are not read where that can be avoided."""
        found = self.rows(where)
        return Columns({name: found[name] for name in streams})

    def sample(self, i: int) -> Any:
        """Return the sample in row `0 <= i < len`."""
        return self.samples(np.array([i]))[0]

    def sample_of(self, streams: Sequence[str], i: int) -> Any:
        """Return some streams of the sample in row `0 <= i < len`."""
        return _some(self.sample(i), streams)

    def samples(self, where: Where) -> list[Any]:
        """Return the samples in some rows."""
        return list(self.each(where))

    def each(self, where: Where) -> Iterator[Any]:
        """Yield the samples in some rows. A mapped function is called when its sample is asked for, not before."""
        return iter(as_samples(self.rows(where)))

    @property
    def computed(self) -> bool:
        """Whether a function makes samples of this view, so that they are had one by one."""
        return any(parent.computed for parent in self.parents)

    def row_bytes(self, streams: Sequence[str] | None = None) -> float:
        """Return about how many bytes are read for a sample, or for some streams of it."""
        return max((parent.row_bytes(streams) for parent in self.parents), default=1.0)

    @overload
    def __getitem__(self, i: SupportsIndex) -> Any: ...
    @overload
    def __getitem__(self, i: "slice | range | list[int] | list[bool] | NDArray[Any]") -> "View": ...
    def __getitem__(self, i: Any) -> Any:
        if type(i) is not int:
            if isinstance(i, slice):
                return self._selected(range(len(self))[i])
            if isinstance(i, (list, range)) or getattr(i, "ndim", False):
                return self.select(i)
            i = _as_index(i)
        size = len(self)
        if not -size <= i < size:
            raise IndexError(f"sample {i} of a view of {size}")
        return self.sample(i if i >= 0 else i + size)

    def __iter__(self) -> Iterator[Any]:
        size = len(self)
        step = min(max(int(BLOCK_BYTES / self.row_bytes()), 1), BLOCK) if size else 1
        for lo in range(0, size, step):
            yield from self.each(slice(lo, min(lo + step, size)))

    def __reversed__(self) -> Iterator[Any]:
        return iter(self[::-1])

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

    def select(self, indices: "Sequence[int] | NDArray[Any]") -> "View":
        """Return the samples at these indices, in this order; negative ones count from the end.

        As in numpy, an array or list of booleans, one for each sample, selects those that are true.

        >>> from dataset_assets.views import view_of
        >>> view = view_of(label=[10, 20, 30])
        >>> list(view.select([2, 0, 0]).tuples("label")), list(view.select([True, False, True]).tuples("label"))
        ([(30,), (10,), (10,)], [(10,), (30,)])
        """
        if isinstance(indices, range) and indices and min(indices) >= 0 and max(indices) < len(self):
            return self._selected(indices)
        return self._selected(_checked(indices, len(self)))

    def take(self, n: int) -> "View":
        """Return the first `n` samples."""
        return self[: _count(n)]

    def skip(self, n: int) -> "View":
        """Return all but the first `n` samples."""
        return self[_count(n) :]

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
        return _Tuples(self.only(*dict.fromkeys(streams)), streams)

    def batch(self, n: int, *, drop_last: bool = False) -> "Batched":
        """Return blocks of `n` samples: mappings of stream to values, whose arrays are the caller's own to write in."""
        return Batched(self, n, drop_last)

    def open(self, stream: str, *, part: int = 0, encoding: str | None = None) -> BinaryIO | TextIO:
        """Open the stored file of a stream: seekable, read-only, read when asked; as text with an encoding.

        Of a stream in several files, `part` says which.
        """
        return self._source(stream).open(stream, part=part, encoding=encoding)

    def open_raw(self, argument: str, *, encoding: str | None = None) -> BinaryIO | TextIO:
        """Open the raw file that the split's function had as this argument, as `open` does a stream's."""
        return self._source(None).open_raw(argument, encoding=encoding)

    def to_numpy(self) -> dict[str, Any]:
        """Return every stream as an array of its own; text and ragged values as objects, a table by field."""
        from dataset_assets.views.export import to_numpy

        return to_numpy(self)

    def to_pandas(self) -> Any:
        """Return a DataFrame with a column per stream, and one per field of a table."""
        from dataset_assets.views.export import to_pandas

        return to_pandas(self)

    def _selected(self, order: Order) -> "View":
        return Selected(self, order)

    def _source(self, stream: str | None) -> "View":
        """Return the parent whose files are meant."""
        first = self.parents[0]
        if any(parent.origin != first.origin for parent in self.parents):
            raise UsageError(
                f"This {type(self).__name__} stands on several splits, each with its own files. Open those of one of "
                "its parents: view.parents[0].open(...)."
            )
        return first

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
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{name} has {count}" for name, count in lengths.items())
            raise SchemaError(f"The streams of a view have different lengths: {found}.")
        self._samples = next(iter(lengths.values()), 0)
        self._row_bytes: dict[str, float] = {}

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

    def sample_of(self, streams: Sequence[str], i: int) -> dict[str, Any]:
        columns = self.columns
        return {name: columns[name][i] for name in streams}

    def rows(self, where: Where) -> Columns:
        return self.rows_of(self.streams, where)

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        if isinstance(where, slice):
            return Columns({name: self.columns[name].slice(where.start, where.stop) for name in streams})
        return Columns({name: self.columns[name].take(where) for name in streams})

    def row_bytes(self, streams: Sequence[str] | None = None) -> float:
        found = 1.0
        for name in self.columns if streams is None else streams:
            if name not in self._row_bytes:
                self._row_bytes[name] = self._measured(self.columns[name])
            found += self._row_bytes[name]
        return found

    def _measured(self, column: Column) -> float:
        # A few from all over: the first ones may be unlike the rest.
        some = np.linspace(0, self._samples - 1, min(PROBES, self._samples)).astype(np.intp)
        return bytes_of(column.take(some)) / len(some) if len(some) else 1.0

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
        what = f"{len(self)} samples of {', '.join(self.streams)}"
        return f"Stored({self._origin.dataset}{at} {self._origin.split}: {what})"


class Opener(ABC):
    """Opens the files that a stored view is made of."""

    @abstractmethod
    def stream(self, stream: str, part: int) -> BinaryIO:
        """Open a file of a stream."""

    @abstractmethod
    def raw(self, argument: str) -> BinaryIO:
        """Open the raw file that the split's function had as this argument."""


class Selected(View):
    """The parent's samples in another order, some of them, some of them twice: arithmetic on indices."""

    def __init__(self, parent: View, order: Order) -> None:
        self.parents = (parent,)
        self.parent, self.order = parent, order

    def __len__(self) -> int:
        return len(self.order)

    @property
    def streams(self) -> tuple[str, ...]:
        return self.parent.streams

    def sample(self, i: int) -> Any:
        return self.parent.sample(int(self.order[i]))

    def sample_of(self, streams: Sequence[str], i: int) -> Any:
        return self.parent.sample_of(streams, int(self.order[i]))

    def rows(self, where: Where) -> Columns:
        return self.parent.rows(in_order(self.order, where))

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        return self.parent.rows_of(streams, in_order(self.order, where))

    def each(self, where: Where) -> Iterator[Any]:
        return self.parent.each(in_order(self.order, where))

    def _selected(self, order: Order) -> View:
        return Selected(self.parent, composed(self.order, order))

    def _stream(self, name: str) -> str:
        return self.parent._stream(name)


class Mapped(View):
    """The parent's samples, each changed by a function."""

    def __init__(self, parent: View, change: Callable[[Any], Any]) -> None:
        self.parents = (parent,)
        self.parent, self.change = parent, change

    def __len__(self) -> int:
        return len(self.parent)

    @cached_property
    def streams(self) -> tuple[str, ...]:
        """The names of the changed samples' streams: those of the first one. Without one, nobody knows."""
        first = self.sample(0) if len(self) else {}
        return tuple(first) if isinstance(first, Mapping) else ()

    @property
    def computed(self) -> bool:
        return True

    def sample(self, i: int) -> Any:
        sample = self.parent.sample(i)
        try:
            return self.change(sample)
        except Exception as error:
            raise self._told(error, i) from error.__cause__

    def each(self, where: Where) -> Iterator[Any]:
        change = self.change
        for k, sample in enumerate(self.parent.each(where)):
            try:
                changed = change(sample)
            except Exception as error:
                raise self._told(error, _row(where, k)) from error.__cause__
            yield changed

    def rows(self, where: Where) -> Columns:
        found = self.samples(where)
        return as_columns(found, () if found else self.streams)

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        return as_columns([_some(sample, streams) for sample in self.each(where)], streams)

    def row_bytes(self, streams: Sequence[str] | None = None) -> float:
        # Which of the parent's streams the function looks at, nobody knows.
        return self.parent.row_bytes()

    def _told(self, error: Exception, row: int) -> Exception:
        """Return the function's error, with the place; as it is, but for the one that would end a loop in silence."""
        place = f"in {_name_of(self.change)}, for sample {row} of {self.dataset} {self.split}"
        if isinstance(error, StopIteration):
            return RuntimeError(f"StopIteration {place}")
        error.add_note(place)
        return error

    def _stream(self, name: str) -> str:
        return super()._stream(name) if len(self) else name

    def _line(self) -> str:
        return f"Mapped({len(self)}, {_name_of(self.change)})"


class _Tuples(Mapped):
    """The parent's samples as tuples of their values."""

    def __init__(self, parent: View, streams: Sequence[str]) -> None:
        super().__init__(parent, _tuple_of(tuple(streams)))
        self._names = tuple(streams)

    def each(self, where: Where) -> Iterator[Any]:
        if self.parent.computed:
            return super().each(where)
        found = self.parent.rows(where)
        return zip(*(values_of(found[name]) for name in self._names))


class Narrowed(View):
    """The parent's samples with some of their streams; only those are read."""

    def __init__(self, parent: View, streams: Sequence[str]) -> None:
        self.parents = (parent,)
        self.parent, self._streams = parent, tuple(parent._stream(name) for name in streams)
        if not streams or len(set(streams)) < len(streams):
            raise UsageError(f"The streams {', '.join(streams) or '()'} are none, or one twice. Name each once.")

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def streams(self) -> tuple[str, ...]:
        return self._streams

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
        return (_some(sample, self._streams) for sample in self.parent.each(where))

    def row_bytes(self, streams: Sequence[str] | None = None) -> float:
        return self.parent.row_bytes(self._streams if streams is None else streams)

    def _line(self) -> str:
        return f"Narrowed({len(self)}, {', '.join(self._streams)})"


class Zipped(View):
    """The streams of several views of one length, side by side."""

    def __init__(self, parents: Sequence[View]) -> None:
        self.parents = tuple(parents)
        if len({len(view) for view in parents}) != 1:
            raise UsageError(f"Views of {', '.join(str(len(view)) for view in parents)} samples cannot be zipped.")
        self._owners: dict[str, View] = {}
        for view in parents:
            if len(view) and not view.streams:
                raise UsageError("A view whose samples are no mappings has no streams to zip. Name some.")
            if twice := self._owners.keys() & set(view.streams):
                raise UsageError(
                    f"Stream {', '.join(sorted(twice))} is in two of the zipped views. Narrow one with only()."
                )
            self._owners |= dict.fromkeys(view.streams, view)

    def __len__(self) -> int:
        return len(self.parents[0])

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(self._owners)

    def sample(self, i: int) -> dict[str, Any]:
        return {name: value for view in self.parents for name, value in view.sample(i).items()}

    def sample_of(self, streams: Sequence[str], i: int) -> dict[str, Any]:
        found = {k: v for view, names in self._by_owner(streams) for k, v in view.sample_of(names, i).items()}
        return {name: found[name] for name in streams}

    def rows(self, where: Where) -> Columns:
        return Columns({name: column for view in self.parents for name, column in view.rows(where).items()})

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        found = {k: v for view, names in self._by_owner(streams) for k, v in view.rows_of(names, where).items()}
        return Columns({name: found[name] for name in streams})

    def each(self, where: Where) -> Iterator[Any]:
        if not self.computed:
            return super().each(where)
        return (_merged(samples) for samples in zip(*(view.each(where) for view in self.parents)))

    def row_bytes(self, streams: Sequence[str] | None = None) -> float:
        owners = self._by_owner(self.streams if streams is None else streams)
        return sum(view.row_bytes(names) for view, names in owners)

    def _by_owner(self, streams: Sequence[str]) -> list[tuple[View, list[str]]]:
        """Return the parents that have some of the streams, each with its own."""
        pairs = [(view, [name for name in streams if self._owners.get(name) is view]) for view in self.parents]
        return [(view, names) for view, names in pairs if names]

    def _source(self, stream: str | None) -> View:
        return self._owners[stream] if stream in self._owners else super()._source(stream)


class Concatenated(View):
    """The samples of the first view, then those of the second, and so on; all have the same streams."""

    def __init__(self, parents: Sequence[View]) -> None:
        # Level by level a sum of many views would be as deep as it is long.
        flat = [part for view in parents for part in (view.parents if type(view) is Concatenated else (view,))]
        if not flat:
            raise UsageError("There are no views to put one after the other. Give at least one.")
        self.parents = tuple(flat)
        self._first = next((view for view in flat if len(view)), flat[0])
        for view in flat:
            if len(view) and set(view.streams) != set(self.streams):
                raise UsageError(f"Views with the streams {self.streams} and {view.streams} cannot follow each other.")
        self.starts = np.cumsum([0, *(len(view) for view in flat)])
        self._starts: list[int] = self.starts.tolist()

    def __len__(self) -> int:
        return self._starts[-1]

    @property
    def streams(self) -> tuple[str, ...]:
        return self._first.streams

    def sample(self, i: int) -> Any:
        part = bisect_right(self._starts, i) - 1
        return self.parents[part].sample(i - self._starts[part])

    def sample_of(self, streams: Sequence[str], i: int) -> Any:
        part = bisect_right(self._starts, i) - 1
        return self.parents[part].sample_of(streams, i - self._starts[part])

    def rows(self, where: Where) -> Columns:
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
        # Within a part the rows are in the order that was asked for, so each place takes the next one of its part.
        parts = {part: self.parents[part].each(rows) for part, rows in pieces}
        places = np.searchsorted(self.starts, where, "right") - 1
        return (next(parts[part]) for part in places.tolist())

    def row_bytes(self, streams: Sequence[str] | None = None) -> float:
        return max(view.row_bytes(streams) for view in self.parents)

    def _stream(self, name: str) -> str:
        return self._first._stream(name)

    def _pieces(self, where: Where) -> tuple[list[tuple[int, Where]], Indices | None]:
        """Return which rows of which parent are asked for, and the order that puts them back (see `grouped`)."""
        if isinstance(where, slice):
            return [(part, slice(*rows)) for part, rows in spans(self._starts, where.start, where.stop)], None
        groups, order = grouped(self.starts, where)
        return [(part, rows) for part, rows in groups], order


class Batched(View):
    """Blocks of the parent's samples; element i is a mapping of stream to the values of batch i."""

    def __init__(self, parent: View, n: int, drop_last: bool = False) -> None:
        if operator.index(n) < 1:
            raise UsageError(f"A batch has at least one sample, not {n}.")
        self.parents = (parent,)
        self.parent, self.n, self.drop_last = parent, operator.index(n), drop_last

    def __len__(self) -> int:
        return len(self.parent) // self.n if self.drop_last else -(-len(self.parent) // self.n)

    @property
    def streams(self) -> tuple[str, ...]:
        return self.parent.streams

    def sample(self, i: int) -> dict[str, Any]:
        return _own(self.parent.rows(self._span(i)))

    def sample_of(self, streams: Sequence[str], i: int) -> dict[str, Any]:
        return _own(self.parent.rows_of(streams, self._span(i)))

    def each(self, where: Where) -> Iterator[Any]:
        return (self.sample(i) for i in _numbers(where))

    def rows(self, where: Where) -> Columns:
        return self.rows_of(self.streams, where)

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        batches = [self.sample_of(streams, i) for i in _numbers(where)]
        return Columns({name: [batch[name] for batch in batches] for name in streams})

    def row_bytes(self, streams: Sequence[str] | None = None) -> float:
        return self.n * self.parent.row_bytes(streams)

    def _span(self, i: int) -> slice:
        return slice(i * self.n, min((i + 1) * self.n, len(self.parent)))

    def _stream(self, name: str) -> str:
        return self.parent._stream(name)


def _as_index(i: Any) -> int:
    try:
        return operator.index(i)
    except TypeError:
        raise TypeError(f"a view takes an integer, a slice or a list of integers, not a {type(i).__name__}") from None


def _checked(indices: Any, size: int) -> Indices:
    """Return indices as rows of a view of this size: a copy, so that the view does not change with them."""
    found = np.asarray(indices)
    if not found.size:
        found = found.astype(np.intp)
    if found.dtype.kind not in "iub" or found.ndim != 1:
        raise TypeError(f"a view is indexed by integers or booleans, not by {found.dtype} of shape {found.shape}")
    if found.dtype.kind == "b":
        if len(found) != size:
            raise IndexError(f"{len(found)} booleans for a view of {size}")
        return np.flatnonzero(found)
    if found.size and not -size <= int(found.min()) <= int(found.max()) < size:
        raise IndexError(f"samples {found.min()} to {found.max()} of a view of {size}")
    rows = found.astype(np.intp)
    rows[rows < 0] += size
    return rows


def _count(n: int) -> int:
    if operator.index(n) < 0:
        raise UsageError(f"There are no {n} samples to take or skip. Use a slice to count from the end.")
    return operator.index(n)


def _some(sample: Any, streams: Sequence[str]) -> dict[str, Any]:
    try:
        return {name: sample[name] for name in streams}
    except (KeyError, TypeError, IndexError) as error:
        found = f"the streams {', '.join(map(str, sample))}" if isinstance(sample, Mapping) else type(sample).__name__
        raise SchemaError(f"A sample has {found}, expected {', '.join(streams)} as in the first one.") from error


def _merged(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: value for sample in samples for name, value in sample.items()}


def _own(rows: Columns) -> dict[str, Any]:
    return {name: owned(block) for name, block in rows.items()}


def _numbers(where: Where) -> Sequence[int]:
    return range(where.start, where.stop) if isinstance(where, slice) else where.tolist()


def _row(where: Where, k: int) -> int:
    return where.start + k if isinstance(where, slice) else int(where[k])


def _name_of(change: Callable[[Any], Any]) -> str:
    return getattr(change, "__qualname__", None) or repr(change)


def _as_asked(file: BinaryIO, encoding: str | None) -> BinaryIO | TextIO:
    return file if encoding is None else io.TextIOWrapper(file, encoding=encoding)


class _tuple_of:
    """Makes a sample a tuple; a class so that a view pickles."""

    def __init__(self, streams: tuple[str, ...]) -> None:
        self.streams = streams
        self.__qualname__ = f"tuple of {', '.join(streams)}"

    def __call__(self, sample: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple([sample[name] for name in self.streams])
