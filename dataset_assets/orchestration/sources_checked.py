"""A check on each retrieved file: is it still at its source, as it was retrieved? It downloads and makes nothing."""

from typing import Iterator

import dagster as dg

from dataset_assets.definition.dataset import Dataset
from dataset_assets.making.source_checks import CheckedFile, check_sources
from dataset_assets.orchestration import keys
from dataset_assets.orchestration.io_manager import StorageIOManager
from dataset_assets.orchestration.markdown import prose
from dataset_assets.orchestration.ops import Steps

SOURCE = "source"


def source_check(dataset: Dataset, steps: Steps) -> dg.AssetChecksDefinition:
    """Return the checks of a dataset's sources. A run that materializes asks no source twice, so they do nothing there.

    Execute them on the page of a raw file, or with a job of `AssetSelection.checks(...)`.
    """
    raw = {keys.key(dataset.name, "raw", name): name for name in dataset.remote_files}
    description = "The source has the file, as it was retrieved. Only headers are asked for."

    @dg.multi_asset_check(
        name=keys.op_name(dataset.name, "raw", SOURCE),
        specs=[dg.AssetCheckSpec(SOURCE, asset=key, description=description) for key in raw],
        **steps.options(),
        can_subset=True,
    )
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        if context.job_def.asset_layer.executable_asset_keys:
            return
        connector: StorageIOManager = getattr(context.resources, steps.io)
        asked = {raw[key.asset_key]: key.asset_key for key in context.selected_asset_check_keys}
        for checked in check_sources(dataset, storage=connector.opened(), files=asked):
            yield _result(checked, asked[checked.file])

    return check


def _result(checked: CheckedFile, key: dg.AssetKey) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=checked.status in ("ok", "skipped"),
        asset_key=key,
        check_name=SOURCE,
        severity=dg.AssetCheckSeverity.WARN,
        description=prose(checked.message or "The source has the file."),
        metadata={"status": checked.status, "urls": dg.MetadataValue.json(checked.to_dict()["urls"])},
    )
