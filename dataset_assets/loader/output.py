"""What batches are made of: numpy arrays, torch tensors, or an arrow table."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from dataset_assets.reading.convert.arrow import table_of

Output = Literal["numpy", "torch", "arrow"]
OUTPUTS: tuple[Output, ...] = ("numpy", "torch", "arrow")


def as_output(batch: Any, output: Output) -> Any:
    """Return a batch with its arrays in the form that was asked for, without copying them where that can be."""
    if output == "numpy":
        return batch
    return changed(batch, as_tensor) if output == "torch" else table_of(batch)


def changed(batch: Any, change: Callable[[Any], Any]) -> Any:
    """Return a batch with each of its values changed; they are in mappings and tuples."""
    if isinstance(batch, np.ndarray):  # to ask first whether it is a mapping would take longer than the change
        return change(batch)
    if isinstance(batch, Mapping):
        return {name: changed(value, change) for name, value in batch.items()}
    if isinstance(batch, tuple):
        return tuple(changed(value, change) for value in batch)
    return change(batch)


def as_tensor(values: Any) -> Any:
    """Return an array of numbers as a tensor on its memory; anything else as it is."""
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biufc":
        return values
    import torch

    values = native(values)
    # Writing into a read-only array through torch would end the process.
    return torch.from_numpy(values if values.flags.writeable else values.copy())


def native(values: Any) -> Any:
    """Return an array in the byte order of this machine, which is the only one that torch and Arrow have."""
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def on_device(batch: Any, device: Any) -> Any:
    """Return a batch with its tensors on a device; the copy goes on while the caller does."""
    import torch

    kind = torch.device(device).type

    def moved(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        # Of pinned memory torch knows when the device has read it.
        return (value.pin_memory() if kind == "cuda" else value).to(device, non_blocking=True)

    return changed(batch, moved)
