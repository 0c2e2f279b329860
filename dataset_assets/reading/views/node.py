"""The base of all views: samples that are read in blocks or one at a time. It knows no kind of view."""

from abc import ABC, abstractmethod
from copy import copy
from dataclasses import dataclass, field
from functools import wraps
from itertools import groupby
from typing import Any, Callable, ClassVar, Iterator, Mapping, Self, Sequence, TypeVar, cast

import numpy as np

from dataset_assets.errors import UnknownStream, UsageError, nearest
from dataset_assets.formats.columns import Columns
from dataset_assets.reading.views.blocks import as_samples, some_of
from dataset_assets.reading.views.rows import Where
from dataset_assets.storage.manifest import UsedFile

# Iterating reads blocks of at most this size: large enough that the cost of a block does not matter, small enough that
# a caller who keeps one sample does not keep much more in memory.
BLOCK = 1024
BLOCK_BYTES = 256 << 10
KNOWN = "_known"
"""The attribute of a view that holds what it found out about the views below."""

Method = TypeVar("Method", bound=Callable[..., Any])


def once(method: Method) -> Method:
    """Keep what a method of a view returns, by its arguments.

    For views with several parents, which may share theirs: in a stack of `n` of them, each would ask the one below
    twice, and so the lowest 2 ** n times.
    """

    @wraps(method)
    def known(view: Any, *arguments: Any) -> Any:
        found = view.__dict__.setdefault(KNOWN, {})
        key = (method.__name__, *(tuple(each) if isinstance(each, list) else each for each in arguments))
        if key not in found:
            found[key] = method(view, *arguments)
        return dict(found[key]) if type(found[key]) is dict else found[key]

    return cast(Method, known)


@dataclass(frozen=True)
class Origin:
    """The stored data of a view: dataset, split, digests of index and version, and the roles of its streams."""

    dataset: str
    split: str
    index: str
    version: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Lineage:
    """The origin of a sample: a row of a split of a version, and the raw files from which the split was made."""

    dataset: str
    split: str
    version: str | None
    index: str
    row: int
    files: tuple[UsedFile, ...]


class Node(ABC):
    """The content of a view, and how to read it. `View` adds indexing and the methods that stack views."""

    op: ClassVar[str] = ""
    # Whether all of the parent is read to make the view, or its first sample.
    _whole: ClassVar[bool] = False
    _block_bytes: ClassVar[int] = BLOCK_BYTES
    parents: tuple["Node", ...] = ()
    code_version: str | None = None
    """The version of the function in `arguments()`, or of the class. If it is there, it counts instead of the code."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def rows(self, where: Where) -> Columns:
        """Return the values of all streams at some rows, as blocks that may share memory with the stored bytes.

        `where` is a slice with 0 <= start <= stop <= len and no step, or an array of rows from 0 to len - 1.
        """

    @property
    @abstractmethod
    def streams(self) -> tuple[str, ...]:
        """The names of the streams."""

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        """Return the values of some streams at some rows. Other streams are not read if possible."""
        columns = self.rows(where)
        return Columns({name: columns[name] if len(self) else columns.get(name, []) for name in streams})

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
        """Yield the samples in some rows. A mapped function is called only when its sample is reached."""
        return iter(as_samples(self.rows(where)))

    @property
    @once
    def computed(self) -> bool:
        """True if samples are produced by a user function, one at a time."""
        return any(parent.computed for parent in self.parents)

    @property
    def declared(self) -> Mapping[Any, Any]:
        """What `map(streams=...)` says of the streams below a view that leaves the values as they are.

        By stream, or by number for samples that are tuples.
        """
        return {}

    @once
    def row_bytes(self, streams: Sequence[str] | None = None) -> float:
        """Return the approximate number of bytes that are read for a sample, or for some streams of it."""
        return max((parent.row_bytes(streams) for parent in self.parents), default=1.0)

    def __iter__(self) -> Iterator[Any]:
        size = len(self)
        step = min(max(int(self._block_bytes / self.row_bytes()), 1), BLOCK) if size else 1
        for lo in range(0, size, step):
            yield from self.each(slice(lo, min(lo + step, size)))

    # What it is

    def arguments(self) -> dict[str, Any]:
        """Return what `build` makes this view of, beside its parents."""
        return {}

    def _kinds(self) -> tuple[type, ...]:
        """Return the classes beside its own whose code makes the samples, such as those of encoders."""
        return ()

    def _contents(self) -> dict[str, Any]:
        """Return what tells the view from others in a fingerprint, beside its arguments: what values it holds."""
        return {}

    @classmethod
    def build(cls, arguments: Mapping[str, Any], parents: Sequence[Any]) -> Any:
        """Return a view of this kind."""
        return cls(*parents, **arguments)

    @property
    def origin(self) -> Origin:
        """The stored data of the view; with several parents, that of the first."""
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
        """The digest of the opened version, or None if the split was opened by its index."""
        return self.origin.version

    @property
    @once
    def roles(self) -> Mapping[str, str]:
        """The stream of each role: sample, target, tag. The first parent that has a role decides."""
        return {role: stream for parent in reversed(self.parents) for role, stream in parent.roles.items()}

    @property
    @once
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the classes of each stream whose values are class numbers."""
        return {stream: names for parent in reversed(self.parents) for stream, names in parent.classes.items()}

    @property
    @once
    def licenses(self) -> Mapping[str, tuple[str | None, ...]]:
        """The licences of each dataset below the view: one, unless its versions differ. None is one not stated."""
        found: dict[str, tuple[str | None, ...]] = {}
        for parent in self.parents:
            for dataset, stated in parent.licenses.items():
                found[dataset] = tuple(dict.fromkeys((*found.get(dataset, ()), *stated)))
        return found

    def lineage(self, i: int) -> tuple[Lineage, ...]:
        """Return the origin of sample `i`: version, split, row and raw files, for each stored row it is made from."""
        return tuple(view.lineage_of(row) for view, row in self.traced(range(len(self))[i]))

    def traced(self, i: int) -> "list[tuple[Traceable, int]]":
        """Return the stored rows from which the sample in row `0 <= i < len` is made; one of several parents once."""
        if len(self.parents) == 1:
            return self.parents[0].traced(i)
        known = self.__dict__.setdefault(KNOWN, {})
        # Views that share this one ask for the same row, one after the other.
        if (last := known.get("traced")) is None or last[0] != i:
            rows = [stored for parent in self.parents for stored in parent.traced(i)]
            last = known["traced"] = i, list({(id(view), row): (view, row) for view, row in rows}.values())
        return list(last[1])

    def _below(self, streams: Sequence[str]) -> "tuple[Any, Sequence[str]]":
        """Return the view from which streams are taken as they are, and their names there."""
        return self, streams

    def _array_forms(self, streams: Sequence[str]) -> Mapping[str, Any]:
        """Return the dtype and shape of each stream, if its values are arrays of one form.

        None for others: a few of them may be an array, and many a list.
        """
        return dict.fromkeys(streams)

    def _copied(self) -> Self:
        """Return a copy that is put on other views."""
        again = copy(self)
        again.__dict__.pop(KNOWN, None)
        return again

    def _source(self, stream: str | None) -> Any:
        """Return the parent that has the files of a stream."""
        first = self.parents[0]
        if any(parent.origin != first.origin for parent in self.parents):
            raise UsageError(
                f"This {type(self).__name__} combines several splits, each with its own files. Open the files of one "
                "parent: view.parents[0].open(...)."
            )
        return first

    def _stream(self, name: str) -> str:
        # The streams of an empty mapped view are unknown, so any name is accepted.
        if name not in self.streams and (self.streams or len(self)):
            raise UnknownStream(f"{self.dataset} {self.split} has no stream {name!r}.{nearest(name, self.streams)}")
        return name

    def _line(self) -> str:
        return f"{type(self).__name__}({len(self)})"

    def __repr__(self) -> str:
        """Draw the stack, this view first. A view that is drawn already is drawn without the views below it."""
        return "\n".join(self._drawn())

    def _drawn(self) -> Iterator[str]:
        drawn: set[int] = set()
        waiting: list[tuple[int, Node, int]] = [(0, self, 1)]
        while waiting:
            depth, view, times = waiting.pop()
            above = id(view) in drawn and bool(view.parents)
            drawn.add(id(view))
            yield "  " * depth + view._line() + (f", {times} times" if times > 1 else "") + ", as above" * above
            parents = [list(same) for _, same in groupby(() if above else view.parents, key=id)]
            waiting += [(depth + 1, same[0], len(same)) for same in reversed(parents)]


class Traceable(Node):
    """A view whose samples are rows of a split."""

    @abstractmethod
    def lineage_of(self, row: int) -> Lineage:
        """Return where a row comes from."""


def checked_version(version: str | None) -> str | None:
    """Return the version that is stated of a function. Raises `UsageError` for one that is no text, or empty."""
    if version is not None and (not isinstance(version, str) or not version):
        raise UsageError(f'The version of a function is {version!r}. State it as text, such as version="1".')
    return version
