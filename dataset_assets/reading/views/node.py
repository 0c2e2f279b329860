"""What every view is: samples in an order, read in blocks or one at a time. It knows no kind of view."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Iterator, Mapping, Sequence

import numpy as np

from dataset_assets.errors import UnknownStream, UsageError, nearest
from dataset_assets.formats.columns import Columns
from dataset_assets.reading.views.blocks import as_samples, some_of
from dataset_assets.reading.views.rows import Where
from dataset_assets.storage.manifest import UsedFile

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


@dataclass(frozen=True)
class Lineage:
    """Where a sample comes from: a row of a split of a version, and the raw files that the split was made of."""

    dataset: str
    split: str
    version: str | None
    index: str
    row: int
    files: tuple[UsedFile, ...]


class Node(ABC):
    """What a view shows and how it is read; `View` adds indexing and what can be put on it."""

    op: ClassVar[str] = ""
    # Whether all of the parent is read to make the view, or its first sample.
    _whole: ClassVar[bool] = False
    parents: tuple["Node", ...] = ()
    code_version: str | None = None
    """The version of the function in `arguments()`, or of the class. If it is there, it counts instead of the code."""

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

    def __iter__(self) -> Iterator[Any]:
        size = len(self)
        step = min(max(int(BLOCK_BYTES / self.row_bytes()), 1), BLOCK) if size else 1
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

    def lineage(self, i: int) -> tuple[Lineage, ...]:
        """Return where sample `i` comes from: version, split, row, raw files; an entry for each row it is made of."""
        return tuple(view.lineage_of(row) for view, row in self.traced(range(len(self))[i]))

    def traced(self, i: int) -> "list[tuple[Traceable, int]]":
        """Return the stored rows that the sample in row `0 <= i < len` is made of."""
        return [found for parent in self.parents for found in parent.traced(i)]

    def _source(self, stream: str | None) -> Any:
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
