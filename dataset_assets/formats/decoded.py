"""The base of formats that store encoded values (pictures, sounds) as they came, and decode them on reading."""

import copy
import logging
import os
from typing import TYPE_CHECKING, Any, Callable, ClassVar, Literal, Protocol, Self, Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import DecodeError, DefinitionError
from dataset_assets.formats.arrow import ArrowWriter, opened_tables, values_in
from dataset_assets.formats.columns import Column, Indices
from dataset_assets.formats.format import Misfit, Parts
from dataset_assets.formats.spans import AsBytes, AsIs, SpansColumn

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

logger = logging.getLogger(__name__)

BYTES = (bytes, bytearray, memoryview)
CHECKS = ("decode", "header", "nothing")
# Decoding fewer bytes takes less time than waking a thread.
WORTH_THREADS = 32 << 10
RUNS_PER_THREAD = 4

Check = Literal["decode", "header", "nothing"]
Decoded = NDArray[Any]


class Undecodable(Exception):
    """The reason why a value cannot be decoded."""


class Encoding(Protocol):
    """A format that stores encoded values."""

    name: ClassVar[str]

    @property
    def check(self) -> Check:
        """How values are checked when they are written."""
        ...

    def decode(self, data: Any, into: Decoded | None = None) -> Decoded:
        """Return the decoded array, in `into` if that is an array. Raises `Undecodable`."""
        ...

    def facts(self, data: Any) -> Any:
        """Return the facts in the header of the data, as a named tuple. Raises `Undecodable`."""
        ...

    def loss(self, data: Any) -> str | None:
        """Return what reading loses of a value, for a warning, or None. Raises `Undecodable` if it may not be lost."""
        ...

    def like(self, first: Any) -> Self:
        """Return the format of a stream whose first value has these facts."""
        ...

    def resolved(self, facts: set[Any]) -> dict[str, Any]:
        """Return the parameters of a stream whose values have these facts."""
        ...


def encoded_writer(kind: Encoding, parts: Parts) -> ArrowWriter:
    """Begin a stream whose values are checked and stored as they are."""
    checks = _Checks(kind)
    return ArrowWriter(parts, checks.convert, checks.describe)


class _Checks:
    """Checks the values of a stream while it is written; raises `Misfit` for the first wrong one."""

    def __init__(self, kind: Encoding) -> None:
        self.declared = self.kind = kind
        self.facts: set[Any] = set()
        self.losses: set[str] = set()

    def convert(self, values: Any, schema: Any) -> Any:
        import pyarrow

        table = pyarrow.table({"value": values_in(values, pyarrow.large_binary(), BYTES)})
        if self.kind.check != "nothing" and table.num_rows:
            spans = SpansColumn(table.column("value"), AsIs()).slice(0, table.num_rows)
            if not self.facts:
                self.kind = self.kind.like(self._facts(0, spans[0]))
            self.facts.update(in_threads(lambda k: self._facts(k, spans[k]), len(spans), sum(map(len, spans))))
        return table

    def describe(self, schema: Any) -> dict[str, Any]:
        for loss in sorted(self.losses):
            logger.warning(loss)
        return self.declared.resolved(self.facts)

    def _facts(self, at: int, data: Any) -> Any:
        try:
            facts = self.kind.facts(data)
            if loss := self.kind.loss(data):
                self.losses.add(loss)
            if self.kind.check == "decode":
                self.kind.decode(data)
            return facts
        except Undecodable as error:
            raise Misfit(
                at,
                f"{error}. Drop it in the split function, or store it unchecked: "
                f"{type(self.kind).__name__}(check='nothing').",
            ) from error.__cause__


def encoded_column(
    kind: Encoding, opened: Sequence[Any], shape: tuple[int, ...] | None = None, dtype: Any = np.uint8
) -> "DecodedColumn":
    """Open the files of a stream of encoded values; `shape` is the common shape of all values, if they have one."""
    import pyarrow

    table, check = opened_tables(opened, pyarrow.schema([("value", pyarrow.large_binary())]))
    return DecodedColumn(kind, table.column("value"), shape, check, dtype)


class DecodedColumn:
    """A stream of encoded values that are decoded on access; threads decode the values of a block.

    `encoded` is the column of the encoded bytes. `place` names the stream in errors.
    """

    def __init__(
        self,
        kind: Encoding,
        column: Any,
        shape: tuple[int, ...] | None = None,
        check: Callable[[int], object] | None = None,
        dtype: Any = np.uint8,
    ) -> None:
        self.kind, self.shape, self.dtype = kind, shape, dtype
        self.spans = SpansColumn(column, AsIs(), check=check)
        self.encoded = SpansColumn(column, AsBytes(), check=check)
        self.place = ""
        self.limit: int | None = 0
        self.skipped: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, i: int) -> Any:
        return self._one(i, self.spans[i], None)

    def take(self, indices: Indices, out: Any = None) -> Any:
        return self._block(indices.tolist(), self.spans.take(indices), out)

    def slice(self, lo: int, hi: int) -> Any:
        return self._block(range(lo, max(lo, hi)), self.spans.slice(lo, hi), None)

    def facts(self, i: int) -> Any:
        """Return the facts in the header of a value, without decoding it."""
        try:
            return self.kind.facts(self.spans[i])
        except Undecodable as error:
            raise self._error(i, str(error)) from error.__cause__

    def lenient(self, limit: int | None) -> Self:
        """Return a column with None for each value that cannot be decoded, listed in `skipped`.

        Raises `DecodeError` on reading when there are more than `limit`.
        """
        lenient = copy.copy(self)
        lenient.limit, lenient.skipped = limit, {}
        return lenient

    def _block(self, rows: Sequence[int], spans: Sequence[Any], out: Any) -> Any:
        if out is None and self.shape is not None:
            out = self._empty(len(rows))
        values = in_threads(
            lambda k: self._one(rows[k], spans[k], None if out is None else out[k]), len(rows), sum(map(len, spans))
        )
        if any(value is None for value in values):
            return values
        if out is not None:
            return out
        return np.stack(values) if values and len({value.shape for value in values}) == 1 else values

    def _empty(self, rows: int) -> Decoded:
        assert self.shape is not None
        try:
            return np.empty((rows, *self.shape), self.dtype)
        except (ValueError, MemoryError) as error:
            raise DecodeError(
                f"{self.place}{rows} values of shape {self.shape} do not fit in memory. Read fewer at once."
            ) from error

    def _one(self, row: int, data: Any, into: Any) -> Any:
        try:
            return self.kind.decode(data, into)
        except Undecodable as error:
            if self.limit == 0:
                raise self._error(row, str(error)) from error.__cause__
            # Setting an item is atomic, and two threads may set the same one.
            self.skipped[row] = str(error)
            if self.limit is not None and (count := len(self.skipped)) > self.limit:
                # This row is not skipped. The rows before it stay skipped, even if they are read again.
                self.skipped.pop(row, None)
                raise DecodeError(
                    f"{self.place}{count} values cannot be decoded, more than the limit of {self.limit}; the last is "
                    f"row {row}: {error}. Repair the dataset, or raise the limit."
                ) from error.__cause__
            return None

    def _error(self, row: int, why: str) -> DecodeError:
        return DecodeError(
            f"{self.place}row {row}: {why}. Verify the dataset, or skip such rows: "
            "dataset_assets.reading.views.undecoded.lenient(view)."
        )


def stored_values(column: Column) -> Column:
    """Return the column of the stored values: for a column that decodes, that of the encoded bytes."""
    stored: Column = getattr(column, "encoded", column)
    return stored


def checked_check(check: Any) -> None:
    """Raise `DefinitionError` for an unknown check."""
    if check not in CHECKS:
        raise DefinitionError(f"check={check!r} is not known. Write one of: {', '.join(CHECKS)}.")


def checked_most(field: str, value: Any) -> None:
    """Raise `DefinitionError` for a limit that is not a positive whole number."""
    if type(value) is not int or value < 1:
        raise DefinitionError(f"{field}={value!r} is not a whole number of at least 1.")


def in_threads(job: Callable[[int], Any], count: int, size: int) -> list[Any]:
    """Return the results of the job for 0 to count - 1; uses threads if `size` bytes are enough to gain from them."""
    workers = cores()
    if count < 2 or workers < 2 or size < WORTH_THREADS:
        return [job(k) for k in range(count)]
    run = -(-count // (workers * RUNS_PER_THREAD))

    def several(first: int) -> list[Any]:
        return [job(k) for k in range(first, min(first + run, count))]

    return [result for results in _pool(workers).map(several, range(0, count, run)) for result in results]


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# One pool for each process: a forked child inherits the parent's pool, but not its threads.
_POOLS: "dict[int, ThreadPoolExecutor]" = {}


def _pool(workers: int) -> "ThreadPoolExecutor":
    # Other formats start faster without it.
    # Other formats start faster without it.
    # Other formats start faster without it.
    # Other formats start faster without it.
    from concurrent.futures import ThreadPoolExecutor

    pool = _POOLS.get(os.getpid())
    return pool or _POOLS.setdefault(os.getpid(), ThreadPoolExecutor(workers, "dataset_assets-decoding"))
