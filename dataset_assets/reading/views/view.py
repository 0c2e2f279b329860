"""View: a Sequence on a Sequence, and all that can be put on one.

A method that stacks makes the view of its name, lazily, as the table of operations has it; what only rearranges is a
`Subset`.
"""

# What the tables hold is checked where it is defined.
# mypy: disable-error-code="no-any-return"

import operator
from abc import abstractmethod
from typing import (
    TYPE_CHECKING,
    Any,
    BinaryIO,
    Callable,
    Iterator,
    Literal,
    Mapping,
    NamedTuple,
    Sequence,
    SupportsIndex,
    TextIO,
    overload,
)

from numpy.typing import NDArray

from dataset_assets.errors import UsageError
from dataset_assets.formats.columns import Indices
from dataset_assets.reading.views import document
from dataset_assets.reading.views.node import Node
from dataset_assets.reading.views.operations import OPERATIONS, VERBS
from dataset_assets.reading.views.report import Report, report_of
from dataset_assets.reading.views.rows import Order, order_of

if TYPE_CHECKING:
    from dataset_assets.encoding import Encoder, Fitted


class View(Node, Sequence[Any]):
    """Samples in an order. Indexing reads one, iterating reads in blocks, slices and index arrays give views.

    A view of one's own has `__len__`, `streams` and `rows`, and `parents` if it stands on others; it has `each` and
    `sample`, and says that it is `computed`, if it makes each sample by itself. To be written as JSON it is a named
    operation (`operation`) and has `arguments`.
    """

    parents: tuple["View", ...] = ()

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

    def __reversed__(self) -> Iterator[Any]:
        return iter(self[::-1])

    def to_json(self) -> str:
        """Return the stack as JSON; `dataset_assets.view_from_json` reads it. Functions are recorded by reference.

        Raises `UsageError` for a function that no other process could import, such as a lambda.
        """
        return document.to_json(self)

    def fingerprint(self) -> str:
        """Return a digest of what decides the samples and their order: the stored bytes, and each view on them.

        A function counts by its code, and values in memory by their content. Raises `UsageError` for what has neither,
        such as a tokenizer: state its `version` where it is given.
        """
        return document.fingerprint(self)

    def report(self, *, speed: bool = False) -> Report:
        """Return what is in the view and in each that it stands on; with `speed`, also samples per second."""
        return report_of(self, speed)

    # What can be put on it

    def select(self, indices: "Sequence[int] | NDArray[Any]") -> "View":
        """Return the samples at these indices, in this order; negative ones count from the end.

        As in numpy, an array or list of booleans, one for each sample, selects those that are true.

        >>> from dataset_assets import view_of
        >>> view = view_of(label=[10, 20, 30])
        >>> list(view.select([2, 0, 0]).tuples("label")), list(view.select([True, False, True]).tuples("label"))
        ([(30,), (10,), (10,)], [(10,), (30,)])
        """
        return self._selected(order_of(indices, len(self)))

    def take(self, n: int) -> "View":
        """Return the first `n` samples."""
        return self[: _count(n)]

    def skip(self, n: int) -> "View":
        """Return all but the first `n` samples."""
        return self[_count(n) :]

    def shard(self, shards: int, rank: int) -> "View":
        """Return every sample whose number is `rank` modulo `shards`: parts that differ by one sample at most."""
        return _made("shard", self, shards, rank)

    def shuffle(self, seed: int, epoch: int = 0) -> "View":
        """Return the samples in an order that only their number, `seed` and `epoch` decide (docs/orders.md)."""
        return _made("shuffle", self, seed, epoch)

    def sort_by(self, by: "str | Callable[[Any], Any]", *, reverse: bool = False, version: str | None = None) -> "View":
        """Return the samples in the order of a stream, or of what a function makes of each; equal ones keep theirs."""
        return _made("sort_by", self, by, reverse, version)

    def filter(
        self,
        where: "Callable[[Any], Any] | tuple[str, Any]",
        *,
        column: str | None = None,
        version: str | None = None,
    ) -> "View":
        """Return the samples for which a function is true. The function, and what it looks at, is read once, at once.

        With `column`, the function is given all values of that stream, or of a table's field as "stream.field", and
        returns a boolean for each; or there is a comparison: `filter(("in", [3, 8]), column="label")`.
        """
        return _made("filter", self, where, column, version)

    def repeat(self, times: int) -> "View":
        """Return the samples so many times over, in the same order each time."""
        return _made("repeat", self, times)

    def interleave(self, *others: "View") -> "View":
        """Return a sample of each view in turn, each once; what has none left is passed over."""
        return _made("interleave", (self, *others))

    def mix(self, *others: "View", weights: Sequence[float], seed: int, stop: "str | int", epoch: int = 0) -> "View":
        """Return samples of several views, each with its share, to within one at any place (docs/orders.md).

        `stop="first"` ends where a view has no more; "all" when each was read to its end, the others from their start
        again; a number is how many samples there are.
        """
        return _made("mix", (self, *others), weights, seed, stop, epoch)

    def concat(self, *others: "View") -> "View":
        """Return this view's samples, then those of the others."""
        return _made("concat", (self, *others))

    def zip(self, *others: "View") -> "View":
        """Return the streams of several views side by side."""
        return _made("zip", (self, *others))

    def only(self, *streams: str) -> "View":
        """Return the view with only these streams; the others are not read."""
        return _made("only", self, streams)

    def rename(self, **names: str) -> "View":
        """Return the view with streams under other names, each written `new="old"`; roles follow."""
        return _made("rename", self, names)

    def tuples(self, *streams: str) -> "View":
        """Return each sample as a tuple of these streams' values."""
        return _made("tuples", self.only(*dict.fromkeys(streams)), streams)

    def map(
        self,
        change: Callable[..., Any],
        *,
        batched: bool = False,
        random: bool = False,
        seed: int = 0,
        version: str | None = None,
    ) -> "View":
        """Return each sample changed by a function, which is called when a sample is read.

        `batched`: it is given a mapping of stream to the values of some samples, and returns one of as many. `random`:
        it is given a numpy Generator too, or a list of one for each sample, which seed, epoch, version and row decide.

        A fingerprint has the function's code, and all that the function uses. Where that cannot be read, as in a
        tokenizer or a module of torch, `version` stands for it: state another one when it changes.
        """
        kind = "map_blocks" if batched else "map"
        return _made(kind, self, change, seed if random else None, version=version)

    def batch(self, n: int, *, drop_last: bool = False) -> "View":
        """Return blocks of `n` samples: mappings of stream to values, whose arrays are the caller's own to write in."""
        return _made("batch", self, n, drop_last)

    def cache(self) -> "View":
        """Return the view with its samples kept in memory, all of them, once one is read."""
        return _made("cache", self)

    def at_epoch(self, epoch: int) -> "View":
        """Return the same stack, with every shuffle, mix and random map in it as it is in this epoch.

        What a split drew stays as it was drawn: no sample of one part is in another in any epoch.
        """
        return VERBS["at_epoch"](self, epoch)

    # Encoded

    def fit(
        self, encoders: "Mapping[str, Encoder]", *, into: str | None = None, held_out: Sequence[str] = ("test",)
    ) -> "Fitted":
        """Return encoders that have learnt from this view: by stream, or by a table's field as "stream.field".

        Features of one stream stand side by side in its place; with `into`, all of them in a new stream of that name.
        Raises `UsageError` where the view shows a split named in `held_out`, or what a random map makes.

        >>> from dataset_assets.encoding import Ordinal
        >>> from dataset_assets import view_of
        >>> view = view_of(kind=["b", "a", "b"])
        >>> list(view.encode(view.fit({"kind": Ordinal()})).tuples("kind"))
        [(1,), (0,), (1,)]
        """
        return VERBS["fit"](self, encoders, into, held_out)

    def encode(self, fitted: "Fitted", *, any_version: bool = False) -> "View":
        """Return the view with streams encoded when read. Raises `Conflict` for another version's encoders."""
        return _made("encode", self, fitted, any_version)

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
        return VERBS["mapped_targets"](self, mapping, stream, unmapped, tag)

    def one_hot_targets(
        self, classes: Sequence[Any] | None = None, *, stream: str | None = None, tag: bool = False
    ) -> "View":
        """Return the view with its targets as vectors with a single 1; of the classes that it declares, or these."""
        return VERBS["one_hot_targets"](self, classes, stream, tag)

    def keep_targets(self, *targets: Any, stream: str | None = None) -> "View":
        """Return the samples with one of these targets; the targets are read once, at once."""
        return VERBS["chosen_by_target"](self, targets, stream, "in")

    def drop_targets(self, *targets: Any, stream: str | None = None) -> "View":
        """Return the samples with none of these targets; the targets are read once, at once."""
        return VERBS["chosen_by_target"](self, targets, stream, "not in")

    # Splits of it

    def random_split(self, ratios: Sequence[float], *, seed: int = 0) -> "list[Subset]":
        """Return disjoint parts that cover the view; ratios sum to 1."""
        return _parts("random_split", self, ratios=ratios, seed=seed)

    def stratified_split(self, ratios: Sequence[float], *, by: str | None = None, seed: int = 0) -> "list[Subset]":
        """Return parts in which each class has its share to within one sample: of a stream, or else of the target."""
        return _parts("stratified_split", self, ratios=ratios, by=by or VERBS["target_of"](self), seed=seed)

    def group_split(self, ratios: Sequence[float], *, by: str, seed: int = 0) -> "list[Subset]":
        """Return parts of about these ratios that keep all samples with one value of a stream together."""
        return _parts("group_split", self, ratios=ratios, by=by, seed=seed)

    def hash_split(self, ratios: Sequence[float], *, by: str, seed: int = 0) -> "list[Subset]":
        """Return parts decided by a hash of a stream's value: no sample moves when others are added or removed."""
        return _parts("hash_split", self, ratios=ratios, by=by, seed=seed)

    def kfold(self, folds: int = 5, *, by: str | None = None, seed: int = 0) -> "list[Fold]":
        """Return folds, each with what to train on and what is held out; with `by`, stratified by that stream."""
        return VERBS["folds"](self, folds, by, seed)

    def nested_kfold(
        self, outer: int = 5, inner: int = 2, *, outer_by: str | None = None, inner_by: str | None = None, seed: int = 0
    ) -> "list[NestedFold]":
        """Return folds, and in each the folds of what it trains on; with `outer_by` or `inner_by`, stratified."""
        return VERBS["nested_folds"](self, outer, inner, outer_by, inner_by, seed)

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
        return VERBS["to_arrow"](self)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Hand the samples over, block by block, to whatever reads Arrow's streams: polars, DuckDB, pandas."""
        return VERBS["arrow_reader"](self).__arrow_c_stream__(requested_schema)

    def to_torch(self, *, iterable: bool = False) -> Any:
        """Return a dataset for torch's DataLoader: map-style, or iterable; its samples hold tensors of their own."""
        return VERBS["to_torch"](self, iterable)

    def to_hf(self) -> Any:
        """Return a Dataset of Hugging Face's `datasets`, on the memory of `to_arrow`."""
        return VERBS["to_hf"](self)

    def to_sklearn(self, *, sample: str | None = None, target: str | None = None, bunch: bool = False) -> Any:
        """Return `X, y` as scikit-learn takes them, or its Bunch: the sample as a matrix of numbers, and the target."""
        return VERBS["to_sklearn"](self, sample, target, bunch)

    def to_numpy(self) -> dict[str, Any]:
        """Return every stream as an array of its own; text and ragged values as objects, a table by field."""
        return VERBS["to_numpy"](self)

    def to_pandas(self) -> Any:
        """Return a DataFrame with a column per stream, and one per field of a table."""
        return VERBS["to_pandas"](self)

    def _selected(self, order: Order) -> "View":
        return _made("select", self, order)


class Subset(View):
    """Some samples of a view, in an order."""

    @property
    @abstractmethod
    def indices(self) -> Indices:
        """Which samples of the view that this one stands on: an array of one's own."""


class Fold(NamedTuple):
    """One fold: what to train on, and what is held out."""

    train: View
    held_out: View


class NestedFold(NamedTuple):
    """One outer fold, with the folds of what it trains on."""

    train: View
    held_out: View
    inner: list[Fold]


def _made(operation: str, *arguments: Any, **named: Any) -> View:
    made: View = OPERATIONS[operation](*arguments, **named)
    return made


def _parts(operation: str, view: View, **arguments: Any) -> list[Subset]:
    parts: list[Subset] = OPERATIONS[operation].all_of(view, **arguments)
    return parts


def _as_index(i: Any) -> int:
    try:
        return operator.index(i)
    except TypeError:
        raise TypeError(f"a view takes an integer, a slice or a list of integers, not a {type(i).__name__}") from None


def _count(n: int) -> int:
    if operator.index(n) < 0:
        raise UsageError(f"There are no {n} samples to take or skip. Use a slice to count from the end.")
    return operator.index(n)
