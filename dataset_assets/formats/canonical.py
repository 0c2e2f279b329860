"""Arrow data with one form for one content: what Arrow leaves open is set, so that equal values give equal bytes.

Open are: the bits behind the last of a bitmap, the values under nulls, and where record batches end.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BORDER_BYTES = 8
NOMINAL_BYTES = 32


def canonical(table: Any) -> Any:
    """Return the table as one record batch in which nothing depends on where its values came from."""
    import pyarrow

    columns = [_one_array(column) for column in table.columns]
    return pyarrow.RecordBatch.from_arrays([_cleaned(column) for column in columns], schema=table.schema)


def row_bytes(table: Any) -> NDArray[np.int64]:
    """Return about how many bytes each row takes, from its values alone."""
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
    import pyarrow
    from pyarrow import types

    kind = array.type
    if not array.null_count and not types.is_boolean(kind):
        return array if not types.is_nested(kind) else _rebuilt(array)
    if types.is_nested(kind) or types.is_null(kind):
        return _rebuilt(array)
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    bitmap = None if valid.all() else _bits(valid)
    if types.is_boolean(kind):
        data = [_bits(array.fill_null(False).to_numpy(zero_copy_only=False))]
    elif _is_text_or_bytes(kind):
        empty = pyarrow.scalar("", pyarrow.string()).cast(kind)
        data = _rebuilt(array.fill_null(empty)).buffers()[1:]
    else:
        width = kind.bit_width // 8
        values = np.frombuffer(array.buffers()[1], f"V{width}", len(array), array.offset * width)
        data = [pyarrow.py_buffer(np.where(valid, values, np.zeros((), values.dtype)))]
    return pyarrow.Array.from_buffers(kind, len(array), [bitmap, *data], len(array) - int(valid.sum()))


def _rebuilt(array: Any) -> Any:
    """Return a copy that begins at the beginning of its buffers."""
    import pyarrow

    return array.take(pyarrow.array(np.arange(len(array))))


def _bits(flags: Any) -> Any:
    import pyarrow

    return pyarrow.py_buffer(np.packbits(flags, bitorder="little"))


def _is_text_or_bytes(kind: Any) -> bool:
    from pyarrow import types

    return any(
        check(kind) for check in (types.is_string, types.is_binary, types.is_large_string, types.is_large_binary)
    )
