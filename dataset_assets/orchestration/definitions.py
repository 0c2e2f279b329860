"""The Dagster definitions of datasets: those that `workspace.yaml` loads, or those that another project adopts."""

import functools
import logging
from typing import Any, Mapping, Sequence

import dagster as dg

from dataset_assets.definition import registry
from dataset_assets.definition.dataset import Dataset
from dataset_assets.definition.linked import see_no_circle
from dataset_assets.orchestration import keys
from dataset_assets.orchestration.assets import assets_of
from dataset_assets.orchestration.elsewhere import warn_if_deployed_elsewhere
from dataset_assets.orchestration.io_manager import StorageIOManager
from dataset_assets.orchestration.ops import MOST_DATASETS, OpOptions, RawAssets, Steps
from dataset_assets.orchestration.refresh import refreshing
from dataset_assets.orchestration.remote import pulled, pushed
from dataset_assets.orchestration.shown import chosen
from dataset_assets.orchestration.sources_checked import source_checks
from dataset_assets.orchestration.sources_observed import observed_files, source_observed
from dataset_assets.orchestration.translation import Translated, Translation, translated

log = logging.getLogger(__name__)


def definitions(
    *patterns: str | Dataset,
    storage: str = "",
    datasets: Sequence[Dataset] = (),
    push_to: str = "",
    pull: Sequence[str] = (),
    pull_from: str = "",
    resource_key: str = "",
    op: OpOptions | None = None,
    refresh_unmade: bool = False,
    raw_assets: RawAssets = "",
    translation: Translation | None = None,
    observe_sources: bool = False,
) -> dg.Definitions:
    """Return the assets, checks and IO manager of the registered datasets that match, and of the given ones.

    A pattern may be the name of a member of a family, `name[lang=fr]`, or of all its members, `name[*]`. Name the
    datasets that they are made of too. `storage` is a URL; without one the settings decide. The key of the resource
    that stores there is made from it, so that a project may have several storages, or is the given `resource_key`.
    With `push_to`, the URL of a remote, each dataset has an asset that pushes its release. `pull` names datasets of
    the remote `pull_from`, by default the setting `remote`: each is observed there, and has an asset that pulls it.
    `op` is what each step is given: a pool, tags and retries. With `refresh_unmade`, the schedule of refreshes makes
    datasets, too, that were never made. With `raw_assets="each"` each raw file is an asset, and each stream. With
    `"one"` a dataset has one asset for all its raw files, and one for each split; by default only one of more than 50
    raw files. A project of many datasets is faster with `"one"`; above 200 of them, the log says so.
    `translation` takes the spec of each asset and returns it as the project wants it: with other groups, owners, tags
    or conditions, or under another key. With `observe_sources` each dataset has an observable asset, `source/...`: it
    asks whether a file has changed at its source, and then the next run asks for the file.

    Merge them into a project with `dg.Definitions.merge(theirs, definitions("com.lecun.*", storage="file:///data"))`.
    Raises `UnknownDataset` for a pattern that matches none, and `DefinitionError` if a dataset is made of itself.
    """
    named = [pattern for pattern in patterns if not isinstance(pattern, Dataset)]
    defined = [pattern for pattern in patterns if isinstance(pattern, Dataset)]
    warn_if_deployed_elsewhere(_connector(storage).url)
    adopted = {dataset.name: dataset for pattern in named for dataset in registry.matching(pattern)}
    adopted |= {dataset.name: dataset for dataset in (*defined, *datasets)}
    # A dataset that is linked may be in the definitions of somebody else.
    see_no_circle(adopted.values())
    given = Translated(translation) if translation else None
    io = resource_key or keys.io_key(storage)
    steps = Steps(io, op or OpOptions(), refresh_unmade, raw_assets, observe_sources, given)
    jobs, schedules = refreshing(list(adopted.values()))
    made = [asset for dataset in adopted.values() for asset in assets_of(dataset, steps)]
    if not raw_assets and len(adopted) > MOST_DATASETS:
        _advise(len(adopted), sum(len(asset.keys) for asset in made))
    made += [pushed(dataset, push_to, steps) for dataset in adopted.values() if push_to]
    made += [asset for name in pull for asset in pulled(name, pull_from, steps)]
    made += [source_observed(dataset) for dataset in adopted.values() if observe_sources and observed_files(dataset)]
    assets, renamed = translated(made, given)
    return dg.Definitions(
        assets=assets,
        asset_checks=[*source_checks(adopted.values(), steps, renamed)],
        jobs=[*jobs, *(_job(dataset, renamed) for dataset in adopted.values() if dataset.job)],
        schedules=schedules,
        resources={steps.io: _connector(storage)},
    )


def _advise(datasets: int, assets: int) -> None:
    """Say how a project of many datasets is faster; whoever chooses either way is not told."""
    log.warning(
        "%s datasets are %s assets in Dagster, which takes long to load and to draw. raw_assets='one' gives each "
        "dataset one asset for its files and one for each split; raw_assets='each' keeps them without this message.",
        f"{datasets:,}",
        f"{assets:,}",
    )


@functools.cache
def _connector(storage: str) -> StorageIOManager:
    # Dagster merges definitions that have one and the same resource, but not two equal ones.
    return StorageIOManager(storage=storage)


def _job(dataset: Dataset, renamed: Mapping[dg.AssetKey, dg.AssetKey]) -> Any:
    key = keys.key(dataset.name)
    selection = dg.AssetSelection.assets(renamed.get(key, key)).upstream()
    return dg.define_asset_job(keys.job_name(dataset.name), selection)


@dg.definitions
def defs() -> dg.Definitions:
    """All registered datasets, or those that the UI shows; a run's steps go one after the other in its process."""
    return dg.Definitions.merge(definitions(*chosen()), dg.Definitions(executor=dg.in_process_executor))
