"""A check on each retrieved file: is it still at its source, as it was retrieved? It downloads and makes nothing."""

from itertools import islice
from typing import Iterable, Iterator, Mapping, Sequence

import dagster as dg

from dataset_assets.core.canonical import sha256_hex
from dataset_assets.definition.dataset import Dataset
from dataset_assets.definition.partitioned import partitioned_files
from dataset_assets.making.source_checks import CheckedFile, check_sources
from dataset_assets.orchestration import keys
from dataset_assets.orchestration.io_manager import StorageIOManager
from dataset_assets.orchestration.markdown import prose
from dataset_assets.orchestration.ops import Steps
from dataset_assets.storage import Storage

SOURCE = "source"
FINE = ("ok", "skipped")
SHOWN = 20
TOGETHER = 100
"""The datasets whose sources one step checks."""


def source_checks(
    datasets: Iterable[Dataset], steps: Steps, renamed: Mapping[dg.AssetKey, dg.AssetKey]
) -> Iterator[dg.AssetChecksDefinition]:
    """Yield the checks of the sources of datasets: one step for many of them, because a step each takes long to load.

    A run that materializes asks no source twice, so they do nothing there. Execute them on the page of a raw file, or
    with a job of `AssetSelection.checks(...)`. `renamed` are the keys that the project has changed.
    """
    left = iter([dataset for dataset in datasets if dataset.remote_files.keys() - partitioned_files(dataset).keys()])
    while some := [*islice(left, TOGETHER)]:
        yield _source_check(some, steps, renamed)


def _source_check(
    datasets: Sequence[Dataset], steps: Steps, renamed: Mapping[dg.AssetKey, dg.AssetKey]
) -> dg.AssetChecksDefinition:
    raw = {renamed.get(key, key): place for dataset in datasets for key, place in _places(dataset, steps)}
    description = (
        "The source has the file, as it was retrieved. It asks for headers only. It warns, and blocks nothing."
    )

    @dg.multi_asset_check(
        name=_name(datasets, steps),
        specs=[dg.AssetCheckSpec(SOURCE, asset=key, description=description) for key in raw],
        **steps.options(),
        can_subset=True,
    )
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        if context.job_def.asset_layer.executable_asset_keys:
            return
        connector: StorageIOManager = getattr(context.resources, steps.io)
        asked: dict[str, dict[str, dg.AssetKey]] = {}
        for key in sorted(each.asset_key for each in context.selected_asset_check_keys):
            name, file = raw[key]
            asked.setdefault(name, {})[file] = key
        for dataset in datasets:
            if dataset.name in asked:
                yield from _checked(dataset, asked[dataset.name], connector.opened())

    return check


def _name(datasets: Sequence[Dataset], steps: Steps) -> str:
    first, *more = [dataset.name for dataset in datasets]
    others = [f"and_{len(more)}_{sha256_hex(','.join(more).encode())[:8]}"] if more else []
    return steps.step(first, "raw", SOURCE, *others)


def _places(dataset: Dataset, steps: Steps) -> Iterator[tuple[dg.AssetKey, tuple[str, str]]]:
    """Yield the key of each raw file with its dataset and name, or that of all files with an empty name."""
    if steps.has_one(dataset):
        yield keys.key(dataset.name, "raw"), (dataset.name, "")
    else:
        yield from ((keys.key(dataset.name, "raw", name), (dataset.name, name)) for name in dataset.remote_files)


def _checked(dataset: Dataset, asked: Mapping[str, dg.AssetKey], storage: Storage) -> Iterator[dg.AssetCheckResult]:
    if "" in asked:
        yield _of_all(check_sources(dataset, storage=storage), asked[""])
    else:
        yield from (_result(found, asked[found.file]) for found in check_sources(dataset, storage=storage, files=asked))


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
