"""View: samples in an order, with methods that put further views on top of it.

These methods find the kinds of views, and other functions, by name in the registry (`operations.py`). Views are lazy.
Methods that only select or reorder samples return a `Subset`.
"""

# mypy does not see the types behind the registry.
# mypy: disable-error-code="no-any-return"

import operator
from abc import abstractmethod
from collections import abc
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
from dataset_assets.reading.views.blocks import owned_in
from dataset_assets.reading.views.node import Node
from dataset_assets.reading.views.operations import OPERATIONS, VERBS
from dataset_assets.reading.views.report import Report, report_of
from dataset_assets.reading.views.rows import Order, order_of

if TYPE_CHECKING:
    from dataset_assets.encoding import Encoder, Fitted


class View(Node):
    """Samples in an order. Indexing reads one sample, iterating reads blocks, slices and index arrays return views.

    The sample of an index is the caller's own. Samples of an iteration may share read-only memory with the storage.

    To write your own kind of view, define `__len__`, `streams` and `rows`, and `parents` if it is on top of others. If
    it computes samples one by one, define `each` and `sample`, and return True from `computed`. To write it as JSON,
    register it with `operation`, and define `arguments`.
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
        return owned_in(self.sample(i if i >= 0 else i + size))

    # A view has the methods of a sequence, but is none by its type: polars would read a sequence value by value, not by
    # its Arrow stream.
    __contains__ = abc.Sequence.__contains__
    index = abc.Sequence.index
    count = abc.Sequence.count

    def __reversed__(self) -> Iterator[Any]:
        return iter(self[::-1])

    def to_json(self) -> str:
        """Return the stack as JSON, which `dataset_assets.view_from_json` reads. Functions are stored by their names.

        Raises `UsageError` for a function that another process cannot import, such as a lambda.
        """
        return document.to_json(self)

    def fingerprint(self) -> str:
        """Return a digest of what decides the samples and their order: the stored bytes, and each view on them.

        A function counts by its code, and values in memory by their content. Raises `UsageError` for what has neither,
        such as a tokenizer: state its `version` where it is given.
        """
        return document.fingerprint(self)

    def report(self, *, speed: bool = False) -> Report:
        """Return a report on the view and all views below it; with `speed`, it includes samples per second."""
        return report_of(self, speed)

    def _repr_html_(self) -> str:
        from dataset_assets.reading.views.notebook import html_of

        return html_of(self)

    # Views on top of this one

    def select(self, indices: "Sequence[int] | NDArray[Any]") -> "View":
        """Return the samples at these indices, in this order. Negative indices count from the end.

        As in numpy, an array or list of booleans selects the samples where it is true.

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
        """Return the samples whose number is `rank` modulo `shards`. Shards differ by at most one sample."""
        return _made("shard", self, shards, rank)

    def shuffle(self, seed: int, epoch: int = 0) -> "View":
        """Return the samples in a shuffled order, which depends on length, `seed` and `epoch` only (docs/orders.md)."""
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
        returns a boolean for each; or there is a comparison: `filter(("in", [3, 8]), column="label")`. Classes may be
        named: `filter(("==", "owl"), column="species")`.
        """
        return _made("filter", self, where, column, version)

    def repeat(self, times: int) -> "View":
        """Return the samples `times` times, in the same order each time."""
        return _made("repeat", self, times)

    def interleave(self, *others: "View") -> "View":
        """Return a sample of each view in turn, each sample once. Views without samples left are skipped."""
        return _made("interleave", (self, *others))

    def mix(self, *others: "View", weights: Sequence[float], seed: int, stop: "str | int", epoch: int = 0) -> "View":
        """Return samples of several views, mixed by `weights`, exact to within one sample everywhere (docs/orders.md).

        `stop="first"` ends when one view is exhausted; "all" when every view was read completely, and repeats views
        that end earlier; a number is the number of samples.
        """
        return _made("mix", (self, *others), weights, seed, stop, epoch)

    def concat(self, *others: "View") -> "View":
        """Return this view's samples, then the samples of the others."""
        return _made("concat", (self, *others))

    def zip(self, *others: "View") -> "View":
        """Return samples that combine the streams of several views of the same length."""
        return _made("zip", (self, *others))

    def only(self, *streams: str) -> "View":
        """Return the view with only these streams. Other streams are not read."""
        return _made("only", self, streams)

    def rename(self, **names: str) -> "View":
        """Return the view with streams renamed, written `new="old"`. Roles follow the new names."""
        return _made("rename", self, names)

    def tuples(self, *streams: str) -> "View":
        """Return each sample as a tuple of the values of these streams."""
        return _made("tuples", self.only(*dict.fromkeys(streams)), streams)

    def map(
        self,
        change: Callable[..., Any],
        *,
        batched: bool = False,
        random: bool = False,
        seed: int = 0,
        version: str | None = None,
        streams: Mapping[str, Any] | None = None,
    ) -> "View":
        """Return each sample changed by a function, which is called when a sample is read.

        `batched`: it is given a mapping of stream to the values of some samples, and returns one of as many. `random`:
        it is given a numpy Generator too, or a list of one for each sample, which seed, epoch, version and row decide.

        In batches, each stream has the dtype and shape of the first samples of the view, or is a list as they are; a
        sample that does not fit raises `SchemaError`. `streams` says it instead: a dtype of numpy or torch, if each
        value is one number; ("float32", (28, 28)); or list. If it names all streams, no samples are made to find out.

        A fingerprint has the function's code, and all that the function uses. Where that cannot be read, as in a
        tokenizer or a module of torch, `version` stands for it: state another one when it changes.
        """
        kind = "map_blocks" if batched else "map"
        if batched and streams is not None:
            raise UsageError("streams= is for a function that gets one sample. With batched=True its arrays decide.")
        more = {} if streams is None else {"streams": streams}
        return _made(kind, self, change, seed if random else None, version=version, **more)

    def batch(self, n: int, *, drop_last: bool = False) -> "View":
        """Return batches of `n` samples: mappings of stream to values. The caller may write to their arrays."""
        return _made("batch", self, n, drop_last)

    def cache(self) -> "View":
        """Return the view with its samples in memory. The first read loads all of them. One that has them is itself."""
        return self if self.op == "cache" else _made("cache", self)

    def at_epoch(self, epoch: int) -> "View":
        """Return the same stack with every shuffle, mix and random map moved to this epoch.

        Splits do not change: no sample moves to a different part in any epoch.
        """
        return VERBS["at_epoch"](self, epoch)

    # Encoders

    def fit_encoders(
        self, encoders: "Mapping[str, Encoder]", *, into: str | None = None, held_out: Sequence[str] = ("test",)
    ) -> "Fitted":
        """Return encoders that are fitted on this view. Keys are streams, or fields of a table as "stream.field".

        The features of one stream are concatenated and replace it; with `into`, all features are concatenated into a
        new stream of that name. Raises `UsageError` for a view of a split in `held_out`, or of a random map.

        >>> from dataset_assets.encoding import Ordinal
        >>> from dataset_assets import view_of
        >>> view = view_of(kind=["b", "a", "b"])
        >>> list(view.encode(view.fit_encoders({"kind": Ordinal()})).tuples("kind"))
        [(1,), (0,), (1,)]
        """
        return VERBS["fit_encoders"](self, encoders, into, held_out)

    def encode(self, fitted: "Fitted", *, any_version: bool = False) -> "View":
        """Return the view with streams encoded on reading. Raises `Conflict` for encoders of a different version."""
        return _made("encode", self, fitted, any_version)

    def map_targets(
        self,
        mapping: Mapping[Any, Any],
        *,
        unmapped: Literal["error", "keep", "drop"] = "error",
        stream: str | None = None,
        tag: bool = False,
    ) -> "View":
        """Return the view with its targets mapped, all at once: a new value is not mapped again.

        `unmapped` decides about a target that is not in the mapping: raise an error on reading, keep it, or drop its
        sample. If the target is also the tag, its old values are kept as the stream "tag", unless `tag`.
        """
        return VERBS["mapped_targets"](self, mapping, stream, unmapped, tag)

    def one_hot_targets(
        self, classes: Sequence[Any] | None = None, *, stream: str | None = None, tag: bool = False
    ) -> "View":
        """Return the view with its targets as one-hot vectors, for the declared classes or those in `classes`."""
        return VERBS["one_hot_targets"](self, classes, stream, tag)

    def keep_targets(self, *targets: Any, stream: str | None = None) -> "View":
        """Return the samples with one of these targets, or names of classes. Reads all targets at once."""
        return VERBS["chosen_by_target"](self, targets, stream, "in")

    def drop_targets(self, *targets: Any, stream: str | None = None) -> "View":
        """Return the samples with none of these targets, or names of classes. Reads all targets at once."""
        return VERBS["chosen_by_target"](self, targets, stream, "not in")

    # Splits

    def random_split(self, ratios: Sequence[float], *, seed: int = 0) -> "list[Subset]":
        """Return disjoint random parts that cover the view. The ratios sum to 1."""
        return _parts("random_split", self, ratios=ratios, seed=seed)

    def stratified_split(self, ratios: Sequence[float], *, by: str | None = None, seed: int = 0) -> "list[Subset]":
        """Return parts with the share of each class exact to within one sample. `by` defaults to the target."""
        return _parts("stratified_split", self, ratios=ratios, by=by or VERBS["target_of"](self), seed=seed)

    def group_split(self, ratios: Sequence[float], *, by: str, seed: int = 0) -> "list[Subset]":
        """Return parts of about these ratios. All samples with the same value of a stream are in the same part."""
        return _parts("group_split", self, ratios=ratios, by=by, seed=seed)

    def hash_split(self, ratios: Sequence[float], *, by: str, seed: int = 0) -> "list[Subset]":
        """Return parts by the hash of a stream's value: adding or removing samples moves no other sample."""
        return _parts("hash_split", self, ratios=ratios, by=by, seed=seed)

    def kfold(self, folds: int = 5, *, by: str | None = None, seed: int = 0) -> "list[Fold]":
        """Return cross-validation folds, each with training and held-out samples; with `by`, stratified by a stream."""
        return VERBS["folds"](self, folds, by, seed)

    def nested_kfold(
        self, outer: int = 5, inner: int = 2, *, outer_by: str | None = None, inner_by: str | None = None, seed: int = 0
    ) -> "list[NestedFold]":
        """Return outer folds, each with the inner folds of its training samples; stratified by the given streams."""
        return VERBS["nested_folds"](self, outer, inner, outer_by, inner_by, seed)

    # Files and conversions

    def open(self, stream: str, *, part: int = 0, encoding: str | None = None) -> BinaryIO | TextIO:
        """Open the stored file of a stream: seekable and read-only; as text with an `encoding`.

        For a stream in several files, `part` is the number of the file.
        """
        return self._source(stream).open(stream, part=part, encoding=encoding)

    def open_raw(self, argument: str, *, encoding: str | None = None) -> BinaryIO | TextIO:
        """Open the raw file that was passed to the split's function as this argument; otherwise like `open`."""
        return self._source(None).open_raw(argument, encoding=encoding)

    def to_arrow(self) -> Any:
        """Return an Arrow table, without a copy where the stored layout is Arrow's (docs/converting.md)."""
        return VERBS["to_arrow"](self)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Stream the samples in blocks to any reader of Arrow streams, such as polars, DuckDB or pandas."""
        return VERBS["arrow_reader"](self).__arrow_c_stream__(requested_schema)

    def to_torch(self, *, iterable: bool = False) -> Any:
        """Return a dataset for torch's DataLoader, map-style or iterable. Its tensors share no memory with the view."""
        return VERBS["to_torch"](self, iterable)

    def to_hf(self) -> Any:
        """Return a Hugging Face Dataset on the memory of `to_arrow`."""
        return VERBS["to_hf"](self)

    def to_sklearn(self, *, sample: str | None = None, target: str | None = None, bunch: bool = False) -> Any:
        """Return `X, y` for scikit-learn, or its Bunch: the sample as a matrix of numbers, and the target."""
        return VERBS["to_sklearn"](self, sample, target, bunch)

    def to_numpy(self) -> dict[str, Any]:
        """Return an array for each stream: of objects for text and ragged values, one for each field of a table."""
        return VERBS["to_numpy"](self)

    def to_pandas(self) -> Any:
        """Return a DataFrame with a column for each stream, and for each field of a table."""
        return VERBS["to_pandas"](self)

    def _selected(self, order: Order) -> "View":
        return _made("select", self, order)


class Subset(View):
    """Some samples of a view, in any order."""

    @property
    @abstractmethod
    def indices(self) -> Indices:
        """The numbers of these samples in the view below, as a new array."""


class Fold(NamedTuple):
    """One fold: training samples and held-out samples."""

    train: View
    held_out: View


class NestedFold(NamedTuple):
    """One outer fold, with the inner folds of its training samples."""

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
        raise UsageError(f"Cannot take or skip {n} samples. Give 0 or more; use a slice to count from the end.")
    return operator.index(n)
