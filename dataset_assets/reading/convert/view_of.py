"""Makes views over values in memory, and over the data of other libraries.

The view reads from its source only when it is read itself.
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

    Each column of a DataFrame, an Arrow table or a Hugging Face dataset is a stream. A mapping maps streams to values.
    Any other source is a sequence of samples, such as torch's map-style dataset; `names` are the streams of samples
    that are tuples. Raises `UsageError` for a source without a length or without access by index.
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
            f"A view needs a source with len() and access by index, which a {type(source).__name__} does not have. "
            "Read it into a list first."
        )
    return Sourced(source, names, version)
