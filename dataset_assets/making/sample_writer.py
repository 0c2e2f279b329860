"""Passes what a split's function yields, samples or blocks, to the writers of its streams, in blocks."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dataset_assets.core.bad_sample import BadSample
from dataset_assets.errors import DatasetAssetsError, DecodeError, SchemaError, SplitFailed, at, nearest
from dataset_assets.formats import Array, Format, Member, Part, Writer
from dataset_assets.formats.columns import Columns, Sample, as_block
from dataset_assets.making.excluding import LEAVES_OUT_NOTHING, Excluder, picked
from dataset_assets.making.skipping import Skipper

HELD_SAMPLES = 1024
HELD_BYTES = 4 << 20

_SMALL = 32
_PLAIN = frozenset((int, float, bool, type(None)))
_FIXED = (str, bytes, int, float, complex, np.generic, type(None))


class SampleWriter:
    """Collects single samples into blocks, and writes these and yielded blocks in order.

    Each sample is copied, because its function may reuse buffers, lists and mappings for the next one. A block ends
    where a value has another dtype or shape than the one before. Otherwise the result would depend on where blocks end:
    an integer among floats would sometimes become a float and sometimes be an error.
    """

    def __init__(
        self,
        streams: Mapping[str, Format],
        writers: Mapping[str, Writer],
        function: str,
        excluder: Excluder = LEAVES_OUT_NOTHING,
        skipper: Skipper | None = None,
    ) -> None:
        self.writers, self.function, self.excluder, self.skipper = writers, function, excluder, skipper
        self.arrays = [(k, kind) for k, name in enumerate(writers) if isinstance(kind := streams[name], Array)]
        self.samples = self.yielded = 0
        self.held: dict[str, list[Any]] = {name: [] for name in writers}
        self.numbers: list[int] = []
        self.held_samples = self.held_bytes = 0
        self.shapes: list[Any] = []

    def add(self, yielded: Any) -> None:
        """Add a sample or a block."""
        block = None
        try:
            self._see_made(yielded)
            block = None if type(yielded) is dict else as_block(yielded)
            found = yielded if block is None else block
            if found.keys() != self.writers.keys():
                raise self._other_streams(found)
        except (SchemaError, DecodeError, SplitFailed) as error:
            if self.skipper and block is None and isinstance(yielded, (BadSample, Mapping)):
                self.skipper.skip(self.yielded, *_why(yielded, error))
                self.yielded += 1
                return
            with at(f"the function {self.function}, sample {self.samples}"):
                raise
        if block is None:
            if not self.excluder.leaves_out(yielded):
                self._hold(yielded)
            self.yielded += 1
        else:
            self.flush()
            numbers = [*range(self.yielded, self.yielded + block.samples)] if self.skipper else []
            self.yielded += block.samples
            self._add_block(block, numbers)

    def close(self) -> dict[str, tuple[list[Part], dict[str, Any]]]:
        """Finish all streams."""
        self.flush()
        closed = {}
        for name, writer in self.writers.items():
            with at(f"stream {name}"):
                closed[name] = writer.close()
        return closed

    def _add_block(self, block: Columns, numbers: list[int]) -> None:
        rows = self.excluder.rows_left(block)
        left = block if rows is None else Columns({name: picked(block[name], rows) for name in block})
        self.samples += left.samples
        self._append(left, numbers if rows is None or not numbers else [numbers[row] for row in rows.tolist()])

    def _see_made(self, yielded: Any) -> None:
        if isinstance(yielded, BadSample):
            if yielded.error is not None:
                raise yielded.error
            raise SchemaError(
                f"It could not be made: {yielded.why}. Correct it, or leave such samples out: Dataset(on_error='skip')."
            )

    def _hold(self, sample: Sample) -> None:
        owned = [_owned(sample[name]) for name in self.held]
        if self.arrays:
            shapes = [_shape(owned[k][0], kind) for k, kind in self.arrays]
            if shapes != self.shapes:
                self.flush()
                self.shapes = shapes
        held_bytes = self.held_bytes
        for held, (value, size) in zip(self.held.values(), owned):
            held.append(value)
            held_bytes += size
        self.held_bytes = held_bytes
        self.samples += 1
        self.held_samples += 1
        if self.skipper:
            self.numbers.append(self.yielded)
        if self.held_samples >= HELD_SAMPLES or held_bytes >= HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Pass all single samples on; the files do not depend on it."""
        if self.held_samples:
            held, self.held = self.held, {name: [] for name in self.writers}
            self.held_samples = self.held_bytes = 0
            numbers, self.numbers = self.numbers, []
            self._append(Columns(held), numbers)

    def _append(self, block: Columns, numbers: list[int]) -> None:
        if self.skipper and block.samples:
            good = self.skipper.good(block, numbers)
            self.samples -= block.samples - (good.samples if good else 0)
            if good is None:
                return
            block = good
        for name, writer in self.writers.items():
            with at(f"stream {name}"):
                writer.append(block[name])

    def _other_streams(self, found: Mapping[str, Any]) -> SchemaError:
        missing, extra = self.writers.keys() - found.keys(), found.keys() - self.writers.keys()
        hint = nearest(min(map(str, extra)), self.writers) if extra else ""
        return SchemaError(
            f"it has the streams {_listed(found)}; missing: {_listed(sorted(missing))}, unknown: "
            f"{_listed(sorted(map(str, extra)))}.{hint} Yield a value for each declared stream."
        )


def _why(yielded: Any, error: DatasetAssetsError) -> tuple[object, str]:
    """Return why a sample is bad, and what it is from."""
    if isinstance(yielded, BadSample):
        return yielded.why, str(yielded.source)
    return error.args[0] if error.args else error, ""


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(map(str, names)) or "none"


def _owned(value: Any) -> tuple[Any, int]:
    """Return a copy of a value that the caller may reuse, and about how many bytes it takes."""
    kind = type(value)
    if kind in _PLAIN:
        return value, _SMALL
    if kind is str or kind is bytes:
        return value, len(value)
    if kind is dict:
        return _owned_mapping(value)
    if isinstance(value, _FIXED):
        return value, len(value) if isinstance(value, (str, bytes)) else _SMALL
    if isinstance(value, np.ndarray):
        return value.copy(), value.nbytes
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value), len(value)
    if isinstance(value, Mapping):
        return _owned_mapping(value)
    if isinstance(value, (list, tuple)):
        return _owned_all(value)
    return value, len(value.data) if isinstance(value, Member) else getattr(value, "nbytes", _SMALL)


def _owned_mapping(value: Mapping[Any, Any]) -> tuple[Any, int]:
    owned, total = {}, _SMALL
    for key, item in value.items():
        owned[key], size = _owned(item)
        total += size
    return owned, total


def _owned_all(values: list[Any] | tuple[Any, ...]) -> tuple[Any, int]:
    if values and isinstance(values[0], (int, float)):  # tokens: a long list of small values
        return values[:], _SMALL * len(values)
    pairs = [_owned(value) for value in values]
    owned = [item for item, _ in pairs]
    return owned if isinstance(values, list) else tuple(owned), sum(size for _, size in pairs) + _SMALL


def _shape(value: Any, declared: Array) -> Any:
    """Return what all values of a block share: the shape, and the dtype if none is declared."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.shape if declared.dtype is not None else (value.dtype, value.shape)
    if isinstance(value, (list, tuple)):
        try:
            return _shape(np.asarray(value), declared)
        except (ValueError, TypeError, OverflowError):
            return None  # the writer raises the error
    return () if declared.dtype is not None else type(value)
