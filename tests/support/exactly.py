"""Whether two values are the same in every way that their library can tell apart."""

from typing import Any

import numpy as np
import pandas


def same(one: Any, other: Any) -> bool:
    """Say whether a value came back as it was: type, dtype, shape, order, index, names, content."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ma.MaskedArray):
        plain = (np.ma.getmask(one) is np.ma.nomask) == (np.ma.getmask(other) is np.ma.nomask)
        parts = [(v.data, np.ma.getmaskarray(v), np.asarray(v.fill_value), v.hardmask) for v in (one, other)]
        return plain and same(*parts)
    if isinstance(one, np.ndarray):
        told = [(v.dtype, v.dtype.str, v.shape, v.ndim > 1 and v.flags.f_contiguous, v.tobytes()) for v in (one, other)]
        return told[0] == told[1]
    if isinstance(one, np.generic):
        return one.dtype == other.dtype and one.dtype.str == other.dtype.str and one.tobytes() == other.tobytes()
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same([*one.items()], [*other.items()])
    if isinstance(one, float):
        return one.hex() == other.hex() or one != one and other != other
    if isinstance(one, (pandas.DataFrame, pandas.Series, pandas.Index)):
        return same_in_pandas(one, other)
    if isinstance(one, pandas.api.extensions.ExtensionArray):
        return same_in_pandas(pandas.Series(one), pandas.Series(other))
    if type(one).__module__.startswith("pyarrow"):
        return bool(
            one.schema.equals(other.schema, True) if hasattr(one, "schema") else one.type == other.type
        ) and bool(one.equals(other))
    if type(one).__module__.startswith("polars"):
        return bool(one.equals(other)) and str(getattr(one, "schema", one)) == str(getattr(other, "schema", other))
    if type(one).__module__ == "torch":
        import torch

        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    return one is other or bool(one == other) or one != one and other != other


def same_in_pandas(one: Any, other: Any) -> bool:
    testing: Any = pandas.testing
    kind = {pandas.DataFrame: "frame", pandas.Series: "series"}.get(type(one), "index")
    exactly = {"check_exact": True}
    if kind != "index":
        exactly |= {"check_freq": True, "check_index_type": True}
    getattr(testing, f"assert_{kind}_equal")(one, other, **exactly)
    assert kind == "index" or one.attrs == other.attrs
    if kind == "frame":
        return all(same_objects(one.iloc[:, k], other.iloc[:, k]) for k in range(one.shape[1]))
    return same_objects(one, other)


def same_objects(one: Any, other: Any) -> bool:
    # Pandas counts 1 and 1.0 in columns of objects as equal.
    return one.dtype == other.dtype and (one.dtype != object or same([*one], [*other]))
