"""Leaves out of a split the samples that were taken out of its dataset on request."""

from dataclasses import dataclass
from typing import Any, Iterable, Mapping

import numpy as np

from dataset_assets.definition.dataset import Dataset
from dataset_assets.errors import Refused
from dataset_assets.formats.columns import Columns, Indices, pick, values_of
from dataset_assets.storage.exclusions import Exclusions, Rule, own_rules
from dataset_assets.storage.stored_dataset import StoredDataset


@dataclass(frozen=True)
class Excluder:
    """Rules of a dataset, and the digest of all rules in its record, by which a split is made."""

    rules: tuple[Rule, ...] = ()
    digest: str = ""

    @staticmethod
    def of(dataset: Dataset, stored: StoredDataset, found: Exclusions) -> "Excluder":
        """Return what leaves out the samples of a dataset. Raises `Refused` if a stream of a rule is gone."""
        rules = own_rules(stored, found)
        if gone := sorted({rule.stream for rule in rules} - dataset.streams.keys()):
            raise Refused(
                f"Samples were taken out of {dataset.name} by their stream {gone[0]}, which its definition does not "
                "have. They would come back, so nothing is made. Declare the stream again."
            )
        return Excluder(rules, found.digest)

    def leaves_out(self, sample: Mapping[str, Any]) -> bool:
        """Say whether a sample is excluded."""
        return bool(self.rules) and any(rule.has(sample[rule.stream]) for rule in self.rules)

    def rows_left(self, block: Columns) -> Indices | None:
        """Return the rows of a block that are not excluded; None if no row is."""
        keep = np.ones(block.samples, bool)
        for rule in self.rules:
            keep &= np.array([not rule.has(value) for value in _values(block[rule.stream])], bool)
        return None if keep.all() else np.flatnonzero(keep)


LEAVES_OUT_NOTHING = Excluder()


def _values(column: Any) -> Iterable[Any]:
    """Return the values of a column of any kind that a split may yield."""
    return values_of(column) if isinstance(column, (np.ndarray, list)) or hasattr(column, "to_pylist") else list(column)


def picked(column: Any, rows: Indices) -> Any:
    """Return some rows of a column of any kind that a split may yield."""
    if hasattr(column, "iloc"):  # a Series of pandas
        return column.iloc[rows]
    if isinstance(column, (np.ndarray, list)) or hasattr(column, "take"):
        return pick(column, rows)
    return [column[i] for i in rows.tolist()]
