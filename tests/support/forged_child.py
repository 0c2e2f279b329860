"""Reads forged files one after the other and says of each what came of it: a child of the tests of forged files.

Its input names a file and its format; its output is a line for each: "fine", "refused", or what is wrong. Whoever
started it sees the signal that ended it.
"""

import json
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pyarrow

from dataset_assets.errors import DatasetAssetsError
from dataset_assets.formats import format_named
from dataset_assets.formats.columns import values_of as as_values
from dataset_assets.formats.decoded import DecodedColumn
from dataset_assets.reading.convert.arrow import _on_the_map

MEGABYTES, SECONDS = 2000, 120
MOST = 2000


def values_of(column: Any) -> Iterator[Any]:
    """Read a column in each of the ways there are."""
    count = min(len(column), MOST)
    for i in {0, 1, count // 2, count - 1} & set(range(count)):
        yield column[i]
    yield column.slice(0, count)
    yield _on_the_map(column, 0, count)
    # Of some types Arrow gathers no values; those are never written here.
    with suppress(pyarrow.ArrowNotImplementedError):
        yield column.take(np.arange(count)[::-1])
    if isinstance(column, DecodedColumn):
        yield column.encoded.slice(0, count)


def leaves(value: Any) -> Iterator[bytes]:
    """Yield the bytes of all text, bytes and arrays in a value."""
    if isinstance(value, np.ndarray):
        # Of what was copied together, each row.
        yield from (row.tobytes() for row in value) if value.ndim and len(value) < MOST else [value.tobytes()]
    elif isinstance(value, (str, bytes)):
        yield value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    elif hasattr(value, "data") and hasattr(value, "open"):
        yield from (value.name.encode(), bytes(value.data))
    elif isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value[:MOST]:
            yield from leaves(item)
    elif hasattr(value, "to_pylist"):
        value.validate(full=True)
        yield from leaves(as_values(value.slice(0, MOST)))


def outcome(path: Path, name: str, parameters: dict[str, Any], within: bool) -> str:
    data = path.read_bytes()
    try:
        column = format_named(name, parameters).open([path.open("rb")])
        for value in values_of(column):
            for leaf in leaves(value):
                if within and leaf not in data:
                    return f"a value has the bytes {leaf[:40]!r}, which are not in the file"
    except DatasetAssetsError:
        return "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "fine"


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEGABYTES << 20, MEGABYTES << 20))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS * 10, SECONDS * 10))
    for line in sys.stdin:
        path, *more = json.loads(line)
        print(json.dumps(outcome(Path(path), *more)), flush=True)


if __name__ == "__main__":
    main()
