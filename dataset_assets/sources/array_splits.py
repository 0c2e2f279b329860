"""Files of arrays whose names say splits, such as `x_train` and `x_test` of an `.npz`, or the groups of HDF5."""

import re
from pathlib import Path
from typing import Any, Mapping, Sequence

from dataset_assets.decoding.hdf5_file import hdf5_arrays
from dataset_assets.decoding.npy_file import npz_arrays
from dataset_assets.definition.dataset import Split
from dataset_assets.errors import UsageError, nearest
from dataset_assets.formats import Format
from dataset_assets.sources.columns import Found, stream_names
from dataset_assets.sources.folders import SPLITS, Inferred
from dataset_assets.sources.kinds import Reader
from dataset_assets.sources.several import streams_in

NAMES = {"npz": npz_arrays, "hdf5": hdf5_arrays}


def arrays_by_split(reader: Reader, paths: Sequence[Path]) -> dict[str, dict[str, str]] | None:
    """Return for each split the stream of each of its arrays; None if the arrays of a file do not all name splits."""
    if len(paths) != 1 or reader.name not in NAMES or "arrays" in reader.options:
        return None
    with paths[0].open("rb") as file:
        return split_arrays(NAMES[reader.name](file))


def split_arrays(arrays: Sequence[str]) -> dict[str, dict[str, str]] | None:
    """Return for each split the stream of each of its arrays, if all name a split, and all splits have the same.

    >>> split_arrays(["x_train", "y_train", "x_test", "y_test"])
    {'train': {'x_train': 'x', 'y_train': 'y'}, 'test': {'x_test': 'x', 'y_test': 'y'}}
    """
    found: dict[str, dict[str, str]] = {}
    for array in arrays:
        *before, last = parts = re.split("[/_]", array)
        split, rest = (last, before) if last.lower() in SPLITS else (parts[0], parts[1:])
        if split.lower() not in SPLITS or not any(rest):
            return None
        found.setdefault(split.lower(), {})[array] = "_".join(rest)
    streams = {tuple(sorted(some.values())) for some in found.values()}
    return found if len(found) > 1 and len(streams) == 1 else None


def of_array_splits(
    reader: Reader, path: Path, by_split: Mapping[str, Mapping[str, str]], target: str | None, split_of: Any
) -> Inferred:
    """Infer the streams of each split, which must have the same formats; `split_of(reader, plain)` returns a split."""
    every = {split: _streams(reader, path, split, arrays, target) for split, arrays in by_split.items()}
    (first, streams), *others = every.items()
    formats: dict[str, Format] = {name: one.format for name, one in streams.items()}
    for split, some in others:
        if wrong := next((name for name in formats if some[name].format != formats[name]), None):
            raise UsageError(
                f"Stream {wrong!r} is {formats[wrong]} in split {first}, and {some[wrong].format} in {split}. Give "
                'arrays of one dtype and shape, or select some with options={"arrays": [...]}.'
            )
    splits: dict[str, Split] = {}
    for split, some in every.items():
        chosen = Reader(reader.name, {**reader.options, "arrays": [one.plain["from"] for one in some.values()]})
        splits[split] = split_of(chosen, {name: one.plain for name, one in some.items()})
    sample = next((name for name in formats if name != target), None) if target and len(formats) == 2 else None
    why = {name: one.why for name, one in streams.items()}
    return Inferred(formats, splits, sample, target, why, streams[target].tally if target else None)


def _streams(reader: Reader, path: Path, split: str, arrays: Mapping[str, str], target: str | None) -> dict[str, Found]:
    names = stream_names([*arrays.values()])
    if target is not None and target not in names.values():
        raise UsageError(f"There is no stream {target!r}, which should be the target.{nearest(target, names.values())}")
    predicted = next((array for array, stream in arrays.items() if names[stream] == target), None)
    chosen = Reader(reader.name, {**reader.options, "arrays": [*arrays]})
    found = streams_in(chosen, {f"{path.name} of {split}": path}, predicted, {})
    return {names[arrays[one.plain["from"]]]: one for one in found}
