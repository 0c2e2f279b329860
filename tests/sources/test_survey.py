"""The files that installed packages carry: none crashes, no value differs from the field's reader, or it is refused.

It takes a minute; `-s` shows how many files of each kind were read and refused. `SURVEYED` names further folders, as
one into which `pip install --no-deps --target` put packages with data: vega_datasets, statsmodels, plotly.
"""

import gzip
import json
import math
import os
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas
import pyarrow.feather
import pyarrow.parquet
import pytest

from dataset_assets import dataset_from, prepare
from dataset_assets.errors import DatasetAssetsError
from dataset_assets.storage import MemoryStorage

pytestmark = pytest.mark.soak

ROOTS = [
    Path(sysconfig.get_paths()["purelib"]),
    *map(Path, filter(None, os.environ.get("SURVEYED", "").split(os.pathsep))),
]
KINDS = ("csv", "tsv", "json", "jsonl", "npy", "npz", "parquet", "feather", "arrow", "h5", "hdf5", "xlsx", "db", "txt")
MOST_BYTES = 16 << 20
AT_LEAST = 200


def of_data() -> Iterator[Path]:
    """Yield files of data, and not those that describe a package."""
    for path in (path for root in ROOTS for path in sorted(root.rglob("*"))):
        name = path.name.removesuffix(".gz").rpartition(".")
        if name[2] not in KINDS or any(part.endswith((".dist-info", ".egg-info")) for part in path.parts):
            continue
        if path.is_file() and 0 < path.stat().st_size < MOST_BYTES:
            yield path


def content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def of_table(path: Path, given: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Read a table with pandas as texts, so that nothing is guessed."""
    options: Any = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig", "header": None}
    frame = pandas.read_csv(path, sep=given.get("delimiter", ","), **options)
    # pandas gives a column without a name one.
    return {str(frame[k][0]): frame[k].tolist()[1:] for k in frame}


def of_json(path: Path, options: Mapping[str, Any]) -> dict[str, list[Any]]:
    text = content(path).decode("utf-8-sig")
    rows = (
        json.loads(text) if path.name.removesuffix(".gz").endswith(".json") else [*map(json.loads, text.splitlines())]
    )
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: [row.get(key) for row in rows] for key in keys}


def of_arrays(path: Path, options: Mapping[str, Any]) -> dict[str, list[Any]]:
    found = np.load(path, allow_pickle=False)
    if path.suffix == ".npy":
        return {"value": [*found]}
    return {name: [*found[name]] for name in found}


def of_h5(path: Path, options: Mapping[str, Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, one: found.update({name: [*one[()]]}) if isinstance(one, h5py.Dataset) and one.shape else None
        )
    return found


def of_arrow(path: Path, options: Mapping[str, Any]) -> dict[str, list[Any]]:
    read = pyarrow.parquet.read_table if path.suffix == ".parquet" else pyarrow.feather.read_table
    table = read(path)
    return {name: table.column(name).to_pylist() for name in table.column_names}


def of_text(path: Path, options: Mapping[str, Any]) -> dict[str, list[Any]]:
    text = content(path).decode("utf-8-sig").replace("\r\n", "\n")
    return {"text": (text[:-1] if text.endswith("\n") else text).split("\n")}


Read = Callable[[Path, Mapping[str, Any]], dict[str, list[Any]]]
READ: dict[str, Read] = {
    **dict.fromkeys(("csv", "tsv"), of_table),
    **dict.fromkeys(("json", "jsonl"), of_json),
    **dict.fromkeys(("npy", "npz"), of_arrays),
    **dict.fromkeys(("parquet", "feather", "arrow"), of_arrow),
    **dict.fromkeys(("h5", "hdf5"), of_h5),
    "txt": of_text,
}


def is_same(ours: Any, theirs: Any) -> bool:
    """Say whether a value is the one that was read, or written as text in a table."""
    if isinstance(theirs, bytes) and isinstance(ours, str):
        return theirs.decode() == ours
    if isinstance(ours, np.ndarray) or isinstance(theirs, np.ndarray):
        one, other = np.asarray(ours), np.asarray(theirs)
        if one.shape != other.shape:
            return False
        return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc" and other.dtype.kind in "fc")
    if isinstance(ours, np.datetime64):
        return (
            pandas.isna(theirs)
            if np.isnat(ours)
            else theirs != "" and pandas.Timestamp(ours) == pandas.Timestamp(theirs)
        )
    if isinstance(ours, float) and math.isnan(ours):
        return theirs in ("", None) or str(theirs).lower() in ("nan", "na", "n/a", "null", "#n/a", "-nan")
    if isinstance(ours, bool) and isinstance(theirs, str):
        return theirs.strip().lower() == str(ours).lower()
    if isinstance(ours, (int, float)) and isinstance(theirs, str):
        return float(theirs) == float(ours)
    if ours is None:
        return theirs in ("", None)
    return bool(ours == theirs)


def differing(path: Path) -> str | None:
    """Return the first value that differs from the field's reader. Raises the typed refusals."""
    dataset = dataset_from(path, name="survey.file")
    views = prepare(dataset, storage=MemoryStorage())
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    for split, view in views.items():
        plain = dataset.splits[split].plain
        theirs = READ[kind](path, plain["options"])
        said = plain["streams"]
        for stream, column in said.items():
            values = theirs[column["from"]]
            if len(values) != len(view):
                return f"{stream}: {len(view)} values, not {len(values)}"
            for row, (sample, value) in enumerate(zip(view.only(stream), values)):
                ours = sample[stream]
                ours = ours[column["from"]] if column["as"] == "row" else ours
                if not is_same(ours, value):
                    return f"{stream}, row {row}: {ours!r:.80}, not {value!r:.80}"
    return None


def test_no_file_crashes_and_no_value_differs(home: Path) -> None:
    counts, wrong = Counter[tuple[str, str]](), []
    for path in of_data():
        kind, shown = path.name.removesuffix(".gz").rpartition(".")[2], "/".join(path.parts[-3:])
        try:
            found = differing(path)
        except DatasetAssetsError as error:
            counts[kind, "refused"] += 1
            print(f"{shown}: {type(error).__name__}: {error!s:.200}")
            continue
        except Exception as error:
            wrong.append(f"{shown}: {type(error).__name__}: {error!s:.200}")
            continue
        counts[kind, "read"] += 1
        if found:
            wrong.append(f"{shown}: {found}")
    print(dict(counts))
    assert not wrong, "\n".join(wrong)
    assert sum(count for (_, outcome), count in counts.items() if outcome == "read") >= AT_LEAST
