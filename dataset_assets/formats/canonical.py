"""Gives Arrow data one form: fixes everything that Arrow leaves undefined, so that equal values give equal bytes.

Arrow leaves undefined: the bits after the last one of a bitmap, the values under nulls, and where record batches end.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BORDER_BYTES = 8
NOMINAL_BYTES = 32


def canonical(table: Any) -> Any:
    """Return the table as one record batch whose bytes depend only on its values."""
    import pyarrow

    columns = [_one_array(column) for column in table.columns]
    return pyarrow.RecordBatch.from_arrays([_cleaned(column) for column in columns], schema=table.schema)


def row_bytes(table: Any) -> NDArray[np.int64]:
    """Return the approximate size of each row in bytes; it depends only on the values."""
    sizes = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        sizes += _sizes(column)
    return sizes


def _one_array(column: Any) -> Any:
    import pyarrow

    return column.chunk(0) if column.num_chunks == 1 else pyarrow.concat_arrays(column.chunks)


def _sizes(column: Any) -> Any:
    import pyarrow.compute as compute
    from pyarrow import types

    kind = column.type
    if _is_text_or_bytes(kind):
        return compute.fill_null(compute.binary_length(column), 0).to_numpy() + BORDER_BYTES
    if types.is_list(kind) or types.is_large_list(kind):
        lengths = compute.fill_null(compute.list_value_length(column), 0).to_numpy()
        return lengths * _width(kind.value_type) + BORDER_BYTES
    return _width(kind)


def _width(kind: Any) -> int:
    from pyarrow import types

    if types.is_struct(kind):
        return sum(_width(kind.field(k).type) for k in range(kind.num_fields))
    if types.is_fixed_size_list(kind):
        return int(kind.list_size) * _width(kind.value_type)
    try:
        return max(int(kind.bit_width) // 8, 1)
    except ValueError:
        return NOMINAL_BYTES


def _cleaned(array: Any) -> Any:
    """Return an array whose buffers hold only its values. Without nulls they are slices of the old buffers."""
    import pyarrow
    from pyarrow import types

    kind, count = array.type, len(array)
    lists = types.is_list(kind) or types.is_large_list(kind)
    if types.is_null(kind) or types.is_nested(kind) and (array.null_count or not lists):
        return _rebuilt(array)
    valid = array.is_valid().to_numpy(zero_copy_only=False) if array.null_count else None
    bitmap = None if valid is None else _bits(valid)
    if lists:
        borders, inner = _borders(array), array.values
        inner = _cleaned(inner.slice(int(borders[0]), int(borders[-1] - borders[0])))
        return pyarrow.Array.from_buffers(kind, count, [bitmap, _buffer(borders - borders[0])], 0, children=[inner])
    if types.is_boolean(kind):
        data = [_bits(array.fill_null(False).to_numpy(zero_copy_only=False))]
    elif _is_text_or_bytes(kind):
        data = _text_buffers(array if valid is None else _emptied(array))
    else:
        data = [_fixed_buffer(array, valid)]
    return pyarrow.Array.from_buffers(kind, count, [bitmap, *data], array.null_count)


def _text_buffers(array: Any) -> list[Any]:
    borders = _borders(array)
    first, last = int(borders[0]), int(borders[-1])
    content = array.buffers()[2]
    return [_buffer(borders - borders[0]), content.slice(first, last - first) if content else content]


def _fixed_buffer(array: Any, valid: Any) -> Any:
    width = array.type.bit_width // 8
    data = array.buffers()[1]
    if valid is None:
        return data.slice(array.offset * width, len(array) * width)
    values = np.frombuffer(data, f"V{width}", len(array), array.offset * width)
    return _buffer(np.where(valid, values, np.zeros((), values.dtype)))


def _emptied(array: Any) -> Any:
    """Return text or bytes with empty values under the nulls."""
    import pyarrow

    return _rebuilt(array.fill_null(pyarrow.scalar("", pyarrow.string()).cast(array.type)))


def _borders(array: Any) -> NDArray[Any]:
    from pyarrow import types

    kind = array.type
    wide = types.is_large_list(kind) or types.is_large_string(kind) or types.is_large_binary(kind)
    dtype = np.dtype(np.int64 if wide else np.int32)
    return np.frombuffer(array.buffers()[1], dtype, len(array) + 1, array.offset * dtype.itemsize)


def _rebuilt(array: Any) -> Any:
    """Return a copy whose buffers start at its first value."""
    import pyarrow

    return array.take(pyarrow.array(np.arange(len(array))))


def _bits(flags: Any) -> Any:
    return _buffer(np.packbits(flags, bitorder="little"))


def _buffer(values: Any) -> Any:
    import pyarrow

    return pyarrow.py_buffer(np.ascontiguousarray(values))


def _is_text_or_bytes(kind: Any) -> bool:
    from pyarrow import types

    return any(
        check(kind) for check in (types.is_string, types.is_binary, types.is_large_string, types.is_large_binary)
    )
