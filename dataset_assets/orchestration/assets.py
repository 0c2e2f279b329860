"""The assets of a dataset: raw files -> streams -> splits -> the dataset, which releases a version.

Bodies make, the IO manager publishes. A body whose work is already stored says so and does nothing.
"""

from contextlib import ExitStack
from typing import Any, Iterable, Iterator

import dagster as dg

from dataset_assets.core.settings import settings
from dataset_assets.definition.dataset import Dataset, DerivedFile, RemoteFile
from dataset_assets.making.checks import SPLIT_CHECKS
from dataset_assets.making.inputs import File
from dataset_assets.making.prepare import check_version, refuse_or_pass, split_findings, version_checks
from dataset_assets.making.recipe import release_recipe
from dataset_assets.making.steps import RawFile, StagedSplit, derive, make_split, stage_raw
from dataset_assets.orchestration import keys
from dataset_assets.orchestration.handover import Handed, Made, OpenedRaw, Release, StagedFile, StagedStream, Upstream
from dataset_assets.orchestration.io_manager import StorageIOManager
from dataset_assets.orchestration.refresh import is_refresh
from dataset_assets.orchestration.retries import no_vain_retries
from dataset_assets.orchestration.specs import check_specs, dataset_spec, raw_spec, split_specs
from dataset_assets.orchestration.workbench import Workbench
from dataset_assets.storage.manifest import Finding, SplitIndex, Version, digest_of

_LEVELS = {"error": dg.AssetCheckSeverity.ERROR, "warn": dg.AssetCheckSeverity.WARN}


def assets_of(dataset: Dataset) -> list[dg.AssetsDefinition]:
    """Return the assets of one dataset."""
    derived = [file for file in dataset.files.values() if isinstance(file, DerivedFile) and file.keep]
    return [
        *([_raw_files(dataset)] if dataset.remote_files else []),
        *(_derived_file(dataset, file) for file in derived),
        *(_split(dataset, split) for split in dataset.splits),
        _release(dataset),
    ]


def _raw_files(dataset: Dataset) -> dg.AssetsDefinition:
    """Return the assets of all retrieved files, any of which may be materialised alone."""
    files = {keys.key(dataset.name, "raw", name): file for name, file in dataset.remote_files.items()}

    @dg.multi_asset(
        name=keys.op_name(dataset.name, "raw"),
        specs=[raw_spec(dataset, file) for file in files.values()],
        required_resource_keys={keys.IO},
        can_subset=True,
    )
    def retrieve(context: dg.AssetExecutionContext) -> Iterator[Any]:
        with no_vain_retries(), Workbench(dataset, _connector(context), {}) as bench:
            began, refresh = bench.began, is_refresh(context)
            for key in sorted(context.selected_asset_keys):
                yield _retrieved(bench, files[key], key, refresh, began)

    return retrieve


def _retrieved(bench: Workbench, file: RemoteFile, key: dg.AssetKey, refresh: bool, began: str) -> dg.Output[Any]:
    """Retrieve a file, unless it is stored and this is no refresh, or its source has nothing new."""
    dataset, connector = bench.dataset, bench.connector
    usable = connector.usable_raw(dataset, file)
    if usable is not None and not refresh:
        return _output(key, Handed(Made(dataset.name, usable), began), usable.sha256)
    # A refresh takes what comes; else what comes must be what was recorded.
    known = usable if refresh else connector.recorded_raw(dataset, file)
    staged = stage_raw(dataset, file, bench.folder(), known=known, refresh=refresh)
    if staged is None or _same(staged.raw, usable):
        assert usable is not None  # a source is asked whether it changed only when its file is there
        return _output(key, Handed(Made(dataset.name, usable), began), usable.sha256)
    return _output(key, Handed(StagedFile(dataset, staged), began), staged.raw.sha256)


def _same(raw: RawFile, other: RawFile | None) -> bool:
    """Say whether two have the same bytes, and their sources tell the same of themselves."""
    return other is not None and (raw.sha256, raw.source) == (other.sha256, other.source)


def _derived_file(dataset: Dataset, file: DerivedFile) -> dg.AssetsDefinition:
    """Return the asset of a derived file that is kept."""
    needed, key = _at_hand(file.files.values()), keys.key(dataset.name, "raw", file.identifier)

    @dg.multi_asset(
        name=keys.op_name(dataset.name, "raw", file.identifier),
        specs=[raw_spec(dataset, file, _raw_keys(dataset, needed))],
        ins=_raw_inputs(dataset, needed),
        required_resource_keys={keys.IO},
    )
    def derived(context: dg.AssetExecutionContext, **opened: OpenedRaw) -> Iterator[Any]:
        connector = _connector(context)
        with no_vain_retries(), ExitStack() as stack:
            bench = stack.enter_context(Workbench(dataset, connector, opened))
            recipe, began = bench.inputs.identity(file), bench.began
            known = connector.made_raw(dataset, file.identifier, recipe)
            if known is not None:
                yield _output(key, Handed(Made(dataset.name, known), began), known.sha256)
                return
            staged = derive(dataset, file, bench.folder(), bench.inputs.opened(file, stack), recipe)
            yield _output(key, Handed(StagedFile(dataset, staged), began), staged.raw.sha256)

    return derived


def _split(dataset: Dataset, split: str) -> dg.AssetsDefinition:
    """Return the assets of a split and its streams, which one run of the split's function makes."""
    needed = _at_hand(dataset.splits[split].files.values())
    sources = [source.split for source in dataset.splits[split].splits.values()]
    key = keys.key(dataset.name, split)
    active = [check for check in SPLIT_CHECKS if dataset.severity(check) != "off"]

    @dg.multi_asset(
        name=keys.op_name(dataset.name, split),
        specs=split_specs(dataset, split, [*_raw_keys(dataset, needed), *(keys.key(dataset.name, s) for s in sources)]),
        ins=_raw_inputs(dataset, needed) | _split_inputs(dataset, sources),
        check_specs=check_specs(dataset, key, active),
        required_resource_keys={keys.IO},
        op_tags={keys.OURS: ""},
    )
    def make(context: dg.AssetExecutionContext, **opened: OpenedRaw | Upstream) -> Iterator[Any]:
        connector = _connector(context)
        with no_vain_retries(), Workbench(dataset, connector, opened) as bench:
            began, made = bench.began, _made(bench, split)
            index = made.index if isinstance(made, StagedSplit) else _index(made)
            for stream, stored in index.streams.items():
                stream_key = keys.key(dataset.name, split, stream)
                yield _output(stream_key, StagedStream(made, stream), keys.stream_version(stored))
            findings = split_findings(dataset, index)
            yield from _check_results(findings, key, {f"{split}.{check}": check for check in active})
            if any(not finding.passed and finding.severity == "error" for finding in findings):
                if isinstance(made, StagedSplit):
                    connector.keep(made)
                raise _refused(f"{dataset.name}, split {split}, was not released", findings)
            yield _output(key, Handed(made, began), digest_of(index))

    return make


def _made(bench: Workbench, split: str) -> StagedSplit | Made:
    """Make a split in scratch, unless it is stored already."""
    dataset, inputs = bench.dataset, bench.inputs
    recipe = inputs.recipe(split)
    if index := bench.connector.made_split(dataset, split, recipe):
        return Made(dataset.name, index)
    with ExitStack() as stack:
        files = inputs.opened(dataset.splits[split], stack)
        folder, used = bench.folder() / split, inputs.used(split)
        return make_split(dataset, split, recipe, used, files, folder, settings().file_bytes)


def _release(dataset: Dataset) -> dg.AssetsDefinition:
    """Return the asset of the dataset itself: a released version of all its splits."""
    key = keys.key(dataset.name)
    active = version_checks(dataset)

    @dg.multi_asset(
        name=keys.op_name(dataset.name),
        specs=[dataset_spec(dataset)],
        ins=_split_inputs(dataset, dataset.splits),
        check_specs=check_specs(dataset, key, active),
        required_resource_keys={keys.IO},
        op_tags={keys.OURS: ""},
    )
    def release(context: dg.AssetExecutionContext, **given: Upstream) -> Iterator[Any]:
        connector = _connector(context)
        with no_vain_retries():
            expected = _expected(given.values(), connector.pointer(dataset))
            version = _checked(dataset, {upstream.view.split: upstream for upstream in given.values()}, connector)
            yield from _check_results(version.findings, key, {check: check for check in active})
            if version.refused:
                refuse_or_pass(version, connector.keep(version))
            yield _output(key, Release(version, expected), digest_of(version))

    return release


def _checked(dataset: Dataset, given: dict[str, Upstream], connector: StorageIOManager) -> Version:
    """Run the checks across splits, unless the released version is of these splits and passed these checks."""
    recipe = release_recipe(dataset, {split: upstream.view.origin.index for split, upstream in given.items()})
    found = connector.released(dataset, recipe)
    return found or check_version(dataset, {split: upstream.view for split, upstream in given.items()})


def _expected(given: Iterable[Upstream], now: str | None) -> str | None:
    """Return the pointer that may be moved: the one with which this run began, be it moved since or not."""
    seen = [upstream.began or None for upstream in given if upstream.began is not None]
    return next((pointer for pointer in seen if pointer != now), now)


def _at_hand(files: Iterable[File]) -> list[str]:
    """Return the identifiers of the stored files that these need: they themselves, or what they are derived of."""
    found: dict[str, None] = {}
    for file in files:
        if isinstance(file, RemoteFile) or file.keep:
            found[file.identifier] = None
        # A kept file's sources are needed too: they are part of its recipe.
        if isinstance(file, DerivedFile):
            found |= dict.fromkeys(_at_hand(file.files.values()))
    return list(found)


def _raw_keys(dataset: Dataset, names: Iterable[str]) -> list[dg.AssetKey]:
    return [keys.key(dataset.name, "raw", name) for name in names]


def _raw_inputs(dataset: Dataset, names: Iterable[str]) -> dict[str, dg.AssetIn]:
    return {f"file_{name}": dg.AssetIn(keys.key(dataset.name, "raw", name)) for name in names}


def _split_inputs(dataset: Dataset, splits: Iterable[str]) -> dict[str, dg.AssetIn]:
    return {f"split_{split}": dg.AssetIn(keys.key(dataset.name, split)) for split in splits}


def _connector(context: dg.AssetExecutionContext) -> StorageIOManager:
    found: StorageIOManager = getattr(context.resources, keys.IO)
    return found


def _index(made: Made) -> SplitIndex:
    assert isinstance(made.what, SplitIndex)
    return made.what


def _output(key: dg.AssetKey, value: object, version: str) -> dg.Output[Any]:
    return dg.Output(value, output_name=key.to_python_identifier(), data_version=dg.DataVersion(version))


def _check_results(
    findings: Iterable[Finding], key: dg.AssetKey, names: dict[str, str]
) -> Iterator[dg.AssetCheckResult]:
    """Yield what was found by the checks of these names; other releases may have had others."""
    for finding in findings:
        if finding.check in names:
            yield dg.AssetCheckResult(
                passed=finding.passed,
                asset_key=key,
                check_name=names[finding.check],
                severity=_LEVELS[finding.severity],
                description=finding.message,
                metadata={"found": finding.message},
            )


def _refused(what: str, findings: Iterable[Finding]) -> dg.Failure:
    failed = [f"{finding.check}: {finding.message}" for finding in findings if not finding.passed]
    return dg.Failure(f"{what}. {' '.join(failed)}", allow_retries=False)
