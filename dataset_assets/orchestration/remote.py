"""Datasets and remotes in Dagster: an asset that pushes each release, and a remote that is watched and pulled from."""

import warnings
from typing import Any

import dagster as dg

from dataset_assets.core.names import check_dataset_name
from dataset_assets.core.redact import redacted
from dataset_assets.definition.dataset import Dataset
from dataset_assets.errors import Conflict
from dataset_assets.moving.copy import copy
from dataset_assets.moving.remotes import open_remote
from dataset_assets.orchestration import keys
from dataset_assets.orchestration.elsewhere import warn_if_elsewhere
from dataset_assets.orchestration.io_manager import StorageIOManager
from dataset_assets.orchestration.ops import Steps
from dataset_assets.orchestration.retries import no_vain_retries
from dataset_assets.storage import Storage
from dataset_assets.storage.stored_dataset import StoredDataset

PUSHED, REMOTE = "pushed", "remote"
"""The first part of the keys of assets that push a dataset, and of datasets as a remote has them."""


def pushed(dataset: Dataset, push_to: str, steps: Steps) -> dg.AssetsDefinition:
    """Return the asset that copies a release to a remote; it is stale when another version was released.

    A version that somebody else made current there is not displaced: the step fails.
    """

    @dg.multi_asset(
        name=steps.step(f"{PUSHED}.{dataset.name}"),
        specs=steps.specs(
            dg.AssetSpec(
                keys.remote_key(PUSHED, dataset.name),
                deps=[keys.key(dataset.name)],
                description=f"The release of {dataset.name} in {redacted(push_to)}.",
                group_name=keys.group(dataset.name),
                kinds={"push"},
            )
        ),
        **steps.options(),
    )
    def push(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        with no_vain_retries():
            return _copied(dataset.name, _storage(context, steps.io), open_remote(push_to))

    return push


def pulled(name: str, pull_from: str, steps: Steps) -> list[Any]:
    """Return a dataset as a remote has it, to be observed, and the asset that pulls it when it changed there."""
    name = check_dataset_name(name)
    far = keys.remote_key(REMOTE, name)

    def observe() -> dg.DataVersion:
        found = StoredDataset(open_remote(pull_from), name).pointer().version
        return dg.DataVersion(found or "absent")

    with warnings.catch_warnings():
        # It is marked beta and is the public way to watch what others make.
        warnings.simplefilter("ignore", dg.BetaWarning)
        observed = dg.observable_source_asset(
            key=far,
            group_name=keys.group(name),
            description=f"{name} in {_shown(pull_from)}. Observing it asks which version is current there.",
        )(observe)

    @dg.multi_asset(
        name=steps.step(name),
        specs=steps.specs(
            dg.AssetSpec(
                keys.key(name),
                deps=[far],
                description=f"{name}, pulled from {_shown(pull_from)}.",
                group_name=keys.group(name),
                metadata={"dagster/io_manager_key": steps.io, keys.DATASET: name},
                kinds={"pull"},
                automation_condition=dg.AutomationCondition.eager(),
            )
        ),
        **steps.options(),
    )
    def pull(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        with no_vain_retries():
            return _copied(name, open_remote(pull_from), _storage(context, steps.io))

    return [observed, pull]


def _shown(url: str) -> str:
    return redacted(url) or "the remote"


def _storage(context: dg.AssetExecutionContext, io: str) -> Storage:
    connector: StorageIOManager = getattr(context.resources, io)
    storage = connector.opened()
    warn_if_elsewhere(context, storage)
    return storage


def _copied(name: str, source: Storage, target: Storage) -> dg.MaterializeResult[Any]:
    (done,) = copy(name, source, target)
    if done.current is None or done.offered:
        raise Conflict(
            f"{name}: version {done.current} of somebody else is current in {target.url}, and stays so; {done.offered} "
            f"is stored beside it. Make it current with: dataset-assets copy {name} --make-current --from {source.url} "
            f"--to {target.url}"
        )
    moved = {"files": done.files, "bytes": done.bytes, "already there": done.present}
    return dg.MaterializeResult(data_version=dg.DataVersion(done.current), metadata={"version": done.current, **moved})
