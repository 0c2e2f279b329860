"""Tables of Arrow and polars as Arrow files, and tensors of torch as safetensors, which other tools open too."""

import io
import json
from typing import Any

from dataset_assets.core.extras import needed
from dataset_assets.errors import DecodeError, SchemaError
from dataset_assets.formats.ipc import Malformed, check_heads

KIND = b"dataset_assets.kind"
_NOT_OF_POLARS = (KeyboardInterrupt, SystemExit, MemoryError)


def write_arrow(value: Any, path: str) -> list[Any]:
    """Return the buffers of an Arrow table, record batch or array."""
    import pyarrow

    kind = "table" if isinstance(value, pyarrow.Table) else "batch" if isinstance(value, pyarrow.RecordBatch) else None
    table = value if kind == "table" else _as_table(value)
    kind = kind or ("chunked" if isinstance(value, pyarrow.ChunkedArray) else "array")
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), KIND: kind.encode()})
    out = pyarrow.BufferOutputStream()
    # A file holds one dictionary for each column.
    table = table.unify_dictionaries()
    with pyarrow.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    data = out.getvalue()
    try:
        check_heads(memoryview(data))
    except Malformed as error:
        raise SchemaError(
            f"{path} is an Arrow value that cannot be stored: {error}. Store its plain columns."
        ) from None
    return [memoryview(data)]


def _as_table(value: Any) -> Any:
    import pyarrow

    if isinstance(value, pyarrow.RecordBatch):
        return pyarrow.Table.from_batches([value])
    return pyarrow.table({"value": value})


def read_arrow(data: memoryview) -> Any:
    """Return the Arrow value in a buffer, without a copy. Raises `DecodeError`."""
    import pyarrow

    try:
        check_heads(data)
        table = pyarrow.ipc.open_file(pyarrow.py_buffer(data)).read_all()
        # Arrow would follow offsets out of the buffer.
        table.validate(full=True)
        metadata = dict(table.schema.metadata or {})
        kind = metadata.pop(KIND, b"table").decode()
        table = table.replace_schema_metadata(metadata or None)
        return _of_kind(table, kind)
    except (pyarrow.ArrowException, OSError, ValueError, LookupError, MemoryError) as error:
        raise DecodeError(f"A value is not an Arrow file: {error}.") from error


def _of_kind(table: Any, kind: str) -> Any:
    if kind == "batch":
        found = table.combine_chunks().to_batches()
        import pyarrow

        return found[0] if found else pyarrow.RecordBatch.from_pylist([], table.schema)
    if kind == "chunked":
        return table["value"]
    return table["value"].combine_chunks() if kind == "array" else table


def write_polars(value: Any, path: str) -> list[Any]:
    """Return the buffers of a DataFrame of polars."""
    out = io.BytesIO()
    try:
        value.write_ipc(out)
    # Polars panics with a BaseException of its own, for Python objects in a column.
    except BaseException as error:
        if isinstance(error, _NOT_OF_POLARS):
            raise
        raise SchemaError(f"{path} cannot be written by polars: {str(error)[:200]}") from None
    return [out.getbuffer()]


def read_polars(data: memoryview) -> Any:
    """Return the DataFrame of polars in a buffer. Raises `DecodeError` and `NotInstalled`."""
    polars = needed("polars", "all")
    try:
        return polars.read_ipc(io.BytesIO(data))
    except BaseException as error:
        if isinstance(error, _NOT_OF_POLARS):
            raise
        raise DecodeError(f"A value is not an Arrow file of polars: {str(error)[:200]}.") from error


TENSORS = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "U16": "uint16", "I32": "int32", "U32": "uint32",
    "I64": "int64", "U64": "uint64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "C64": "complex64",
}  # fmt: skip
"""The dtypes of https://huggingface.co/docs/safetensors, and torch's names of them."""


def write_tensor(value: Any, path: str) -> list[Any]:
    """Return the buffers of a tensor as a safetensors file with one tensor. It is read back on the CPU."""
    names = {f"torch.{name}": kind for kind, name in TENSORS.items()}
    kind = names.get(str(value.dtype))
    if value.requires_grad or value.layout is not _torch().strided or kind is None or value.device.type == "meta":
        raise SchemaError(
            f"{path} is a tensor of {value.dtype} that needs a gradient, is sparse, or has a dtype that safetensors "
            "does not know. Store tensor.detach().to_dense() of a plain dtype."
        )
    flat = value.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    data = flat.view(_torch().uint8).numpy().data if flat.numel() else b""
    entry = {"dtype": kind, "shape": list(value.shape), "data_offsets": [0, len(data)]}
    head = json.dumps({"value": entry}).encode()
    head = head.ljust(-(-(len(head) + 8) // 64) * 64 - 8)
    return [len(head).to_bytes(8, "little") + head, data]


def read_tensor(data: memoryview) -> Any:
    """Return the tensor in a safetensors file. Raises `DecodeError` and `NotInstalled`."""
    torch = _torch()
    try:
        length = int.from_bytes(data[:8], "little")
        entry = json.loads(bytes(data[8 : 8 + length]))["value"]
        begin, end = entry["data_offsets"]
        body, dtype = data[8 + length :], getattr(torch, TENSORS[entry["dtype"]])
        if (begin, end) != (0, len(body)):
            raise ValueError(f"its tensor has the offsets {begin} and {end} in {len(body)} bytes")
        flat = torch.frombuffer(body, dtype=dtype) if len(body) else torch.empty(0, dtype=dtype)
        return flat.reshape(entry["shape"])
    except (ValueError, LookupError, TypeError, RuntimeError, RecursionError, AttributeError) as error:
        raise DecodeError(f"A value is not a safetensors file: {error}.") from error


def _torch() -> Any:
    import sys

    # `needed` does not show the import contracts what is imported.
    if "torch" not in sys.modules:
        needed("torch", "torch")
    import torch

    return torch
