"""The form of what a function makes: fixed by the first samples of a view, so that no batch differs by its content."""

import sys
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from time import monotonic
from typing import Any, Callable, Mapping, Sequence

import numpy as np

from dataset_assets.core.extras import needed
from dataset_assets.errors import DefinitionError, SchemaError, UsageError
from dataset_assets.formats.dtypes import cast, dtype_text, parsed
from dataset_assets.reading.views.blocks import PYTHON_NUMBERS, as_columns, owned, stacked
from dataset_assets.reading.views.node import Node

NUMBERS = (*PYTHON_NUMBERS, np.generic, np.ndarray)
FIRST = 32
"""How many samples decide."""
KEPT = "_forms_found"
"""The attribute of a view that holds the forms of its streams, once they were found."""


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
                raise self._misfit(name, value, row, view)
        return np.stack(fitted) if isinstance(self.dtype, np.dtype) else sys.modules["torch"].stack(fitted)

    def _misfit(self, name: Any, value: Any, row: int, view: Node) -> SchemaError:
        what = f"The value of {name} in sample {row} of {view.dataset} {view.split} is {_shown(value)}"
        if name not in view.declared:
            return SchemaError(
                f"{what}; by the first samples it is {self}. Return one type and shape for all, or say what they are: "
                f"view.map(..., streams={{{name!r}: list}})."
            )
        shape = getattr(value, "shape", ())
        number = "" if self.shape else ", which is one number for each sample"
        say = f"({str(self.dtype)!r}, {tuple(shape)})" if shape and tuple(shape) != self.shape else "list"
        return SchemaError(
            f"{what}; map(streams=...) declares {self}{number}. Return that, or declare what it is: "
            f"streams={{{name!r}: {say}}}."
        )

    def one(self, name: Any, value: Any, row: int, view: Node) -> Any:
        """Return one value in this form, or as it is if it does not fit. Raises `SchemaError` for such a number."""
        if self.dtype is None or (fitted := self._fitted(value)) is None:
            number = isinstance(value, (*PYTHON_NUMBERS, np.number, np.bool_))
            # torch's DataLoader would find it among tensors.
            return self.block(name, [value], [row], view)[0] if number else value
        return fitted

    def _fitted(self, value: Any) -> Any:
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(self.dtype, torch.dtype):
            return _as_tensor(torch, value, self)
        if torch is not None and isinstance(value, torch.Tensor):
            value = _as_array(torch, value)
        if not isinstance(value, NUMBERS):
            return None
        array = np.asarray(value)
        if array.dtype == self.dtype and array.shape == self.shape:
            return array
        if array.shape != self.shape or (array.dtype.kind == "b") != (self.dtype.kind == "b") or array.dtype.hasobject:
            return None
        result = cast(array.reshape(1, *array.shape), self.dtype)
        whole = result is not None and (result[1] is None or bool(result[1].all()))
        return result[0][0] if result is not None and whole else None

    def described(self) -> Any:
        """Return the form as JSON, which `declared_forms` reads."""
        if self.dtype is None:
            return "list"
        known = isinstance(self.dtype, np.dtype)
        return [dtype_text(self.dtype) if known else str(self.dtype), list(self.shape)]

    def __str__(self) -> str:
        return str(self.dtype) + (f" of shape {self.shape}" if self.shape else "")


def form_of(block: Any) -> Form:
    """Return the form of a block."""
    torch = sys.modules.get("torch")
    arrays = np.ndarray if torch is None else (np.ndarray, torch.Tensor)
    return Form(block.dtype, tuple(block.shape[1:])) if isinstance(block, arrays) else Form()


Noted = Callable[[str, Any], Any]
"""Returns what processes noted under a name; the first value that is not None counts."""


class Forms:
    """The forms of a view's streams: as declared, otherwise found out once, when a batch needs them.

    They are found by the first samples, which are made for it. A sample that raises is left out: its error comes when
    its batch is made. If all raise, the first error is raised.
    """

    def __init__(self, view: Node, noted: Noted | None = None, keep: bool = False) -> None:
        self.view, self._lock, self._noted, self._keep = view, Lock(), noted, keep
        self._found: dict[Any, Form] | None = None
        self._first: list[Any] | None = None
        self.progress = float("-inf")
        """When the last of the first samples was begun, by `time.monotonic`."""

    def batch(self, samples: list[Any], rows: Sequence[int], lists: Any = ()) -> Any:
        """Return samples as a batch: a mapping for mappings, a tuple for tuples, otherwise one block.

        The streams of `lists` stay lists.
        """

        def block(name: Any, values: list[Any]) -> Any:
            form = Form() if name in lists else self._form(name)
            return owned(stacked(values) if form is None else form.block(name, values, rows, self.view))

        if not samples or isinstance(samples[0], Mapping):
            return dict(as_columns(samples, () if samples else self.view.streams, block))
        if isinstance(samples[0], tuple):
            return tuple(block(k, list(values)) for k, values in enumerate(zip(*samples, strict=True)))
        return block("it", samples)

    def sample(self, sample: Any, row: int) -> Any:
        """Return one sample with its values in these forms.

        A value that does not fit stays as it is, but for numbers and what is declared: they raise `SchemaError`.
        """

        def one(name: Any, value: Any) -> Any:
            if name in self.declared:
                return self.declared[name].block(name, [value], [row], self.view)[0]
            form = self.found.get(name)
            return value if form is None else form.one(name, value, row, self.view)

        if isinstance(sample, Mapping):
            return {name: one(name, value) for name, value in sample.items()}
        if isinstance(sample, tuple):
            return tuple(one(k, value) for k, value in enumerate(sample))
        return one("it", sample)

    def _form(self, name: Any) -> Form | None:
        return self.declared[name] if name in self.declared else self.found.get(name)

    @cached_property
    def declared(self) -> Mapping[Any, Form]:
        """The forms that `map(streams=...)` states."""
        return self.view.declared

    @property
    def found(self) -> dict[Any, Form]:
        """The forms by stream, by number for samples that are tuples, and as "it" for other samples."""
        with self._lock:
            if self._found is None:
                self._found = self._known()
                self.progress = monotonic()
            return self._found

    def _known(self) -> dict[Any, Form]:
        """Return what another process found, or another batch on the same view; otherwise find it."""
        if (noted := self._note(None)) is not None:
            return {name: _declared(str(name), what) for name, what in noted}
        kept = self.view.__dict__.get(KEPT)
        found: dict[Any, Form] = _found(self.first()) if kept is None else kept
        self.view.__dict__[KEPT] = found
        try:
            described = [[name, form.described()] for name, form in found.items()]
        except DefinitionError:  # a dtype that differs from platform to platform
            return found
        noted = self._note(described)
        return found if noted is None else {name: _declared(str(name), what) for name, what in noted}

    def _note(self, described: Any) -> Any:
        return None if self._noted is None else self._noted("forms", described)

    def first(self) -> list[Any]:
        """Return the first samples that can be made. Raises the error of the first one if none can.

        With `keep`, they are made once.
        """
        if self._first is None:
            samples = self._made()
            self._first = samples if self._keep else None
            return samples
        return self._first

    def _made(self) -> list[Any]:
        samples: list[Any] = []
        row, stop, errors = 0, min(FIRST, len(self.view)), list[Exception]()
        while row < stop:
            self.progress = monotonic()
            try:
                for sample in self.view.each(slice(row, stop)):
                    samples.append(sample)
                    row += 1
                    self.progress = monotonic()
                break
            except Exception as error:  # it comes again when it is the sample's turn
                errors.append(error)
                row += 1
        if errors and not samples:
            raise errors[0]
        return samples

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: value for name, value in self.__dict__.items() if name != "_lock"}
        return {**kept, "_first": None, "progress": float("-inf")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=Lock())


def _found(samples: list[Any]) -> dict[Any, Form]:
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


def blocks_of(view: Node, rows: Sequence[int]) -> "Callable[[str, list[Any]], Any]":
    """Return the function that makes a block of a stream's values at some rows, in its form if that is declared."""
    declared = view.declared

    def block(name: str, values: list[Any]) -> Any:
        return declared[name].block(name, values, rows, view) if name in declared else stacked(values)

    return block


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
        kind = _torch_dtype(dtype)
        return Form(parsed(dtype) if kind is None else kind, tuple(int(size) for size in shape))
    except (DefinitionError, TypeError, ValueError) as error:
        raise UsageError(
            f"streams has {what!r} for {name}. Give a dtype of numpy or torch, such as 'float32'; a dtype and a shape, "
            "such as ('float32', (3,)); or list."
        ) from error


def _shown(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    return f"{value!r:.60} ({type(value).__name__})"


def _torch_dtype(dtype: Any) -> Any:
    """Return a dtype of torch, also from its name such as "torch.float32"; None for anything else."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(dtype, torch.dtype):
        return dtype
    if not isinstance(dtype, str) or not dtype.startswith("torch."):
        return None
    torch = needed("torch", "torch")
    kind = getattr(torch, dtype.removeprefix("torch."), None)
    return kind if isinstance(kind, torch.dtype) else None


def _as_array(torch: Any, tensor: Any) -> Any:
    """Return a tensor as an array of its dtype; one that numpy does not have stays a tensor."""
    try:
        return tensor.detach().cpu().numpy()
    except TypeError:
        return tensor


def _as_tensor(torch: Any, value: Any, form: Form) -> Any:
    """Return a tensor of a form, or None if that would change the value. Floats may be rounded to floats."""
    if isinstance(value, NUMBERS):
        array = np.asarray(value)
        if array.dtype.kind not in "biufc" or array.dtype.char in "gG":
            return None
        value = torch.from_numpy(array.astype(f"{array.dtype.kind}{array.dtype.itemsize}"))
    if not isinstance(value, torch.Tensor) or value.shape != form.shape:
        return None
    if value.dtype == form.dtype:
        return value
    if (value.dtype == torch.bool) != (form.dtype == torch.bool):
        return None
    if value.is_floating_point() and form.dtype.is_floating_point:
        return value.to(form.dtype)
    result = value.to(form.dtype)
    return result if bool((result.to(value.dtype) == value).all()) else None
