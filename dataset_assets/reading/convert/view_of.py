"""Views over values in memory and over what other libraries hold.

What the source makes when it is asked for, the view does too: nothing is read before.
"""

import sys
from typing import Any, Mapping, Sequence

from dataset_assets.errors import UsageError
from dataset_assets.formats.columns import Columns
from dataset_assets.reading.convert.arrow import of_table
from dataset_assets.reading.convert.huggingface import of_hf
from dataset_assets.reading.convert.pandas import of_frame
from dataset_assets.reading.views.in_memory import Sourced, column_in_memory, held
from dataset_assets.reading.views.view import View


def view_of(source: Any = None, /, *, names: Sequence[str] | None = None, version: Any = None, **columns: Any) -> View:
    """Return a view over values in memory: arrays, arrow tables, or lists of equal length. Arrays become read-only.

    Or over a source: a DataFrame, a table of Arrow, a dataset of torch or Hugging Face, a sequence of samples; it is
    read when the view is. `names` are the streams of samples that are tuples. A fingerprint has what the source holds,
    all of which is read for it; or the `version` that is stated of the source.

    >>> view_of(label=[5, 0, 4])[-1]
    {'label': 4}
    >>> view_of([(5, "five"), (0, "nil")], names=("label", "word"))[-1]
    {'label': 0, 'word': 'nil'}
    """
    if source is not None:
        return _over(source, names, version)
    # Without a source they are streams like any other.
    columns |= {name: given for name, given in (("names", names), ("version", version)) if given is not None}
    return _of_columns(columns)


def _of_columns(columns: Mapping[str, Any], version: str | None = None) -> View:
    return held({name: column_in_memory(values) for name, values in Columns(columns).items()}, version)


def _over(source: Any, names: Sequence[str] | None, version: str | None) -> View:
    """Return a view over a source.

    Of a data frame, a table of Arrow or a dataset of Hugging Face, each column is a stream. A mapping is one of stream
    to values. Anything else is a sequence of samples, such as a map-style dataset of torch: `names` are the streams
    of samples that are tuples. Raises `UsageError` for what has no length or no numbers to ask by.
    """
    if isinstance(source, View):
        return source
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

        return of_table(pyarrow.table(source), version)
    if not hasattr(source, "__getitem__") or not hasattr(source, "__len__"):
        raise UsageError(
            f"A {type(source).__name__} has no length, or no samples by their numbers, so there is no view of it. Read "
            "it into a list first."
        )
    return Sourced(source, names, version)
