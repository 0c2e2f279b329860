"""Groups that are in two splits, such as a patient, and splits that are not in the order of time."""

from functools import partial
from itertools import pairwise
from typing import Any, Mapping, Sequence

import numpy as np

from dataset_assets.checks.keyed import equal_rows, hashes_of
from dataset_assets.checks.pairs import Check, blocks_of, chosen, leaks, shortened, told
from dataset_assets.core.value_digest import NoDigest, digest_of_value
from dataset_assets.errors import DefinitionError
from dataset_assets.reading.views import View


def apart(stream: str, *, splits: Sequence[str] | None = None) -> Check:
    """Return a check that no value of a stream, such as the number of a patient, is in two splits.

    Samples without one (None, NaN or "") are passed over. `splits` names those that are compared; without it, all are.

    >>> Dataset(..., checks={"patients": apart("patient")})
    """
    return partial(_apart, stream=stream, splits=None if splits is None else tuple(splits))


def in_order(stream: str, splits: Sequence[str] = ("train", "test")) -> Check:
    """Return a check that all samples of a split are earlier than those of the next, by a stream of times or numbers.

    Equal times are allowed within a split, not across two.

    >>> Dataset(..., checks={"time": in_order("date", ("train", "validation", "test"))})
    """
    return partial(_in_order, stream=stream, splits=tuple(splits))


def _apart(views: Mapping[str, Any], stream: str, splits: Sequence[str] | None) -> str | None:
    found = chosen(views, stream, splits)
    hashes = {name: hashes_of(view, stream, _key) for name, view in found.items()}

    def between(first: str, second: str) -> str | None:
        here, there = equal_rows(found[first], hashes[first], found[second], hashes[second], stream, _key)
        what = f"have a {stream} that is also in"
        return told(what, first, second, here, there, found[second][there[0]][stream]) if there else None

    return leaks(found, between)


def _key(value: Any) -> bytes | None:
    if value is None or value is np.ma.masked or isinstance(value, str) and not value or _is_nan(value):
        return None
    plain = value.item() if isinstance(value, np.generic) and value.dtype.kind not in "mM" else value
    try:
        return digest_of_value(plain).encode()
    except NoDigest as error:
        raise DefinitionError(f"Groups cannot be compared by {error}. Name a stream of plain values.") from error


def _in_order(views: Mapping[str, Any], stream: str, splits: Sequence[str]) -> str | None:
    found = {name: _ends(name, view, stream) for name, view in chosen(views, stream, splits).items()}
    wrong = [
        f"{later} begins at {shortened(found[later][0])}, and {earlier} ends at {shortened(found[earlier][1])}"
        for earlier, later in pairwise(name for name in found if found[name])
        if not found[earlier][1] < found[later][0]
    ]
    return "; ".join(wrong) + "." if wrong else None


def _ends(name: str, view: View, stream: str) -> tuple[Any, ...]:
    """Return the least and the greatest value; nothing for a split without samples."""
    ends: tuple[Any, ...] = ()
    for block in blocks_of(view, stream):
        values = [*block]
        if any(value is None or _is_nan(value) for value in values):
            raise DefinitionError(f"{name} has a sample without {stream}, so its place in time is not known.")
        ends = min((*ends[:1], *values)), max((*ends[1:], *values))
    return ends


def _is_nan(value: Any) -> bool:
    # Also that of times.
    return isinstance(value, (float, np.generic)) and bool(value != value)
