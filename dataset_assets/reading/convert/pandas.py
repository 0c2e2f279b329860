"""Converts views to pandas DataFrames, and makes views over them."""

from typing import Any

import numpy as np

from dataset_assets.core.extras import needed
from dataset_assets.errors import SchemaError
from dataset_assets.formats.fields import extension_in
from dataset_assets.formats.format import Misfit
from dataset_assets.formats.nested import column_of
from dataset_assets.formats.table import lost_index
from dataset_assets.reading.convert.arrow import ArrowValues
from dataset_assets.reading.convert.tables import column_names, is_rounded, objects
from dataset_assets.reading.views.blocks import owned
from dataset_assets.reading.views.in_memory import column_in_memory, held
from dataset_assets.reading.views.view import View

PANDAS_UNITS = ("s", "ms", "us", "ns", "D")


def to_pandas(view: View) -> Any:
    """Return a DataFrame with a column for each stream, and for each field of a table.

    A field with the name of a stream, or of another table's field, gets the table's name as a prefix.
    """
    pandas = needed("pandas", "pandas")
    blocks = view.rows(slice(0, len(view)))
    columns: dict[str, Any] = {}
    for name, (stream, field) in column_names(blocks).items():
        block = blocks[stream]
        columns[name] = _column(block) if field is None else _field(block.column(field))
    return pandas.DataFrame(columns, index=pandas.RangeIndex(len(view)))


def _field(column: Any) -> Any:
    return column.to_pandas(integer_object_nulls=is_rounded(column))


def _column(block: Any) -> Any:
    """Return a block as a column for pandas; values without a pandas dtype become objects."""
    if isinstance(block, list):
        return objects(owned(block))
    if block.ndim > 1:
        return objects(list(block.copy()))
    unknown_time = block.dtype.kind in "mM" and np.datetime_data(block.dtype)[0] not in PANDAS_UNITS
    return objects(list(block)) if block.dtype.kind == "V" or unknown_time else owned(block)


def of_frame(frame: Any, version: str | None = None) -> View:
    """Return a view over a DataFrame: each column is a stream.

    Raises `SchemaError` for two columns of one name, and for an index that is data.
    """
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        raise SchemaError(f"The DataFrame has two columns of the same name among {', '.join(names)}. Rename one.")
    if why := lost_index(frame):
        raise SchemaError(why[0].upper() + why[1:])
    return held({name: of_series(frame.iloc[:, k]) for k, name in enumerate(names)}, version)


def of_series(series: Any) -> Any:
    """Return a Series as a column: numpy's types as arrays; text, categories and nullable numbers by way of Arrow."""
    plain = isinstance(series.dtype, np.dtype) and series.dtype.kind in "biufmM"
    values = series.to_numpy() if plain else _of_objects(series)
    return values if isinstance(values, ArrowValues) else column_in_memory(values)


def _of_objects(series: Any) -> Any:
    import pyarrow
    from pyarrow import types

    try:
        values = pyarrow.array(series)
        if series.dtype == object and (types.is_nested(values.type) or types.is_binary(values.type)):
            # Arrow gives mappings the union of their keys, and takes text among bytes for bytes.
            column_of([None if missing else value for value, missing in zip(series, series.isna())])
        # Arrow holds periods and intervals as numbers, without their meaning.
        return list(series) if extension_in(values.type) else ArrowValues(pyarrow.chunked_array([values]))
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, pyarrow.ArrowNotImplementedError, Misfit):
        # Values without an Arrow type, such as arrays with several axes, stay as they are.
        return list(series)
