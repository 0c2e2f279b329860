"""Makes the splits that store row numbers: which rows of another split of the dataset they consist of."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Mapping, Sequence

from dataset_assets.definition.dataset import Dataset, Split
from dataset_assets.definition.divided import rows_of
from dataset_assets.errors import at
from dataset_assets.formats.columns import Indices
from dataset_assets.making.steps import StagedSplit, split_arguments, with_findings
from dataset_assets.reading.row_numbers import taken, write_numbers
from dataset_assets.reading.stored_files import index_of, opener_of
from dataset_assets.reading.streaming import value_columns
from dataset_assets.reading.views import Selected, Stored
from dataset_assets.storage.format_numbers import format_of
from dataset_assets.storage.manifest import RowNumbers, SplitIndex, StoredFile, StoredStream, UsedFile

WHOLE = "whole"
"""The argument that is the split that is divided."""


def stores_rows(defined: Split) -> bool:
    """Say whether only the row numbers of a split are stored."""
    return defined.function is rows_of


def divide(
    dataset: Dataset,
    split: str,
    recipe: str,
    used: Sequence[UsedFile],
    opened: Mapping[str, Any],
    folder: Path,
    excluded: str = "",
) -> StagedSplit:
    """Choose the rows of a split, write their numbers into the scratch folder, and check its samples.

    `excluded` is the digest of the rules by which samples were left out of the other split on request.
    """
    defined, whole = dataset.splits[split], opened[WHOLE]
    with at(f"{dataset.name}, split {split}"):
        part = defined.function(**defined.plain, **opened)
        assert isinstance(part, Selected) and part.parents == (whole,), "a part selects rows of the whole"
        numbers = _of_values(whole, part.indices)
        streams, rows = _written(whole, numbers, folder)
    index = SplitIndex(
        dataset=dataset.name,
        split=split,
        version=dataset.version,
        samples=len(numbers),
        streams=streams,
        sources=tuple(used),
        arguments={**defined.plain, **split_arguments(defined, opened)},
        roles=dict(dataset.roles),
        license=dataset.license,
        findings=(),
        recipe=recipe,
        format=format_of(excluded, divided=True, placed=index_of(whole).placed is not None),
        excluded=excluded,
        rows=rows[0],
        placed=index_of(whole).placed,
    )
    columns = taken(value_columns(opener_of(whole)), numbers)
    return StagedSplit(with_findings(index, columns), {name: () for name in streams}, rows=rows[1])


def _of_values(whole: Stored, rows: Indices) -> Indices:
    """Return the numbers of rows in the split that stores the values, if the divided one stores row numbers itself."""
    return rows if index_of(whole).rows is None else opener_of(whole).row_numbers()[rows]


def _written(whole: Stored, numbers: Indices, folder: Path) -> tuple[dict[str, StoredStream], tuple[RowNumbers, Path]]:
    """Write row numbers; return the streams that they are rows of."""
    index = index_of(whole)
    samples = index.rows.of if index.rows else index.samples
    part = write_numbers(numbers, samples, folder)
    file = StoredFile(part.sha256, part.bytes, len(numbers))
    rows = replace(index.rows, file=file) if index.rows else RowNumbers(index.split, whole.origin.index, samples, file)
    return dict(index.streams), (rows, part.path)
