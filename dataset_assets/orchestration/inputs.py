"""Released datasets as inputs of a project's own assets, by key: also of datasets that another code location makes."""

from typing import Sequence

import dagster as dg

from dataset_assets.core.names import check_dataset_name, check_identifier
from dataset_assets.definition import registry
from dataset_assets.definition.dataset import Dataset
from dataset_assets.orchestration import keys
from dataset_assets.orchestration.specs import external_spec


def asset_in(dataset: str, split: str | None = None, *, key_prefix: str | Sequence[str] = ()) -> dg.AssetIn:
    """Return an input that is a released dataset: a `View` of one split, or without `split` a dict of all of them.

    It depends on the release, so a version that a check refused never reaches it. The annotation may ask for a table
    or a torch dataset instead of a view. `key_prefix` is that of its key, if its definitions have one. Raises
    `NameNotAllowed`.
    """
    name = check_dataset_name(dataset)
    wanted = {} if split is None else {keys.WANTED: check_identifier(split, "split")}
    key = keys.key(name).with_prefix(key_prefix) if key_prefix else keys.key(name)
    return dg.AssetIn(key, metadata={keys.DATASET: name, **wanted})


def dataset_specs(*patterns: str, datasets: Sequence[Dataset] = (), resource_key: str = keys.IO) -> list[dg.AssetSpec]:
    """Return the releases of registered datasets as external assets, for a code location that does not make them.

    `resource_key` is that of the `StorageIOManager` that reads them. Raises `UnknownDataset` for a pattern that
    matches no dataset.
    """
    chosen = {dataset.name: dataset for pattern in patterns for dataset in registry.matching(pattern)}
    chosen |= {dataset.name: dataset for dataset in datasets}
    return [external_spec(dataset, resource_key) for dataset in chosen.values()]
