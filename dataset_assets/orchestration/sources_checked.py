"""A check on each retrieved file: is it still at its source, as it was retrieved? It downloads and makes nothing."""

from typing import Iterator, Mapping, Sequence

import dagster as dg

from dataset_assets.definition.dataset import Dataset
from dataset_assets.making.source_checks import CheckedFile, check_sources
from dataset_assets.orchestration import keys
from dataset_assets.orchestration.io_manager import StorageIOManager
from dataset_assets.orchestration.markdown import prose
from dataset_assets.orchestration.ops import Steps

SOURCE = "source"
FINE = ("ok", "skipped")
SHOWN = 20


def source_check(
    dataset: Dataset, steps: Steps, renamed: Mapping[dg.AssetKey, dg.AssetKey]
) -> dg.AssetChecksDefinition:
    """Return the checks of a dataset's sources. A run that materializes asks no source twice, so they do nothing there.

    Execute them on the page of a raw file, or with a job of `AssetSelection.checks(...)`. `renamed` are the keys that
    the project has changed.
    """
    one, names = steps.has_one(dataset), dataset.remote_files
    usual = {name: keys.key(dataset.name, "raw", *([] if one else [name])) for name in names}
    raw = {renamed.get(key, key): name for name, key in usual.items()}
    description = "The source has the file, as it was retrieved. Only headers are asked for."

    @dg.multi_asset_check(
        name=steps.step(dataset.name, "raw", SOURCE),
        specs=[dg.AssetCheckSpec(SOURCE, asset=key, description=description) for key in raw],
        **steps.options(),
        can_subset=True,
    )
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        if context.job_def.asset_layer.executable_asset_keys:
            return
        connector: StorageIOManager = getattr(context.resources, steps.io)
        asked = {raw[key.asset_key]: key.asset_key for key in context.selected_asset_check_keys}
        found = check_sources(dataset, storage=connector.opened(), files=names if one else asked)
        if one:
            yield _of_all(found, *asked.values())
        else:
            yield from (_result(checked, asked[checked.file]) for checked in found)

    return check


def _of_all(found: Sequence[CheckedFile], key: dg.AssetKey) -> dg.AssetCheckResult:
    wrong = {checked.file: checked.message for checked in found if checked.status not in FINE}
    return dg.AssetCheckResult(
        passed=not wrong,
        asset_key=key,
        check_name=SOURCE,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Of {len(found):,} files, {len(wrong):,} are not at their source as they were retrieved.",
        metadata={"files": len(found), "wrong": len(wrong), "first": dict([*wrong.items()][:SHOWN])},
    )


def _result(checked: CheckedFile, key: dg.AssetKey) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=checked.status in FINE,
        asset_key=key,
        check_name=SOURCE,
        severity=dg.AssetCheckSeverity.WARN,
        description=prose(checked.message or "The source has the file."),
        metadata={"status": checked.status, "urls": dg.MetadataValue.json(checked.to_dict()["urls"])},
    )
