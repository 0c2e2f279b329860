"""Infers the streams of several files of rows together, which must have the same columns."""

from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Iterable, Iterator, Mapping

from dataset_assets.decoding.column_samples import ROWS
from dataset_assets.decoding.csv_arrow import TypesChanged
from dataset_assets.errors import UsageError
from dataset_assets.sources.arrays import streams_of_arrays, tally_of
from dataset_assets.sources.columns import Found, streams_of
from dataset_assets.sources.kinds import ARRAYS, Reader
from dataset_assets.sources.parquet_footers import known_columns


def streams_in(
    reader: Reader, paths: Mapping[str, Path], target: str | None, classes: Mapping[str, list[str]]
) -> list[Found]:
    """Return the streams of files, by what each is called in an error. Raises `UsageError` as `streams_of` does."""
    try:
        return _streams_in(reader, paths, target, classes, once=True)
    except TypesChanged:
        return _streams_in(reader, paths, target, classes, once=False)


def _streams_in(
    reader: Reader, paths: Mapping[str, Path], target: str | None, classes: Mapping[str, list[str]], once: bool
) -> list[Found]:
    columns: dict[str, list[str]] = {}
    known = known_columns(reader, [*paths.values()], target)
    if known:
        left = [name for name, seen in known.items() if seen.kind is None]
        reader, paths = Reader(reader.name, {**reader.options, "columns": left}), paths if left else {}
    # The first block of arrays has all dtypes and shapes.
    most = 1 if reader.name in ARRAYS else None
    blocks = chain.from_iterable(
        _noted(islice(reader.blocks(path, once), most), called, columns) for called, path in paths.items()
    )
    try:
        if reader.name in ARRAYS:
            found = streams_of_arrays([*blocks], target)
        else:
            found = streams_of(blocks, target, classes, reader.name == "csv_blocks", known)
    finally:
        # Also if the target is missing, because a file lacks it.
        if reader.name not in ROWS:
            _check_same(columns)
    return [_tallied(one, reader, [*paths.values()]) if one.plain["from"] == target else one for one in found]


def _noted(blocks: Iterable[Any], called: str, columns: dict[str, list[str]]) -> Iterator[Any]:
    for block in blocks:
        columns.setdefault(called, [*block])
        yield block


def _check_same(columns: Mapping[str, list[str]]) -> None:
    """Raise `UsageError` for a file that lacks a column of another; rows of JSON may lack one."""
    every = {column: called for called, some in columns.items() for column in some}
    for called, some in columns.items():
        if lacks := [column for column in every if column not in some]:
            others = f" and {len(lacks) - 1} more" if len(lacks) > 1 else ""
            raise UsageError(
                f"{called} has no column {lacks[0]!r:.80}{others}, but {every[lacks[0]]} has. Give files with the same "
                "columns, or call dataset_from() for each alone."
            )


def _tallied(found: Found, reader: Reader, paths: list[Path]) -> Found:
    """Count the values of an array, which is read alone; those of a column were counted."""
    if reader.name not in ARRAYS or found.plain["as"] != "numbers":
        return found
    array = found.plain["from"]
    options = reader.options if reader.name == "npy" else {**reader.options, "arrays": [array]}
    blocks = chain.from_iterable(map(Reader(reader.name, options).blocks, paths))
    return replace(found, tally=tally_of(block[array] for block in blocks))
