"""View: a Sequence on a Sequence, and all that can be put on one.

A method that stacks makes the view of its name, lazily; what only rearranges is a `Selected`.
"""

import operator
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    BinaryIO,
    Callable,
    ClassVar,
    Iterator,
    Literal,
    Mapping,
    Sequence,
    SupportsIndex,
    TextIO,
    overload,
)

import numpy as np
from numpy.typing import NDArray

# Each kind of view is a View, and a View makes each kind: they are looked up when they are asked for.
import dataset_assets.reading.views as views
from dataset_assets.errors import UnknownStream, UsageError, nearest
from dataset_assets.formats.columns import Columns, Indices
from dataset_assets.reading.views import document as operations
from dataset_assets.reading.views.blocks import as_samples, some_of
from dataset_assets.reading.views.rows import Order, Where

if TYPE_CHECKING:
    from dataset_assets.encoding import Encoder, Fitted

# Samples are read together while they are no more than this: enough that a block costs little for each of them, little
# enough that whoever keeps one of them keeps no more of the others.
BLOCK = 1024
BLOCK_BYTES = 256 << 10


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
    `sample`, and says that it is `computed`, if it makes each sample by itself. To be written as JSON it is a named
    operation (`dataset_assets.reading.views.document`) and has `arguments`.
    """

    op: ClassVar[str] = ""
    # Whether all of the parent is read to make the view, or its first sample.
    _whole: ClassVar[bool] = False
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
        return Columns({name: found[name] if len(self) else found.get(name, []) for name in streams})

    def sample(self, i: int) -> Any:
        """Return the sample in row `0 <= i < len`."""
        return self.samples(np.array([i]))[0]

    def sample_of(self, streams: Sequence[str], i: int) -> Any:
        """Return some streams of the sample in row `0 <= i < len`."""
        return some_of(self.sample(i), streams)

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

    # What it is

    def arguments(self) -> dict[str, Any]:
        """Return what `build` makes this view of, beside its parents."""
        return {}

    @classmethod
    def build(cls, arguments: Mapping[str, Any], parents: "Sequence[View]") -> "View":
        """Return a view of this kind."""
        return cls(*parents, **arguments)

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
        """Which stream is the sample, the target, the tag; those of the first parent, where several have one."""
        return {role: stream for parent in reversed(self.parents) for role, stream in parent.roles.items()}

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the classes that the numbers of a stream stand for."""
        return {stream: names for parent in reversed(self.parents) for stream, names in parent.classes.items()}

    def to_json(self) -> str:
        """Return the stack as JSON; `dataset_assets.view_from_json` reads it. Functions are recorded by reference.

        Raises `UsageError` for a function that no other process could import, such as a lambda.
        """
        return operations.to_json(self)

    def fingerprint(self) -> str:
        """Return a digest of what decides the samples and their order: the stored bytes, and each view on them."""
        return operations.fingerprint(self)

    def lineage(self, i: int) -> "tuple[views.Lineage, ...]":
        """Return where sample `i` comes from: version, split, row, raw files; an entry for each row it is made of."""
        return tuple(view.lineage_of(row) for view, row in self.traced(range(len(self))[i]))

    def traced(self, i: int) -> "list[tuple[views.Stored, int]]":
        """Return the stored rows that the sample in row `0 <= i < len` is made of."""
        return [found for parent in self.parents for found in parent.traced(i)]

    def report(self, *, speed: bool = False) -> "views.Report":
        """Return what is in the view and in each that it stands on; with `speed`, also samples per second."""
        return views.report_of(self, speed)

    # What can be put on it

    def select(self, indices: "Sequence[int] | NDArray[Any]") -> "View":
        """Return the samples at these indices, in this order; negative ones count from the end.

        As in numpy, an array or list of booleans, one for each sample, selects those that are true.

        >>> from dataset_assets.reading.views import view_of
        >>> view = view_of(label=[10, 20, 30])
        >>> list(view.select([2, 0, 0]).tuples("label")), list(view.select([True, False, True]).tuples("label"))
        ([(30,), (10,), (10,)], [(10,), (30,)])
        """
        if isinstance(indices, range):
            if all(0 <= end < len(self) for end in (*indices[:1], *indices[-1:])):
                return self._selected(indices)
            low, high = sorted((indices[0], indices[-1]))
            if not -len(self) <= low <= high < len(self):
                raise IndexError(f"samples {low} to {high} of a view of {len(self)}")
        return self._selected(_checked(indices, len(self)))

    def take(self, n: int) -> "View":
        """Return the first `n` samples."""
        return self[: _count(n)]

    def skip(self, n: int) -> "View":
        """Return all but the first `n` samples."""
        return self[_count(n) :]

    def shard(self, shards: int, rank: int) -> "View":
        """Return every sample whose number is `rank` modulo `shards`: parts that differ by one sample at most."""
        return views.Sharded(self, shards, rank)

    def shuffle(self, seed: int, epoch: int = 0) -> "View":
        """Return the samples in an order that only their number, `seed` and `epoch` decide (docs/orders.md)."""
        return views.Shuffled(self, seed, epoch)

    def sort_by(self, by: "str | Callable[[Any], Any]", *, reverse: bool = False) -> "View":
        """Return the samples in the order of a stream, or of what a function makes of each; equal ones keep theirs."""
        return views.Sorted(self, by, reverse)

    def filter(self, where: "Callable[[Any], Any] | tuple[str, Any]", *, column: str | None = None) -> "View":
        """Return the samples for which a function is true. The function, and what it looks at, is read once, at once.

        With `column`, the function is given all values of that stream, or of a table's field as "stream.field", and
        returns a boolean for each; or there is a comparison: `filter(("in", [3, 8]), column="label")`.
        """
        return views.Filtered(self, where, column)

    def repeat(self, times: int) -> "View":
        """Return the samples so many times over, in the same order each time."""
        return views.Repeated(self, times)

    def interleave(self, *others: "View") -> "View":
        """Return a sample of each view in turn, each once; what has none left is passed over."""
        return views.Interleaved((self, *others))

    def mix(self, *others: "View", weights: Sequence[float], seed: int, stop: "str | int", epoch: int = 0) -> "View":
        """Return samples of several views, each with its share, to within one at any place (docs/orders.md).

        `stop="first"` ends where a view has no more; "all" when each was read to its end, the others from their start
        again; a number is how many samples there are.
        """
        return views.Mixed((self, *others), weights, seed, stop, epoch)

    def concat(self, *others: "View") -> "View":
        """Return this view's samples, then those of the others."""
        return views.Concatenated((self, *others))

    def zip(self, *others: "View") -> "View":
        """Return the streams of several views side by side."""
        return views.Zipped((self, *others))

    def only(self, *streams: str) -> "View":
        """Return the view with only these streams; the others are not read."""
        return views.Narrowed(self, streams)

    def rename(self, **names: str) -> "View":
        """Return the view with streams under other names, each written `new="old"`; roles follow."""
        return views.Renamed(self, names)

    def tuples(self, *streams: str) -> "View":
        """Return each sample as a tuple of these streams' values."""
        return views.Tupled(self.only(*dict.fromkeys(streams)), streams)

    def map(self, change: Callable[..., Any], *, batched: bool = False, random: bool = False, seed: int = 0) -> "View":
        """Return each sample changed by a function, which is called when a sample is read.

        `batched`: it is given a mapping of stream to the values of some samples, and returns one of as many. `random`:
        it is given a numpy Generator too, or a list of one for each sample, which seed, epoch, version and row decide.
        """
        kind = views.MappedBlocks if batched else views.Mapped
        return kind(self, change, seed if random else None)

    def batch(self, n: int, *, drop_last: bool = False) -> "View":
        """Return blocks of `n` samples: mappings of stream to values, whose arrays are the caller's own to write in."""
        return views.Batched(self, n, drop_last)

    def cache(self) -> "View":
        """Return the view with its samples kept in memory, all of them, once one is read."""
        return views.Cached(self)

    def at_epoch(self, epoch: int) -> "View":
        """Return the same stack, with every shuffle, mix and random map in it as it is in this epoch.

        What a split drew stays as it was drawn: no sample of one part is in another in any epoch.
        """
        return views.at_epoch(self, epoch)

    # Encoded

    def fit(
        self, encoders: "Mapping[str, Encoder]", *, into: str | None = None, held_out: Sequence[str] = ("test",)
    ) -> "Fitted":
        """Return encoders that have learnt from this view: by stream, or by a table's field as "stream.field".

        Features of one stream stand side by side in its place; with `into`, all of them in a new stream of that name.
        Raises `UsageError` where the view shows a split named in `held_out`, or what a random map makes.

        >>> from dataset_assets.encoding import Ordinal
        >>> from dataset_assets.reading.views import view_of
        >>> view = view_of(kind=["b", "a", "b"])
        >>> list(view.encode(view.fit({"kind": Ordinal()})).tuples("kind"))
        [(1,), (0,), (1,)]
        """
        return views.fit(self, encoders, into, held_out)

    def encode(self, fitted: "Fitted", *, any_version: bool = False) -> "views.Encoded":
        """Return the view with streams encoded when read. Raises `Conflict` for another version's encoders."""
        return views.Encoded(self, fitted, any_version)

    def map_targets(
        self,
        mapping: Mapping[Any, Any],
        *,
        unmapped: Literal["error", "keep", "drop"] = "error",
        stream: str | None = None,
        tag: bool = False,
    ) -> "View":
        """Return the view with its targets mapped, all at once: what one is mapped to is not mapped again.

        A target that is not in the mapping is an error when it is read, is kept, or its sample is dropped. A tag that
        is the target's stream stays as it was, as the stream "tag"; unless `tag`.
        """
        return views.mapped_targets(self, mapping, stream, unmapped, tag)

    def one_hot_targets(
        self, classes: Sequence[Any] | None = None, *, stream: str | None = None, tag: bool = False
    ) -> "View":
        """Return the view with its targets as vectors with a single 1; of the classes that it declares, or these."""
        return views.one_hot_targets(self, classes, stream, tag)

    def keep_targets(self, *targets: Any, stream: str | None = None) -> "View":
        """Return the samples with one of these targets; the targets are read once, at once."""
        return views.chosen_by_target(self, targets, stream, "in")

    def drop_targets(self, *targets: Any, stream: str | None = None) -> "View":
        """Return the samples with none of these targets; the targets are read once, at once."""
        return views.chosen_by_target(self, targets, stream, "not in")

    # Splits of it

    def random_split(self, ratios: Sequence[float], *, seed: int = 0) -> "list[views.Part]":
        """Return disjoint parts that cover the view; ratios sum to 1."""
        return views.RandomPart.all_of(self, ratios=ratios, seed=seed)

    def stratified_split(self, ratios: Sequence[float], *, by: str | None = None, seed: int = 0) -> "list[views.Part]":
        """Return parts in which each class has its share to within one sample: of a stream, or else of the target."""
        return views.StratifiedPart.all_of(self, ratios=ratios, by=by or views.target_of(self), seed=seed)

    def group_split(self, ratios: Sequence[float], *, by: str, seed: int = 0) -> "list[views.Part]":
        """Return parts of about these ratios that keep all samples with one value of a stream together."""
        return views.GroupPart.all_of(self, ratios=ratios, by=by, seed=seed)

    def hash_split(self, ratios: Sequence[float], *, by: str, seed: int = 0) -> "list[views.Part]":
        """Return parts decided by a hash of a stream's value: no sample moves when others are added or removed."""
        return views.HashPart.all_of(self, ratios=ratios, by=by, seed=seed)

    def kfold(self, folds: int = 5, *, by: str | None = None, seed: int = 0) -> "list[views.Fold]":
        """Return folds, each with what to train on and what is held out; with `by`, stratified by that stream."""
        return views.folds(self, folds, by, seed)

    def nested_kfold(
        self, outer: int = 5, inner: int = 2, *, outer_by: str | None = None, inner_by: str | None = None, seed: int = 0
    ) -> "list[views.NestedFold]":
        """Return folds, and in each the folds of what it trains on; with `outer_by` or `inner_by`, stratified."""
        return views.nested_folds(self, outer, inner, outer_by, inner_by, seed)

    # What leaves it

    def open(self, stream: str, *, part: int = 0, encoding: str | None = None) -> BinaryIO | TextIO:
        """Open the stored file of a stream: seekable, read-only, read when asked; as text with an encoding.

        Of a stream in several files, `part` says which.
        """
        return self._source(stream).open(stream, part=part, encoding=encoding)

    def open_raw(self, argument: str, *, encoding: str | None = None) -> BinaryIO | TextIO:
        """Open the raw file that the split's function had as this argument, as `open` does a stream's."""
        return self._source(None).open_raw(argument, encoding=encoding)

    def to_arrow(self) -> Any:
        """Return a table of Arrow, on the stored bytes where they lie as Arrow has them (docs/converting.md)."""
        from dataset_assets.reading.convert.arrow import to_arrow

        return to_arrow(self)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Hand the samples over, block by block, to whatever reads Arrow's streams: polars, DuckDB, pandas."""
        from dataset_assets.reading.convert.arrow import reader

        return reader(self).__arrow_c_stream__(requested_schema)

    def to_torch(self, *, iterable: bool = False) -> Any:
        """Return a dataset for torch's DataLoader: map-style, or iterable; its samples hold tensors of their own."""
        from dataset_assets.reading.convert.frameworks import to_torch

        return to_torch(self, iterable)

    def to_hf(self) -> Any:
        """Return a Dataset of Hugging Face's `datasets`, on the memory of `to_arrow`."""
        from dataset_assets.reading.convert.frameworks import to_hf

        return to_hf(self)

    def to_sklearn(self, *, sample: str | None = None, target: str | None = None, bunch: bool = False) -> Any:
        """Return `X, y` as scikit-learn takes them, or its Bunch: the sample as a matrix of numbers, and the target."""
        from dataset_assets.reading.convert.frameworks import to_sklearn

        return to_sklearn(self, sample, target, bunch)

    def to_numpy(self) -> dict[str, Any]:
        """Return every stream as an array of its own; text and ragged values as objects, a table by field."""
        from dataset_assets.reading.convert.numpy_pandas import to_numpy

        return to_numpy(self)

    def to_pandas(self) -> Any:
        """Return a DataFrame with a column per stream, and one per field of a table."""
        from dataset_assets.reading.convert.numpy_pandas import to_pandas

        return to_pandas(self)

    def _selected(self, order: Order) -> "View":
        return views.Selected(self, order)

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
        # Of a view without samples that a function would make nobody knows the streams: any has no values.
        if name not in self.streams and (self.streams or len(self)):
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
    if found.dtype.kind == "O" and found.ndim == 1 and all(type(one) is int for one in found.tolist()):
        raise IndexError(f"samples {min(found)} to {max(found)} of a view of {size}")
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
