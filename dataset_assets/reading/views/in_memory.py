"""Views over values in memory, and over sequences of samples that are read on access."""

import hashlib
import sys
from functools import cached_property
from typing import Any, Iterator, Mapping, Sequence

import numpy as np

from dataset_assets.errors import SchemaError, UsageError
from dataset_assets.formats.columns import Column, Columns
from dataset_assets.formats.dtypes import small_float
from dataset_assets.reading.views.blocks import as_columns, not_masked, numbers_in, stacked
from dataset_assets.reading.views.document import counted_in, described
from dataset_assets.reading.views.node import Origin, checked_version
from dataset_assets.reading.views.operations import operation
from dataset_assets.reading.views.rows import Where
from dataset_assets.reading.views.stored import Stored, no_contents
from dataset_assets.reading.views.view import View


def held(columns: Mapping[str, Column], version: str | None = None) -> Stored:
    """Return a view over columns in memory; a `version` that is stated of them counts instead of what they hold."""
    return Stored(Origin("memory", "all", ""), columns, held=version)


class ListColumn:
    """A list of any Python values as a column."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, i: int) -> Any:
        return self.values[i]

    def take(self, indices: Any, out: Any = None) -> list[Any]:
        return [self.values[i] for i in indices.tolist()]

    def slice(self, lo: int, hi: int) -> list[Any]:
        return self.values[lo:hi]


def column_in_memory(values: Any) -> Any:
    """Return values as a read-only column."""
    from dataset_assets.formats.array import ArrayColumn
    from dataset_assets.formats.table import TableColumn

    if hasattr(values, "to_batches"):
        return TableColumn(values)
    if isinstance(values, (list, tuple)):
        values = [not_masked(value) for value in values]
        # Arrays in a list are not stacked; pass a single array for that.
        numbers = values and not isinstance(values[0], np.ndarray)
        values = stacked(values) if numbers else values
    else:
        values = _array_of(_plain(not_masked(values)))
    if isinstance(values, list) or values.dtype.hasobject:
        return ListColumn([_read_only(value) for value in values])
    return ArrayColumn(_read_only(values))


def _array_of(values: Any) -> Any:
    try:
        return np.asarray(values)
    except Exception as error:  # the value's own conversion may raise anything
        raise SchemaError(
            f"A {type(values).__name__} does not convert to an array ({error}). Give an array or a list."
        ) from error


def _read_only(value: Any) -> Any:
    """Return a read-only view of an array, so that no sample or batch can change the caller's array."""
    if not isinstance(value, np.ndarray):
        return value
    view = value.view()
    view.flags.writeable = False
    return view


@operation("sourced")
class Sourced(View):
    """The samples of any sequence, each read on access."""

    def __init__(self, source: Any, names: Sequence[str] | None = None, version: str | None = None) -> None:
        self.source, self.names = source, None if names is None else tuple(names)
        self._held = checked_version(version)
        self._first: tuple[str, ...] | None = self.names

    def arguments(self) -> dict[str, Any]:
        # Enough to tell stacks apart by, not to make the view again.
        return {"source": described(self.source), "samples": len(self), "names": self.names}

    def _contents(self) -> dict[str, Any]:
        return {"contents": self._digest if self._held is None else f"version {self._held}"}

    @cached_property
    def _digest(self) -> str:
        """Return a digest of the samples, all of which are read for it."""
        from dataset_assets.core.callables import by_reference
        from dataset_assets.core.value_digest import NoDigest, add, digest_of_value

        counted, found, first = counted_in(self), hashlib.sha256(), ""
        try:
            for sample in self.each(slice(0, len(self))):
                first = first or digest_of_value(sample, by_reference(counted))
                add(found, sample, by_reference(counted))
            if first and digest_of_value(self.sample(0), by_reference(counted)) != first:
                raise NoDigest("samples that change each time they are read")
        except (NoDigest, RecursionError) as error:
            raise no_contents(f"The {type(self.source).__name__}", error) from error
        return found.hexdigest()

    @classmethod
    def build(cls, arguments: Mapping[str, Any], parents: Sequence[View]) -> "Sourced":
        raise UsageError(
            "The stack is built on a sequence in memory, which its document does not contain. Build it again from that."
        )

    def __len__(self) -> int:
        return len(self.source)

    @property
    def origin(self) -> Origin:
        return Origin(f"memory.{type(self.source).__name__.lower()}", "all", "")

    @property
    def roles(self) -> Mapping[str, str]:
        return {}

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        return {}

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams of the first sample; empty if there is no sample."""
        if self._first is None:
            first = self.sample(0) if len(self) else {}
            self._first = tuple(first) if isinstance(first, Mapping) else ()
        return self._first

    @property
    def computed(self) -> bool:
        return True

    def sample(self, i: int) -> Any:
        return self._named(self.source[i])

    def each(self, where: Where) -> Iterator[Any]:
        rows = numbers_in(where)
        if hasattr(self.source, "__getitems__"):
            return map(self._named, self.source.__getitems__(list(rows)))
        return (self.sample(i) for i in rows)

    def rows(self, where: Where) -> Columns:
        samples = self.samples(where)
        return as_columns(samples, () if samples else self.streams)

    def _named(self, sample: Any) -> Any:
        if self.names is None:
            return _plain(sample)
        values = tuple(sample) if isinstance(sample, (tuple, list)) else (sample,)
        if len(values) != len(self.names):
            raise SchemaError(
                f"A sample has {len(values)} values, but there are {len(self.names)} names: {self.names}. Give one "
                "name for each value."
            )
        return {name: _plain(value) for name, value in zip(self.names, values)}

    def _line(self) -> str:
        return f"Sourced({len(self)}, {type(self.source).__name__})"


def array_of_tensor(tensor: Any) -> Any:
    """Return a tensor as an array on the same memory. Raises `SchemaError` for a dtype that numpy does not have."""
    tensor = tensor.detach().cpu()
    try:
        return tensor.numpy()
    except TypeError as error:
        name = str(tensor.dtype).removeprefix("torch.")
        small = small_float(name)
        if small is None:
            raise SchemaError(
                f"numpy has no dtype {name} ({error}). Convert the tensor: tensor.float(). Or install ml_dtypes."
            ) from error
        plain = getattr(sys.modules["torch"], f"uint{8 * small.itemsize}")
        return tensor.contiguous().view(plain).numpy().view(small)


def _plain(value: Any) -> Any:
    """Return a value with arrays instead of torch tensors, on the same memory; a scalar tensor becomes a number."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        array = array_of_tensor(value)
        return array.item() if array.ndim == 0 else _read_only(array)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return not_masked(value)
