"""Converts batches to numpy arrays, torch tensors, or an Arrow table."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from dataset_assets.reading.convert.arrow import table_of
from dataset_assets.reading.convert.tensors import tensor_of

Output = Literal["numpy", "torch", "arrow"]
OUTPUTS: tuple[Output, ...] = ("numpy", "torch", "arrow")


def as_output(batch: Any, output: Output) -> Any:
    """Return a batch in the requested form, without a copy where possible."""
    if output == "numpy":
        return batch
    return changed(batch, as_tensor) if output == "torch" else table_of(batch)


def changed(batch: Any, change: Callable[[Any], Any]) -> Any:
    """Return a batch with `change` applied to each value, inside mappings and tuples too."""
    if isinstance(batch, np.ndarray):  # first, because isinstance(..., Mapping) takes longer than the change
        return change(batch)
    if isinstance(batch, Mapping):
        return {name: changed(value, change) for name, value in batch.items()}
    if isinstance(batch, tuple):
        return tuple(changed(value, change) for value in batch)
    return change(batch)


def as_tensor(values: Any) -> Any:
    """Return an array of numbers as a tensor on the same memory, and any other value as it is."""
    return tensor_of(values) if isinstance(values, np.ndarray) else values


def said_uneven(batch: Any) -> str:
    """Return what to do about a stream of a batch that is a list, because its arrays have several shapes; or ""."""
    for name, values in batch.items() if isinstance(batch, Mapping) else ():
        shapes = {value.shape for value in values if isinstance(value, np.ndarray)} if isinstance(values, list) else {}
        if len(shapes) > 1:
            unequal = sum(len({*sizes}) > 1 for sizes in zip(*shapes))
            one = f"collate=padded({name!r}) or joined({name!r})"
            return (
                f"The arrays of {name!r} have several shapes, so a batch has a list of them, not a tensor. Bring them "
                f"to one shape in a map, or pass {one if unequal < 2 else f'collate=padded({name!r}, axes={unequal})'}."
            )
    return ""


def on_device(batch: Any, device: Any) -> Any:
    """Return a batch with its tensors on a device; the copy is asynchronous."""
    import torch

    kind = torch.device(device).type

    def moved(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        # torch keeps pinned memory alive until the device has read it.
        return (value.pin_memory() if kind == "cuda" else value).to(device, non_blocking=True)

    return changed(batch, moved)
