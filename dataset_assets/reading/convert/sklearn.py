"""Converts views to the data that scikit-learn takes: a matrix and the targets."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_assets.core.extras import needed
from dataset_assets.errors import SchemaError, UsageError, at
from dataset_assets.formats.columns import values_of
from dataset_assets.reading.views.blocks import owned
from dataset_assets.reading.views.encoded import Encoded
from dataset_assets.reading.views.view import View


def to_sklearn(view: View, sample: str | None = None, target: str | None = None, bunch: bool = False) -> Any:
    """Return a matrix with a row for each sample, and the targets; or a Bunch with both and the names of columns."""
    x, y = _role(view, "sample", sample), _role(view, "target", target)
    blocks = view.rows_of(tuple(dict.fromkeys((x, y))), slice(0, len(view)))
    names, data = _matrix(view, x, blocks[x])
    # A list holds text; scikit-learn accepts it as classes in an array of objects.
    targets = owned(blocks[y]) if isinstance(blocks[y], np.ndarray) else np.array(values_of(blocks[y]), object)
    if not bunch:
        return data, targets
    classes = view.classes.get(y)
    return needed("sklearn.utils", "sklearn").Bunch(
        data=data,
        target=targets,
        feature_names=list(names),
        target_names=None if classes is None else list(classes),
        DESCR=f"{view.dataset} {view.split}",
    )


def _role(view: View, role: str, stream: str | None) -> str:
    if stream is None and role not in view.roles:
        raise UsageError(f"{view.dataset} {view.split} has no {role} stream. Name it: {role}=...")
    return view._stream(stream or view.roles[role])


def _matrix(view: View, stream: str, block: Any) -> tuple[tuple[str, ...], NDArray[Any]]:
    """Return a block as a matrix of numbers, and the names of its columns."""
    from dataset_assets.encoding.values import as_numbers

    if hasattr(block, "column_names"):
        columns = []
        for field in block.column_names:
            with at(f"field {stream}.{field} of {view.dataset} {view.split}"):
                columns.append(as_numbers(block.column(field)))
        return tuple(block.column_names), np.stack(columns, 1)
    if not isinstance(block, np.ndarray) or block.dtype.kind not in "biuf":
        raise SchemaError(
            f"Stream {stream} of {view.dataset} {view.split} does not hold numbers of one shape, which scikit-learn "
            "needs. Encode it: view.encode(view.fit_encoders({...}))."
        )
    data = owned(block.reshape(len(block), int(np.prod(block.shape[1:], dtype=int))))
    return _names(view, stream, data.shape[1]), data


def _names(view: View, stream: str, width: int) -> tuple[str, ...]:
    """Return the names of an encoded stream's columns, or the stream's name with a number."""
    below = view
    while len(below.parents) == 1 and not isinstance(below, Encoded):
        below = below.parents[0]
    if isinstance(below, Encoded) and stream in below.encoded and len(names := below.columns(stream)) == width:
        return names
    return (stream,) if width == 1 else tuple(f"{stream}[{k}]" for k in range(width))
