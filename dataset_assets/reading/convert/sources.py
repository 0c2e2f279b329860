"""Makes views over values in memory, and over the data of other libraries.

The view reads from its source only when it is read itself.
"""

import os
import sys
from typing import Any, Mapping, Sequence

from dataset_assets.errors import SchemaError, UsageError, at
from dataset_assets.formats.columns import Columns
from dataset_assets.formats.rows import is_arrow
from dataset_assets.reading.convert.arrow import of_array, of_table
from dataset_assets.reading.convert.huggingface import of_hf
from dataset_assets.reading.convert.pandas import of_frame, of_series
from dataset_assets.reading.views.in_memory import Sourced, column_in_memory, held
from dataset_assets.reading.views.view import View

NOTHING: Any = object()


def view_of(
    source: Any = NOTHING, /, *, names: Sequence[str] | None = None, version: Any = None, **columns: Any
) -> View:
    """Return a view over values in memory: arrays, arrow tables, or lists of equal length. Arrays become read-only.

    Or over a source: a DataFrame, a table of Arrow, a dataset of torch or Hugging Face, a sequence of samples; it is
    read when the view is. `names` are the streams of samples that are tuples. A fingerprint has what the source holds,
    all of which is read for it; or the `version` that is stated of the source.

    >>> view_of(label=[5, 0, 4])[-1]
    {'label': 4}
    >>> view_of([(5, "five"), (0, "nil")], names=("label", "word"))[-1]
    {'label': 0, 'word': 'nil'}
    """
    if source is not NOTHING:
        return _over(source, names, version)
    # Without a source they are streams like any other.
    columns |= {name: given for name, given in (("names", names), ("version", version)) if given is not None}
    return _of_columns(columns)


def _check_source(source: Any) -> None:
    """Raise `UsageError` for what is not data."""
    if source is None or isinstance(source, (str, bytes, bytearray, os.PathLike)):
        raise UsageError(
            f"{source!r:.100} is not data. Read it first, such as view_of(pandas.read_csv(path)). load(name) "
            "opens a dataset."
        )
    if (datasets := sys.modules.get("datasets")) and isinstance(source, datasets.DatasetDict):
        raise UsageError(
            f"A DatasetDict has several splits: {', '.join(source)}. Make a view of one: view_of(source["
            f"{next(iter(source), 'train')!r}])."
        )
    if (pandas := sys.modules.get("pandas")) and isinstance(source, (pandas.Series, pandas.Index)):
        raise UsageError(f"A {type(source).__name__} has no streams. Name one: view_of(x=source).")


def _of_columns(columns: Mapping[str, Any], version: str | None = None) -> View:
    for name, values in columns.items():
        _check_column(name, values)
    ready = {}
    for name, values in Columns(columns).items():
        with at(f"stream {name}"):
            ready[name] = _column(values)
    return held(ready, version)


def _check_column(name: str, values: Any) -> None:
    if isinstance(values, View) or hasattr(values, "column_names") and hasattr(values, "features"):
        raise UsageError(
            f"{name} is a {type(values).__name__}, which has streams of its own, not values of one stream. Make a view "
            "of each: view_of(source)."
        )


def _column(values: Any) -> Any:
    """Return the values of one stream as a column."""
    if (pandas := sys.modules.get("pandas")) and isinstance(values, pandas.Series):
        return of_series(values)
    if is_arrow(values):
        return of_array(values)
    if hasattr(values, "__arrow_c_stream__") and not hasattr(values, "to_batches") and not hasattr(values, "columns"):
        import pyarrow

        _check_objects(values)
        return of_array(pyarrow.chunked_array(values))
    return column_in_memory(values)


def _check_objects(source: Any) -> None:
    """Raise `SchemaError` for Python objects in a table of polars, which gives Arrow their addresses."""
    kinds = getattr(source, "dtypes", None)
    if any(str(kind) == "Object" for kind in ([getattr(source, "dtype", None)] if kinds is None else kinds)):
        raise SchemaError(f"The {type(source).__name__} holds Python objects. Convert them to text, numbers or lists.")


def _over(source: Any, names: Sequence[str] | None, version: str | None) -> View:
    """Return a view over a source.

    Each column of a DataFrame, an Arrow table or a Hugging Face dataset is a stream. A mapping maps streams to values.
    Any other source is a sequence of samples, such as torch's map-style dataset; `names` are the streams of samples
    that are tuples. Raises `UsageError` for a source without a length or without access by index.
    """
    if isinstance(source, View):
        return source
    _check_source(source)
    if (pandas := sys.modules.get("pandas")) and isinstance(source, pandas.DataFrame):
        return of_frame(source, version)
    if (arrow := sys.modules.get("pyarrow")) and isinstance(source, (arrow.Table, arrow.RecordBatch)):
        return of_table(source, version)
    if (datasets := sys.modules.get("datasets")) and isinstance(source, datasets.Dataset):
        return of_hf(source, version)
    if isinstance(source, Mapping):
        return _of_columns(source, version)
    if hasattr(source, "__arrow_c_stream__") and not isinstance(source, Sequence):
        import pyarrow

        _check_objects(source)
        try:
            return of_table(pyarrow.table(source), version)
        except (pyarrow.ArrowException, TypeError) as error:
            raise UsageError(
                f"A {type(source).__name__} has no streams ({error}). Name one: view_of(x=source)."
            ) from error
    if not hasattr(source, "__getitem__") or not hasattr(source, "__len__"):
        raise UsageError(
            f"A view needs a source with len() and access by index, which a {type(source).__name__} does not have. "
            "Read it into a list first."
        )
    return Sourced(source, names, version)
