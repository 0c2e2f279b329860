"""What every check across splits needs: which views are compared, their values, and how a leak is told."""

from itertools import combinations
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import DefinitionError, nearest
from dataset_assets.reading.views import View

Check = Callable[[Mapping[str, Any]], "str | None"]
Rows = NDArray[np.intp]

ROWS = 4096
SHOWN = 5
LONGEST = 60


def chosen(views: Mapping[str, View], stream: str, splits: Sequence[str] | None) -> dict[str, View]:
    """Return the views that are compared, each with this stream alone. Raises `DefinitionError` for unknown names."""
    found = {}
    for name in views if splits is None else splits:
        if name not in views:
            raise DefinitionError(f"There is no split {name!r} to check.{nearest(name, views)}")
        if stream not in views[name].streams:
            raise DefinitionError(f"{name} has no stream {stream!r} to check.{nearest(stream, views[name].streams)}")
        found[name] = views[name].only(stream)
    return found


def blocks_of(view: View, stream: str) -> Iterator[Any]:
    """Yield the values of a stream, some thousands at a time."""
    for batch in view.batch(ROWS):
        yield batch[stream]


def leaks(names: Iterable[str], between: Callable[[str, str], str | None]) -> str | None:
    """Return what `between` says of each pair of names, or None if it says nothing."""
    found = [said for one, other in combinations(names, 2) if (said := between(one, other))]
    return "; ".join(found) + "." if found else None


def told(
    what: str, first: str, second: str, here: Sequence[int], there: Sequence[int], example: Any, sign: str = "="
) -> str:
    """Return a leak in words: how many rows of `second`, some of the pairs, and the value of the first pair."""
    shown = ", ".join(f"{second}[{j}] {sign} {first}[{i}]" for i, j in zip(here[:SHOWN], there[:SHOWN]))
    more = ", ..." if len(there) > SHOWN else ""
    return f"{len(there)} samples of {second} {what} {first}: {shown}{more}, first {shortened(example)}"


def shortened(value: Any) -> str:
    """Return the repr of a value; that of a long one is cut."""
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
