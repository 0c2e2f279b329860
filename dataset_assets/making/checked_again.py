"""Runs checks again on the version that is released, as it is stored; nothing is made or written."""

from dataclasses import replace
from typing import Collection, Iterator, Mapping

from dataset_assets.checks.thresholds import Drift
from dataset_assets.definition.dataset import Dataset
from dataset_assets.errors import NotPrepared
from dataset_assets.making.recipe import release_recipe
from dataset_assets.making.steps import with_findings
from dataset_assets.making.version_checks import check_of, split_findings, version_finding
from dataset_assets.reading.load import open_split
from dataset_assets.reading.stored_files import index_of
from dataset_assets.reading.streaming import streaming_columns
from dataset_assets.reading.views import Stored
from dataset_assets.storage.manifest import Finding, Version
from dataset_assets.storage.stored_dataset import StoredDataset


def checked_again(dataset: Dataset, stored: StoredDataset, checks: Collection[str]) -> tuple[str, list[Finding]]:
    """Return the digest of the released version, and what these checks find in it.

    They have the names of the findings of a version: `leakage`, and `train.counts` for a check of a split. Raises
    `NotPrepared` if nothing is released, or if the version has other splits than the definition.
    """
    digest = stored.pointer().version
    if digest is None:
        raise stored.absent(" Nothing is released, so there is nothing to check.")
    version = stored.version(digest)
    asked = {name.rpartition(".")[0] for name in checks}
    needed = dataset.splits if "" in asked else [split for split in dataset.splits if split in asked]
    if absent := [split for split in needed if split not in version.splits]:
        raise NotPrepared(
            f"The released version {digest} of {dataset.name} has no split {', '.join(absent)}. Release a version of "
            "the definition as it is now, then check it."
        )
    views = {split: open_split(stored, split, version.splits[split]) for split in needed}
    found = [finding for split in needed if split in asked for finding in _of_split(dataset, views[split])]
    found += _across(dataset, version, views, [name for name in checks if "." not in name])
    return digest, [finding for finding in found if finding.check in checks]


def _of_split(dataset: Dataset, view: Stored) -> list[Finding]:
    index = index_of(view)
    # In the order of the definition, in which messages name them; an index has them by name.
    named = [name for name in dataset.streams if name in index.streams]
    ordered = replace(index, streams={name: index.streams[name] for name in dict.fromkeys([*named, *index.streams])})
    return split_findings(dataset, with_findings(ordered, streaming_columns(view)))


def _across(
    dataset: Dataset, version: Version, views: Mapping[str, Stored], names: Collection[str]
) -> Iterator[Finding]:
    """Yield the findings of checks across splits."""
    is_same = version.recipe == release_recipe(dataset, version.splits)
    recorded = {finding.check: finding for finding in version.findings if is_same}
    for name in names:
        # Which version was current before this one is not stored.
        if not isinstance(check_of(dataset, name), Drift):
            yield version_finding(dataset, name, views, dict)
        elif name in recorded:
            yield recorded[name]
        else:
            said = "It compares a new version with the one before it, so it runs when a version is released."
            yield Finding(name, True, said, dataset.severity(name))
