"""The assets of a dataset: raw files -> streams -> splits -> the dataset, which releases a version.

Bodies make, the IO manager publishes. A body whose work is already stored says so and does nothing.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Mapping

import dagster as dg

from dataset_assets.checking import SPLIT_CHECKS
from dataset_assets.definition import Dataset, DerivedFile, RemoteFile
from dataset_assets.errors import CheckFailed
from dataset_assets.index import Finding, SplitIndex, digest_of
from dataset_assets.inputs import File, Inputs
from dataset_assets.making import StagedSplit, derive, make_split, stage_raw
from dataset_assets.orchestration import keys
from dataset_assets.orchestration.io_manager import OpenedRaw, StorageIOManager
from dataset_assets.orchestration.refresh import is_refresh
from dataset_assets.orchestration.staged import Made, Release, StagedFile, StagedStream
from dataset_assets.preparing import check_version, refuse_or_pass, split_findings, version_checks
from dataset_assets.recipe import code_of, release_code, split_code
from dataset_assets.retrieval import redacted
from dataset_assets.scratch import scratch_folder
from dataset_assets.settings import settings

RELEASES = "Materializing it checks all splits together and releases them."
_LEVELS = {"error": dg.AssetCheckSeverity.ERROR, "warn": dg.AssetCheckSeverity.WARN}


def assets_of(dataset: Dataset) -> list[dg.AssetsDefinition]:
    """Return the assets of one dataset."""
    kept = [file for file in dataset.files.values() if _kept(file)]
    return [
        *([_raw_files(dataset)] if dataset.remote_files else []),
        *(_derived_file(dataset, file) for file in kept if isinstance(file, DerivedFile)),
        *(_split(dataset, split) for split in dataset.splits),
        _release(dataset),
    ]


def _raw_files(dataset: Dataset) -> dg.AssetsDefinition:
    """Return the assets of all retrieved files, any of which may be materialised alone."""
    files = {keys.key(dataset.name, "raw", name): file for name, file in dataset.remote_files.items()}

    @dg.multi_asset(
        name=keys.op_name(dataset.name, "raw"),
        specs=[_raw_spec(dataset, file) for file in files.values()],
        required_resource_keys={keys.IO},
        can_subset=True,
    )
    def retrieve(context: dg.AssetExecutionContext) -> Iterator[Any]:
        connector, refresh = _connector(context), is_refresh(context)
        with scratch_folder(settings().scratch) as folder:
            for key in sorted(context.selected_asset_keys):
                yield _retrieved(dataset, files[key], connector, folder, key, refresh)

    return retrieve


def _retrieved(
    dataset: Dataset, file: RemoteFile, connector: StorageIOManager, folder: Path, key: dg.AssetKey, refresh: bool
) -> dg.Output[Any]:
    """Retrieve a file, unless it is stored and this is no refresh, or its source says that it is unchanged."""
    usable = connector.usable_raw(dataset, file)
    if usable is not None and not refresh:
        return _output(key, Made(dataset.name, usable), usable.sha256)
    known = usable or connector.recorded_raw(dataset, file)
    staged = stage_raw(dataset, file, folder, known=known, refresh=refresh and usable is not None)
    if staged is None:
        assert usable is not None  # a source is asked whether it changed only when its file is there
        return _output(key, Made(dataset.name, usable), usable.sha256)
    return _output(key, StagedFile(dataset, staged), staged.raw.sha256)


def _derived_file(dataset: Dataset, file: DerivedFile) -> dg.AssetsDefinition:
    """Return the asset of a derived file that is kept."""
    needed = _at_hand(file.files.values())

    @dg.multi_asset(
        name=keys.op_name(dataset.name, "raw", file.identifier),
        specs=[_raw_spec(dataset, file, [keys.key(dataset.name, "raw", name) for name in needed])],
        ins=_raw_inputs(dataset, needed),
        required_resource_keys={keys.IO},
    )
    def derived(context: dg.AssetExecutionContext, **opened: OpenedRaw) -> Iterator[Any]:
        with ExitStack() as stack:
            folder = stack.enter_context(scratch_folder(settings().scratch))
            inputs = _inputs(dataset, opened, lambda: folder)
            recipe = inputs.identity(file)
            known = _connector(context).made_raw(dataset, file.identifier, recipe)
            if known is not None:
                yield _output(keys.key(dataset.name, "raw", file.identifier), Made(dataset.name, known), known.sha256)
                return
            staged = derive(dataset, file, folder, inputs.opened(file, stack), recipe)
            made = StagedFile(dataset, staged)
            yield _output(keys.key(dataset.name, "raw", file.identifier), made, staged.raw.sha256)

    return derived


def _split(dataset: Dataset, split: str) -> dg.AssetsDefinition:
    """Return the assets of a split and its streams, which one run of the split's function makes."""
    needed = _at_hand(dataset.splits[split].files.values())
    split_key = keys.key(dataset.name, split)
    active = [check for check in SPLIT_CHECKS if dataset.severity(check) != "off"]

    @dg.multi_asset(
        name=keys.op_name(dataset.name, split),
        specs=_split_specs(dataset, split, [keys.key(dataset.name, "raw", name) for name in needed]),
        ins=_raw_inputs(dataset, needed),
        check_specs=[dg.AssetCheckSpec(check, asset=split_key) for check in active],
        required_resource_keys={keys.IO},
    )
    def make(context: dg.AssetExecutionContext, **opened: OpenedRaw) -> Iterator[Any]:
        connector = _connector(context)
        with ExitStack() as stack:
            made = _made(dataset, split, opened, connector, stack)
            index = made.index if isinstance(made, StagedSplit) else _index(made)
            for stream, stored in index.streams.items():
                key = keys.key(dataset.name, split, stream)
                yield _output(key, StagedStream(made, stream), keys.stream_version(stored))
            findings = split_findings(dataset, index)
            for finding in findings:
                yield _check_result(finding, split_key, finding.check.removeprefix(f"{split}."))
            if any(not finding.passed and finding.severity == "error" for finding in findings):
                if isinstance(made, StagedSplit):
                    connector.keep(made)
                raise _refused(f"{dataset.name}, split {split}, was not released", findings)
            yield _output(split_key, made, digest_of(index))

    return make


def _made(
    dataset: Dataset, split: str, opened: Mapping[str, OpenedRaw], connector: StorageIOManager, stack: ExitStack
) -> StagedSplit | Made:
    """Make a split in scratch, unless it is stored already."""
    folders = [stack.enter_context(scratch_folder(settings().scratch))]
    inputs = _inputs(dataset, opened, lambda: folders[0])
    recipe = inputs.recipe(split)
    if index := connector.made_split(dataset, split, recipe):
        return Made(dataset.name, index)
    files = inputs.opened(dataset.splits[split], stack)
    size = settings().file_bytes
    return make_split(dataset, split, recipe, inputs.used(split), files, folders[0] / split, size)


def _release(dataset: Dataset) -> dg.AssetsDefinition:
    """Return the asset of the dataset itself: a released version of all its splits."""
    dataset_key = keys.key(dataset.name)
    names = {f"split_{split}": split for split in dataset.splits}
    active = version_checks(dataset)

    @dg.multi_asset(
        name=keys.op_name(dataset.name),
        specs=[_dataset_spec(dataset)],
        ins={name: dg.AssetIn(keys.key(dataset.name, split)) for name, split in names.items()},
        check_specs=[dg.AssetCheckSpec(check, asset=dataset_key) for check in active],
        required_resource_keys={keys.IO},
    )
    def release(context: dg.AssetExecutionContext, **views: Any) -> Iterator[Any]:
        connector = _connector(context)
        pointer = connector.pointer(dataset)
        version = check_version(dataset, {names[name]: view for name, view in views.items()})
        for finding in version.findings:
            if finding.check in active:
                yield _check_result(finding, dataset_key, finding.check)
        if version.refused:
            kept = connector.keep(version)
            try:
                refuse_or_pass(version, kept)
            except CheckFailed as error:
                raise dg.Failure(str(error), allow_retries=False) from error
        yield _output(dataset_key, Release(version, pointer), digest_of(version))

    return release


def _raw_spec(dataset: Dataset, file: File, deps: Iterable[dg.AssetKey] = ()) -> dg.AssetSpec:
    if isinstance(file, RemoteFile):
        made = f"Retrieved from {redacted(file.urls[0])}."
    else:
        made = f"Made by {file.function.__qualname__}."
    return dg.AssetSpec(
        keys.key(dataset.name, "raw", file.identifier),
        deps=list(deps),
        description=f"{made} Stored as it is, under its sha256.",
        group_name=keys.group(dataset.name, "raw"),
        metadata=_metadata(dataset, {keys.FILE: file.identifier}),
        code_version=_file_code(file),
        kinds={"file"},
    )


def _split_specs(dataset: Dataset, split: str, raw: list[dg.AssetKey]) -> list[dg.AssetSpec]:
    code, group = split_code(dataset, split), keys.group(dataset.name, split)
    streams = [
        dg.AssetSpec(
            keys.key(dataset.name, split, stream),
            deps=raw,
            description=f"Stream {stream} of {dataset.name}, split {split}.",
            group_name=group,
            metadata=_metadata(dataset, {keys.SPLIT: split, keys.STREAM: stream}),
            code_version=code,
            kinds={kind.name},
        )
        for stream, kind in dataset.streams.items()
    ]
    index = dg.AssetSpec(
        keys.key(dataset.name, split),
        deps=[spec.key for spec in streams],
        description=(
            f"Split {split} of {dataset.name}: the index of its streams. It stands after them because it is written "
            "after the data; a split exists when its index does."
        ),
        skippable=True,
        group_name=group,
        metadata=_metadata(dataset, {keys.SPLIT: split}),
        code_version=code,
        kinds={"split"},
    )
    return [*streams, index]


def _dataset_spec(dataset: Dataset) -> dg.AssetSpec:
    facts = [("Licence", dataset.license), ("Homepage", dataset.homepage), ("Cite", dataset.citation)]
    lines = [f"**{name}**: {value}" for name, value in facts if value]
    return dg.AssetSpec(
        keys.key(dataset.name),
        deps=[keys.key(dataset.name, split) for split in dataset.splits],
        description="\n\n".join([dataset.summary, *lines, RELEASES]),
        skippable=True,
        group_name=keys.group(dataset.name),
        metadata=_metadata(dataset, {}),
        owners=list(dataset.owners),
        tags={f"dataset_assets/{tag}": "" for tag in dataset.tags},
        code_version=release_code(dataset),
        kinds={"dataset"},
    )


def _metadata(dataset: Dataset, more: Mapping[str, str]) -> dict[str, Any]:
    # This key is what AssetSpec.with_io_manager_key sets; set at once, it saves a copy of each of thousands of specs.
    return {"dagster/io_manager_key": keys.IO, keys.DATASET: dataset.name, **more}


def _file_code(file: File) -> str:
    return file.digest or redacted(file.urls[0]) if isinstance(file, RemoteFile) else code_of(file.function)


def _kept(file: File) -> bool:
    return isinstance(file, RemoteFile) or file.keep


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


def _raw_inputs(dataset: Dataset, names: Iterable[str]) -> dict[str, dg.AssetIn]:
    return {f"file_{name}": dg.AssetIn(keys.key(dataset.name, "raw", name)) for name in names}


def _inputs(dataset: Dataset, opened: Mapping[str, OpenedRaw], scratch: Callable[[], Path]) -> Inputs:
    found = {handle.raw.name: handle for handle in opened.values()}
    raws = {name: handle.raw for name, handle in found.items()}
    return Inputs(dataset, raws, lambda raw: found[raw.name].open(), scratch)


def _connector(context: dg.AssetExecutionContext) -> StorageIOManager:
    found: StorageIOManager = getattr(context.resources, keys.IO)
    return found


def _index(made: Made) -> SplitIndex:
    assert isinstance(made.what, SplitIndex)
    return made.what


def _output(key: dg.AssetKey, value: object, version: str) -> dg.Output[Any]:
    return dg.Output(value, output_name=key.to_python_identifier(), data_version=dg.DataVersion(version))


def _check_result(finding: Finding, key: dg.AssetKey, name: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=finding.passed,
        asset_key=key,
        check_name=name,
        severity=_LEVELS[finding.severity],
        description=finding.message,
        metadata={"found": finding.message},
    )


def _refused(what: str, findings: Iterable[Finding]) -> dg.Failure:
    failed = [f"{finding.check}: {finding.message}" for finding in findings if not finding.passed]
    return dg.Failure(f"{what}. {' '.join(failed)}", allow_retries=False)
