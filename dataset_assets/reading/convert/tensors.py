"""Arrays and numbers as torch tensors. torch is imported on use."""

from functools import lru_cache
from typing import Any, Mapping

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import SchemaError
from dataset_assets.formats.dtypes import NUMBERS, is_small_float


def tensor_of(values: NDArray[Any]) -> Any:
    """Return an array of numbers as a tensor of its dtype on the same memory, and any other array as it is.

    Raises `SchemaError` for a dtype that torch does not have.
    """
    found = _kinds(values.dtype)
    if found is None:
        return values
    import torch

    own, kind = found
    if values.dtype is not own:
        values = native(values)
    # Writing to read-only memory through torch would crash the process.
    values = values if values.flags.writeable else values.copy()
    small = kind is not None
    return torch.from_numpy(values.view(f"u{values.dtype.itemsize}")).view(kind) if small else torch.from_numpy(values)


@lru_cache
def _kinds(dtype: "np.dtype[Any]") -> "tuple[np.dtype[Any], Any] | None":
    """Return the dtype that torch takes, and the dtype as which it is viewed if numpy does not have it.

    None for values that are no numbers. To find this out takes longer than to make a tensor. Raises `SchemaError`.
    """
    small = is_small_float(dtype)
    if not small and dtype.kind not in NUMBERS:
        return None
    import torch

    own = native(np.empty(0, dtype)).dtype
    kind = getattr(torch, own.name, None)
    if not isinstance(kind, torch.dtype):
        raise SchemaError(
            f"torch has no dtype {own.name}. Convert the values with view.map, or leave the stream out: view.only(...)."
        )
    return own, kind if small else None


def native(values: NDArray[Any]) -> NDArray[Any]:
    """Return an array in the byte order of this machine, the only one that torch and Arrow support."""
    kind = values.dtype.newbyteorder("=")
    if kind.kind in "iu":  # numpy has two types of 64 bits, and torch knows one of them
        kind = np.dtype(f"{kind.kind}{kind.itemsize}")
    return values.view(kind) if values.dtype.isnative else values.astype(kind)


def tensors_in(value: Any) -> Any:
    """Return a value with tensors for its arrays and its numbers of numpy, in memory of their own."""
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.array(value)
        return tensor_of(array) if array.dtype.kind in NUMBERS or is_small_float(array.dtype) else value
    if isinstance(value, Mapping):
        return {key: tensors_in(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(map(tensors_in, value))
    return value
