"""Blocks of columns of equal length, and columns: what split functions, formats and views exchange."""

import sys
from bisect import bisect_right
from typing import Any, Callable, ItemsView, Iterator, Mapping, Protocol, Sequence, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import SchemaError

Indices = NDArray[np.intp]
Sample = Mapping[str, Any]


@runtime_checkable
class Column(Protocol):
    """An opened stream: random access to single values and to blocks of them."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> Any:
        """Return one value; `0 <= i < len`. Raises IndexError at `len`."""
        ...

    def take(self, indices: Indices, out: Any = None) -> Any:
        """Return the values at these rows as one block, in `out` if the format supports that. Raises IndexError."""
        ...

    def slice(self, lo: int, hi: int) -> Any:
        """Return the values of rows lo to hi as one block, without a copy if the format supports that."""
        ...


class Columns(Mapping[str, Any]):
    """A block of samples: an array, list or table for each stream, all of the same length.

    >>> block = Columns(image=np.zeros((3, 2, 2)), label=[0, 1, 0])
    >>> len(block), block.samples
    (2, 3)
    """

    def __init__(self, columns: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        self._columns = {**(columns or {}), **more}
        lengths = {name: _length(name, column) for name, column in self._columns.items()}
        if len(set(lengths.values())) > 1:
            counts = ", ".join(f"{name} has {count}" for name, count in lengths.items())
            raise SchemaError(
                f"The columns of a block have different lengths: {counts}. Yield the same number of values for each."
            )
        self.samples = next(iter(lengths.values()), 0)

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def items(self) -> ItemsView[str, Any]:
        """Return the names and the columns."""
        return self._columns.items()

    def __repr__(self) -> str:
        return f"Columns({', '.join(self._columns)}; {self.samples} samples)"


class JsonBlock(list[Any]):
    """A block of values of a `Json` stream. Arrow gets them as JSON texts, since their keys vary."""

    def __getitem__(self, i: Any) -> Any:
        found = super().__getitem__(i)
        return JsonBlock(found) if isinstance(i, slice) else found


def as_block(yielded: Any) -> Columns | None:
    """Return a block as `Columns`, or None for a single sample, which is any other mapping.

    A block is `Columns`, a pandas DataFrame, or a pyarrow RecordBatch or Table. Anything else raises `SchemaError`.
    """
    if isinstance(yielded, Columns):
        return yielded
    # Without pandas or pyarrow imported, the value cannot be one of theirs; so neither has to be imported here.
    if (pandas := sys.modules.get("pandas")) and isinstance(yielded, pandas.DataFrame):
        return _columns([str(name) for name in yielded.columns], lambda k: yielded.iloc[:, k])
    if (arrow := sys.modules.get("pyarrow")) and isinstance(yielded, (arrow.RecordBatch, arrow.Table)):
        return _columns(yielded.schema.names, yielded.column)
    if isinstance(yielded, Mapping):
        return None
    raise SchemaError(
        f"A split function yielded a {type(yielded).__name__}. Yield a mapping of stream to value for one sample, or "
        "Columns, a DataFrame or a RecordBatch for many."
    )


class Chained:
    """Several columns, one after the other, as one column."""

    def __init__(self, parts: Sequence[Column]) -> None:
        self.parts = list(parts)
        self.starts = np.cumsum([0, *(len(part) for part in parts)])
        self._starts: list[int] = self.starts.tolist()

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, i: int) -> Any:
        part = bisect_right(self._starts, i) - 1
        if not 0 <= part < len(self.parts):
            raise IndexError(f"value {i} of a stream of {len(self)}")
        return self.parts[part][i - self._starts[part]]

    @property
    def form(self) -> Any:
        """The dtype and the shape of each value, if they are arrays of one form in all parts."""
        forms = {getattr(part, "form", None) for part in self.parts}
        return forms.pop() if len(forms) == 1 else None

    def take(self, indices: Indices, out: Any = None) -> Any:
        """Gather the rows from each part, and return them in the order of `indices`."""
        check_rows(indices, len(self))
        if len(self.parts) == 1:
            return self.parts[0].take(indices, out)
        groups, order = self.grouped(indices)
        if len(groups) == 1 and order is None:
            return self.parts[groups[0][0]].take(groups[0][1], out)
        pieces = [self.parts[part].take(rows) for part, rows in groups]
        return put_back(pieces, order, out) if pieces else self.slice(0, 0)

    def grouped(self, indices: Indices) -> "Groups":
        """Return rows by part, as `grouped` does."""
        return grouped(self.starts, indices)

    def slice(self, lo: int, hi: int) -> Any:
        pieces = [self.parts[part].slice(*rows) for part, rows in spans(self._starts, lo, hi)]
        return join(pieces) if pieces else self.parts[0].slice(0, 0)


def chained(parts: Sequence[Column]) -> Column:
    """Return several columns as one, and a single column as it is."""
    return parts[0] if len(parts) == 1 else Chained(parts)


def spans(starts: Sequence[int], lo: int, hi: int) -> list[tuple[int, tuple[int, int]]]:
    """Return the parts, with rows in them, between `lo` and `hi`; part k is from starts[k] to starts[k + 1].

    >>> spans([0, 3, 3, 5], 2, 5)
    [(0, (2, 3)), (2, (0, 2))]
    """
    parts = []
    part = bisect_right(starts, lo) - 1
    while part < len(starts) - 1 and starts[part] < hi:
        rows = max(lo - starts[part], 0), min(hi, starts[part + 1]) - starts[part]
        if rows[0] < rows[1]:
            parts.append((part, rows))
        part += 1
    return parts


Groups = tuple[list[tuple[int, Indices]], Indices | None]
"""The rows of each part, and the place of each row in the order that was asked for."""


def grouped(starts: NDArray[np.intp], rows: Indices) -> Groups:
    """Return the rows grouped by part, and the place of each in `rows`.

    The places are None if the rows are already in the order of the parts.
    """
    if not len(rows):
        return [], None
    part = np.searchsorted(starts, rows, "right") - 1
    order = None
    if (part[1:] < part[:-1]).any():
        order = np.argsort(part, kind="stable")
        part, rows = part[order], rows[order]
    cuts = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(rows)]
    own = rows - np.asarray(starts)[part]
    groups = [(k, own[lo:hi]) for k, lo, hi in zip(part[cuts[:-1]].tolist(), cuts, cuts[1:])]
    return groups, order


SMALL_PIECE = 1024
"""A piece of fewer bytes is copied in less time than it takes to put it back by itself."""


def put_back(pieces: Sequence[Any], order: Indices | None, out: Any = None) -> Any:
    """Return the pieces as one block, with each value at its place in `order`; fills `out` if it is an array."""
    if order is None and out is None:
        return join(pieces)
    if not _of_one_kind(pieces):
        joined = join(pieces)
        return joined if order is None else pick(joined, _inverse(order))
    count = sum(map(len, pieces))
    dtype = np.result_type(*{piece.dtype for piece in pieces})
    result = np.empty((count, *pieces[0].shape[1:]), dtype) if out is None else out
    if order is not None and result.nbytes < SMALL_PIECE * len(pieces):
        # To put back each piece takes longer than to copy all of them once more.
        result[order] = np.concatenate(pieces)
        return result
    lo = 0
    for piece in pieces:
        hi = lo + len(piece)
        result[slice(lo, hi) if order is None else order[lo:hi]] = piece
        lo = hi
    return result


def join(blocks: Sequence[Any]) -> Any:
    """Return blocks of values as one block: of their common kind if they have one, otherwise a list of values.

    >>> join([np.array([1, 2]), np.array([3])])
    array([1, 2, 3])
    >>> join([["a"], ["b", "c"]])
    ['a', 'b', 'c']
    >>> join([np.array([1, 2]), np.array([0.5])])
    [1, 2, 0.5]
    """
    first = blocks[0]
    if len(blocks) == 1:
        return first
    if _of_one_kind(blocks):
        return np.concatenate(blocks)
    if all(hasattr(block, "schema") for block in blocks) and all(block.schema == first.schema for block in blocks):
        import pyarrow

        return pyarrow.concat_tables(blocks)
    joined = [value for block in blocks for value in values_of(block)]
    return JsonBlock(joined) if all(isinstance(block, JsonBlock) for block in blocks) else joined


def pick(block: Any, rows: Indices, out: Any = None) -> Any:
    """Return some rows of a block, in the order of `rows`, as a block of the same kind. Raises IndexError.

    >>> pick(["a", "b", "c"], np.array([2, 0]))
    ['c', 'a']
    """
    if isinstance(block, np.ndarray):
        if out is None:
            return block.take(rows, 0)
        # "clip", because with "raise" numpy gathers into a second buffer first.
        check_rows(rows, len(block))
        return np.take(block, rows, 0, out=out, mode="clip") if len(block) else out
    if isinstance(block, list):
        return type(block)([block[i] for i in rows.tolist()])
    return block.take(rows)


def values_of(block: Any) -> list[Any]:
    """Return a block as a list of values: Python numbers, arrays for rows of arrays, mappings for rows of tables."""
    if isinstance(block, np.ndarray):
        return block.tolist() if block.ndim == 1 and block.dtype.kind in "biuf" else list(block)
    if isinstance(block, list):
        return block
    try:
        values: list[Any] = block.to_pylist()
    except (ValueError, ArithmeticError, LookupError) as error:
        # For example a time outside Python's range, or in an unknown time zone.
        raise SchemaError(
            f"A block has values that Python cannot represent ({error}). Read it as an Arrow table."
        ) from error
    return values


def check_rows(rows: Indices, size: int) -> None:
    """Raise IndexError for a row that is negative, or not less than `size`."""
    # As unsigned, a negative number is larger than any size.
    if len(rows) and int(rows.astype(np.intp, copy=False).view(np.uintp).max()) >= size:
        wrong = rows[(rows < 0) | (rows >= size)]
        raise IndexError(f"value {wrong[0]} of a stream of {size}")


def _inverse(order: Indices) -> Indices:
    back = np.empty(len(order), np.intp)
    back[order] = np.arange(len(order))
    return back


def _of_one_kind(blocks: Sequence[Any]) -> bool:
    """Return whether numpy joins these arrays without changing a value; joining 1 and 0.5 would give 1.0 and 0.5."""
    if not all(isinstance(block, np.ndarray) for block in blocks):
        return False
    first = blocks[0]
    for block in blocks[1:]:
        same = block.dtype == first.dtype or (block.dtype.kind == first.dtype.kind and first.dtype.kind in "iufcSU")
        if not same or block.shape[1:] != first.shape[1:]:
            return False
    return True


def _length(name: str, column: Any) -> int:
    try:
        if isinstance(column, (np.ndarray, list)):  # nearly all; to ask whether it is a Mapping takes ten times as long
            return len(column)
        if not isinstance(column, (str, bytes, Mapping, set, frozenset)):
            return len(column)
    except TypeError:
        pass
    raise SchemaError(
        f"The column {name} of a block is a {type(column).__name__}. Give an array, a list or a table with a value for "
        "each sample; a single sample is a plain dict."
    )


def _columns(names: Sequence[str], column: Callable[[int], Any]) -> Columns:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SchemaError(f"A block has several columns named {', '.join(twice)}. Rename or drop all but one.")
    return Columns({name: column(k) for k, name in enumerate(names)})
