"""What passes between split functions, formats and views: blocks of equally long columns, and single samples."""

import sys
from typing import Any, Iterator, Mapping, Protocol, Sequence, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import SchemaError

Indices = NDArray[np.intp]
Sample = Mapping[str, Any]


@runtime_checkable
class Column(Protocol):
    """A stored stream, opened: random access to values, and to many at once."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> Any:
        """Return one value; `0 <= i < len`."""
        ...

    def take(self, indices: Indices, out: Any = None) -> Any:
        """Return the values at these rows as one block, in `out` where the format can fill one."""
        ...

    def slice(self, lo: int, hi: int) -> Any:
        """Return the values of rows lo to hi as one block, without a copy where the format can."""
        ...


class Columns(Mapping[str, Any]):
    """A block of samples: one array, list or table per stream, all of one length.

    >>> block = Columns(image=np.zeros((3, 2, 2)), label=[0, 1, 0])
    >>> len(block), block.samples
    (2, 3)
    """

    def __init__(self, columns: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        self._columns = {**(columns or {}), **more}
        lengths = {name: len(column) for name, column in self._columns.items()}
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{name} has {count}" for name, count in lengths.items())
            raise SchemaError(f"The columns of a block have different lengths: {found}. Yield as many of each.")
        self.samples = next(iter(lengths.values()), 0)

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"Columns({', '.join(self._columns)}; {self.samples} samples)"


def as_block(yielded: Any) -> Columns | None:
    """Return a block as `Columns`; None for a single sample, which is any other mapping.

    A block is `Columns`, a pandas DataFrame, or a pyarrow RecordBatch or Table. Anything else is a `SchemaError`.
    """
    if isinstance(yielded, Columns):
        return yielded
    # A block of a library that nobody imported cannot have been yielded; so neither is imported to find out.
    if (pandas := sys.modules.get("pandas")) and isinstance(yielded, pandas.DataFrame):
        return Columns({str(name): yielded[name] for name in yielded.columns})
    if (arrow := sys.modules.get("pyarrow")) and isinstance(yielded, (arrow.RecordBatch, arrow.Table)):
        return Columns({name: yielded.column(name) for name in yielded.schema.names})
    if isinstance(yielded, Mapping):
        return None
    raise SchemaError(
        f"A split function yielded a {type(yielded).__name__}. Yield a mapping of stream to value for one sample, or "
        "Columns, a DataFrame or a RecordBatch for many."
    )


class Chained:
    """Several columns read as one; the rows of the second follow those of the first."""

    def __init__(self, parts: Sequence[Column]) -> None:
        self.parts = list(parts)
        self.starts = np.cumsum([0, *(len(part) for part in parts)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, i: int) -> Any:
        part = int(np.searchsorted(self.starts, i, "right")) - 1
        return self.parts[part][i - int(self.starts[part])]

    def take(self, indices: Indices, out: Any = None) -> Any:
        """Gather from each part what lies in it, back in the order that was asked for."""
        where = np.searchsorted(self.starts, indices, "right") - 1
        order = np.argsort(where, kind="stable")
        pieces = [
            self.parts[part].take(indices[rows] - self.starts[part])
            for part in range(len(self.parts))
            if len(rows := order[where[order] == part])
        ]
        back = np.empty(len(order), np.intp)
        back[order] = np.arange(len(order))
        return pick(join(pieces) if pieces else self.slice(0, 0), back, out)

    def slice(self, lo: int, hi: int) -> Any:
        pieces = [
            part.slice(max(lo - start, 0), min(hi - start, len(part)))
            for part, start in zip(self.parts, self.starts[:-1].tolist())
            if start < hi and start + len(part) > lo
        ]
        return join(pieces) if pieces else self.parts[0].slice(0, 0)


def chained(parts: Sequence[Column]) -> Column:
    """Return the columns as one; a single one as it is."""
    return parts[0] if len(parts) == 1 else Chained(parts)


def join(blocks: Sequence[Any]) -> Any:
    """Return blocks of values as one block, of the kind of the first.

    >>> join([np.array([1, 2]), np.array([3])])
    array([1, 2, 3])
    >>> join([["a"], ["b", "c"]])
    ['a', 'b', 'c']
    """
    first = blocks[0]
    if len(blocks) == 1:
        return first
    if isinstance(first, np.ndarray):
        return np.concatenate(blocks)
    if isinstance(first, list):
        return [value for block in blocks for value in block]
    import pyarrow

    return pyarrow.concat_tables(blocks)


def pick(block: Any, rows: Indices, out: Any = None) -> Any:
    """Return some rows of a block, in the order of `rows`, as a block of the same kind.

    >>> pick(["a", "b", "c"], np.array([2, 0]))
    ['c', 'a']
    """
    if isinstance(block, np.ndarray):
        # "clip" because "raise" gathers into a second buffer first; the rows were checked by whoever asks.
        return np.take(block, rows, 0, out=out, mode="clip") if len(block) else block[:0]
    if isinstance(block, list):
        return [block[i] for i in rows.tolist()]
    return block.take(rows)
