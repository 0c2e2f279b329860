"""The assets of a dataset: raw files -> streams -> splits -> the dataset, which releases a version.

A `Maker` decides what is stored already and makes the rest; the IO manager publishes it.
"""

from dataclasses import replace
from typing import Any, Iterable, Iterator, Mapping

import dagster as dg

from dataset_assets.checks.built_in import SPLIT_CHECKS
from dataset_assets.core.canonical import digest_of
from dataset_assets.definition.dataset import Dataset, DerivedFile, RemoteFile, SplitOf, links_of
from dataset_assets.definition.linked import own_name
from dataset_assets.definition.links import FileOf
from dataset_assets.definition.registry import free_aliases
from dataset_assets.making.existing import publish_split
from dataset_assets.making.inputs import File
from dataset_assets.making.maker import Maker
from dataset_assets.making.steps import StagedRaw, StagedSplit
from dataset_assets.making.version_checks import split_findings, version_checks
from dataset_assets.orchestration import keys
from dataset_assets.orchestration.handover import (
    AlreadyStored,
    OpenedRaw,
    Release,
    StagedFile,
    StagedStream,
    StepOutput,
    Upstream,
)
from dataset_assets.orchestration.io_manager import StorageIOManager
from dataset_assets.orchestration.markdown import prose
from dataset_assets.orchestration.ops import Steps
from dataset_assets.orchestration.refresh import CONFIG, is_refresh
from dataset_assets.orchestration.retries import no_vain_retries
from dataset_assets.orchestration.specs import check_specs, dataset_spec, raw_spec, split_specs
from dataset_assets.storage.manifest import Finding, SplitIndex
from dataset_assets.storage.stored_dataset import StoredDataset

_LEVELS = {"error": dg.AssetCheckSeverity.ERROR, "warn": dg.AssetCheckSeverity.WARN}


def assets_of(dataset: Dataset, steps: Steps) -> list[dg.AssetsDefinition]:
    """Return the assets of one dataset."""
    derived = [file for file in dataset.files.values() if isinstance(file, DerivedFile) and file.keep]
    return [
        *([_raw_files(dataset, steps)] if dataset.remote_files else []),
        *(_derived_file(dataset, file, steps) for file in derived),
        *(_split(dataset, split, steps) for split in dataset.splits),
        _release(dataset, steps),
    ]


def _raw_files(dataset: Dataset, steps: Steps) -> dg.AssetsDefinition:
    """Return the assets of all retrieved files, any of which may be materialised alone."""
    files = {keys.key(dataset.name, "raw", name): file for name, file in dataset.remote_files.items()}

    @dg.multi_asset(
        name=keys.op_name(dataset.name, "raw"),
        specs=[raw_spec(dataset, file, steps.io) for file in files.values()],
        config_schema=CONFIG,
        **steps.options(),
        can_subset=True,
    )
    def retrieve(context: dg.AssetExecutionContext) -> Iterator[Any]:
        with no_vain_retries(), _maker(context, dataset, steps.io, {}, refresh=is_refresh(context)) as maker:
            began = _began(maker.stored, ())
            for key in sorted(context.selected_asset_keys):
                yield _raw_output(maker, files[key].identifier, key, began)

    return retrieve


def _raw_output(maker: Maker, name: str, key: dg.AssetKey, began: str) -> dg.Output[Any]:
    made, dataset = maker.raw(name), maker.dataset.name
    if isinstance(made, StagedRaw):
        return _output(key, StepOutput(StagedFile(dataset, made), began), made.raw.sha256)
    return _output(key, StepOutput(AlreadyStored(dataset, made), began), made.sha256)


def _derived_file(dataset: Dataset, file: DerivedFile, steps: Steps) -> dg.AssetsDefinition:
    """Return the asset of a derived file that is kept."""
    needed, key = _at_hand(file.files.values()), keys.key(dataset.name, "raw", file.identifier)

    @dg.multi_asset(
        name=keys.op_name(dataset.name, "raw", file.identifier),
        specs=[raw_spec(dataset, file, steps.io, [*_raw_keys(dataset, needed), *_link_keys(links_of(file))])],
        ins=_raw_inputs(dataset, needed),
        **steps.options(**{keys.OURS: ""}),
    )
    def derived(context: dg.AssetExecutionContext, **opened: OpenedRaw) -> Iterator[Any]:
        with no_vain_retries(), _maker(context, dataset, steps.io, opened, refresh=is_refresh(context)) as maker:
            yield _raw_output(maker, file.identifier, key, _began(maker.stored, opened.values()))

    return derived


def _split(dataset: Dataset, split: str, steps: Steps) -> dg.AssetsDefinition:
    """Return the assets of a split and its streams, which one run of the split's function makes."""
    needed = _at_hand(dataset.splits[split].files.values())
    sources = [source.split for source in dataset.splits[split].splits.values()]
    links = _link_keys(links_of(dataset.splits[split]))
    key, deps = keys.key(dataset.name, split), [*_raw_keys(dataset, needed), *_split_keys(dataset, sources), *links]
    active = [check for check in SPLIT_CHECKS if dataset.severity(check) != "off"]

    @dg.multi_asset(
        name=keys.op_name(dataset.name, split),
        specs=split_specs(dataset, split, steps.io, deps),
        ins=_raw_inputs(dataset, needed) | _split_inputs(dataset, sources),
        check_specs=check_specs(dataset, key, active),
        **steps.options(**{keys.OURS: ""}),
    )
    def make(context: dg.AssetExecutionContext, **opened: OpenedRaw | Upstream) -> Iterator[Any]:
        with no_vain_retries(), _maker(context, dataset, steps.io, opened) as maker:
            began, made = _began(maker.stored, opened.values()), maker.split(split)
            index = made.index if isinstance(made, StagedSplit) else _in_order(made.index, dataset)
            # First what the checks found: of a split that is refused, nothing leaves an event.
            findings = split_findings(dataset, index)
            yield from _check_results(findings, key, {f"{split}.{check}": check for check in active})
            if any(not finding.passed and finding.severity == "error" for finding in findings):
                if isinstance(made, StagedSplit):
                    publish_split(maker.stored, made)
                maker.add_split(split, digest_of(index))
                advice = maker.doubt([split])
                raise _refused(f"{dataset.name}, split {split}, was not released", findings, advice)
            what = made if isinstance(made, StagedSplit) else AlreadyStored(dataset.name, index)
            for stream, stored in index.streams.items():
                stream_key = keys.key(dataset.name, split, stream)
                yield _output(stream_key, StagedStream(what, stream), keys.stream_version(stored))
            yield _output(key, StepOutput(what, began), digest_of(index))

    return make


def _in_order(index: SplitIndex, dataset: Dataset) -> SplitIndex:
    """Return an index with its streams in the order of the definition, in which they are shown."""
    return replace(index, streams={name: index.streams[name] for name in dataset.streams})


def _release(dataset: Dataset, steps: Steps) -> dg.AssetsDefinition:
    """Return the asset of the dataset itself: a released version of all its splits."""
    key = keys.key(dataset.name)
    active = version_checks(dataset)

    @dg.multi_asset(
        name=keys.op_name(dataset.name),
        specs=[dataset_spec(dataset, steps.io, steps.unmade)],
        ins=_split_inputs(dataset, dataset.splits),
        check_specs=check_specs(dataset, key, active),
        **steps.options(**{keys.OURS: ""}),
    )
    def release(context: dg.AssetExecutionContext, **given: Upstream) -> Iterator[Any]:
        with no_vain_retries(), _maker(context, dataset, steps.io, given) as maker:
            current = maker.stored.current()
            version = maker.version(current.version)
            yield from _check_results(version.findings, key, {check: check for check in active})
            if version.refused:
                maker.refuse(version)
            expected = _expected(given.values(), current.pointer)
            yield _output(key, Release(version, expected, maker.unproven(), free_aliases(dataset)), digest_of(version))

    return release


def _maker(
    context: dg.AssetExecutionContext,
    dataset: Dataset,
    io: str,
    opened: Mapping[str, OpenedRaw | Upstream],
    **options: Any,
) -> Maker:
    """Return a maker that uses the inputs of a step."""
    connector: StorageIOManager = getattr(context.resources, io)
    maker = Maker(dataset, StoredDataset(connector.opened(), dataset.name), run=context.run.run_id, **options)
    for given in opened.values():
        if isinstance(given, OpenedRaw):
            maker.add_raw(given.raw, undamaged=given.hashed)
        else:
            maker.add_split(given.view.split, given.view.origin.index, given.view)
    return maker


def _began(stored: StoredDataset, opened: Iterable[OpenedRaw | Upstream]) -> str:
    """Return the dataset's pointer when this run began with it, as far as its steps know; empty: there was none."""
    seen = [given.began for given in opened if given.began is not None]
    return seen[0] if seen else stored.current().pointer or ""


def _expected(given: Iterable[Upstream], now: str | None) -> str | None:
    """Return the pointer that may be moved: the one with which this run began, even if it was moved since."""
    seen = [upstream.began or None for upstream in given if upstream.began is not None]
    return next((pointer for pointer in seen if pointer != now), now)


def _at_hand(files: Iterable[File]) -> list[str]:
    """Return the identifiers of the stored files that these need: themselves, or the files they are derived of."""
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


def _split_keys(dataset: Dataset, splits: Iterable[str]) -> list[dg.AssetKey]:
    return [keys.key(dataset.name, split) for split in splits]


def _link_keys(links: Iterable[SplitOf | FileOf]) -> list[dg.AssetKey]:
    """Return the releases of the datasets that a step is made of; it opens them by what is released when it runs."""
    return [keys.key(name) for name in dict.fromkeys(map(own_name, links))]


def _raw_inputs(dataset: Dataset, names: Iterable[str]) -> dict[str, dg.AssetIn]:
    return {f"file_{name}": dg.AssetIn(keys.key(dataset.name, "raw", name)) for name in names}


def _split_inputs(dataset: Dataset, splits: Iterable[str]) -> dict[str, dg.AssetIn]:
    return {f"split_{split}": dg.AssetIn(keys.key(dataset.name, split)) for split in splits}


def _output(key: dg.AssetKey, value: object, version: str) -> dg.Output[Any]:
    return dg.Output(value, output_name=key.to_python_identifier(), data_version=dg.DataVersion(version))


def _check_results(
    findings: Iterable[Finding], key: dg.AssetKey, names: dict[str, str]
) -> Iterator[dg.AssetCheckResult]:
    """Yield the findings of the checks of these names; another release may have had other checks."""
    for finding in findings:
        if finding.check in names:
            yield dg.AssetCheckResult(
                passed=finding.passed,
                asset_key=key,
                check_name=names[finding.check],
                severity=_LEVELS[finding.severity],
                description=prose(finding.message),
                metadata={"found": finding.message},
            )


def _refused(what: str, findings: Iterable[Finding], advice: str) -> dg.Failure:
    failed = [f"{finding.check}: {finding.message}" for finding in findings if not finding.passed]
    return dg.Failure(f"{what}. {' '.join(failed)} {advice}".rstrip(), allow_retries=False)
