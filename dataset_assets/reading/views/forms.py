"""The form of what a function makes: fixed by the first samples of a view, so that no batch differs by its content."""

import sys
from dataclasses import dataclass
from threading import Lock
from typing import Any, Mapping, Sequence

import numpy as np

from dataset_assets.errors import DefinitionError, SchemaError, UsageError
from dataset_assets.formats.dtypes import cast, dtype_text, parsed
from dataset_assets.reading.views.blocks import PYTHON_NUMBERS, as_columns, owned, stacked
from dataset_assets.reading.views.node import Node

NUMBERS = (*PYTHON_NUMBERS, np.generic, np.ndarray)
FIRST = 32
"""How many samples decide."""


@dataclass(frozen=True)
class Form:
    """The dtype of a stream's values, of numpy or of torch, and their shape; without a dtype they stay a list."""

    dtype: Any = None
    shape: tuple[int, ...] = ()

    def block(self, name: Any, values: list[Any], rows: Sequence[int], view: Node) -> Any:
        """Return values as a block of this form. Raises `SchemaError` that names the sample that has another."""
        if self.dtype is None:
            return values
        block = stacked(values)
        if form_of(block) == self:
            return block
        fitted = [self._fitted(value) for value in values]
        for row, value, one in zip(rows, values, fitted):
            if one is None:
                raise SchemaError(
                    f"The value of {name} in sample {row} of {view.dataset} {view.split} is {_shown(value)}; by the "
                    f"first samples it is {self}. Return one type and shape for all, or say what they are: "
                    f"view.map(..., streams={{{name!r}: list}})."
                )
        return np.stack(fitted)

    def _fitted(self, value: Any) -> Any:
        if not isinstance(self.dtype, np.dtype) or not isinstance(value, NUMBERS):
            return None
        array = np.asarray(value)
        if array.shape != self.shape or (array.dtype.kind == "b") != (self.dtype.kind == "b") or array.dtype.hasobject:
            return None
        result = cast(array.reshape(1, *array.shape), self.dtype)
        whole = result is not None and (result[1] is None or bool(result[1].all()))
        return result[0][0] if result is not None and whole else None

    def described(self) -> Any:
        """Return the form as JSON, which `declared_forms` reads."""
        return "list" if self.dtype is None else [dtype_text(self.dtype), list(self.shape)]

    def __str__(self) -> str:
        return str(self.dtype) + (f" of shape {self.shape}" if self.shape else "")


def form_of(block: Any) -> Form:
    """Return the form of a block."""
    torch = sys.modules.get("torch")
    arrays = np.ndarray if torch is None else (np.ndarray, torch.Tensor)
    return Form(block.dtype, tuple(block.shape[1:])) if isinstance(block, arrays) else Form()


class Forms:
    """The forms of a view's streams, found out once, when the first batch is made."""

    def __init__(self, view: Node) -> None:
        self.view, self._lock = view, Lock()
        self._found: dict[Any, Form] | None = None

    def batch(self, samples: list[Any], rows: Sequence[int], lists: Any = ()) -> Any:
        """Return samples as a batch: a mapping for mappings, a tuple for tuples, otherwise one block.

        The streams of `lists` stay lists.
        """

        def block(name: Any, values: list[Any]) -> Any:
            form = Form() if name in lists else self.found.get(name)
            return owned(stacked(values) if form is None else form.block(name, values, rows, self.view))

        if not samples or isinstance(samples[0], Mapping):
            return dict(as_columns(samples, () if samples else self.view.streams, block))
        if isinstance(samples[0], tuple):
            return tuple(block(k, list(values)) for k, values in enumerate(zip(*samples, strict=True)))
        return block("it", samples)

    @property
    def found(self) -> dict[Any, Form]:
        """The forms by stream, by number for samples that are tuples, and as "it" for other samples."""
        with self._lock:
            if self._found is None:
                self._found = {**_found(self.view), **self.view.declared}
            return self._found

    def __getstate__(self) -> dict[str, Any]:
        return {"view": self.view, "_found": self._found}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=Lock())


def _found(view: Node) -> dict[Any, Form]:
    samples: list[Any] = []
    try:
        for sample in view.each(slice(0, min(FIRST, len(view)))):
            samples.append(sample)
    except Exception:  # it comes again when it is the sample's turn
        pass
    if not samples:
        return {}
    first = samples[0]
    if isinstance(first, Mapping):
        alike = [sample for sample in samples if isinstance(sample, Mapping) and sample.keys() == first.keys()]
        return {name: form_of(stacked([sample[name] for sample in alike])) for name in first}
    if isinstance(first, tuple):
        tuples = [sample for sample in samples if isinstance(sample, tuple) and len(sample) == len(first)]
        return {k: form_of(stacked([sample[k] for sample in tuples])) for k in range(len(first))}
    return {"it": form_of(stacked(samples))}


def declared_forms(streams: Any) -> dict[str, Form]:
    """Return the forms that `map(streams=...)` states: a dtype, a dtype and a shape, or `list`. Raises `UsageError`."""
    if not isinstance(streams, Mapping):
        raise UsageError(f"streams is {streams!r}, not a mapping. Give a dtype for each stream: {{'x': 'float32'}}.")
    return {name: _declared(name, what) for name, what in streams.items()}


def _declared(name: str, what: Any) -> Form:
    if what is list or what == "list":
        return Form()
    dtype, shape = what if isinstance(what, (tuple, list)) and len(what) == 2 else (what, ())
    try:
        return Form(parsed(dtype), tuple(int(size) for size in shape))
    except (DefinitionError, TypeError, ValueError) as error:
        raise UsageError(
            f"streams has {what!r} for {name}. Give a dtype, such as 'float32'; a dtype and a shape, such as "
            "('float32', (3,)); or list."
        ) from error


def _shown(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    return f"{value!r:.60} ({type(value).__name__})"
