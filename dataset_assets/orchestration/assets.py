"""The assets of a dataset: raw files -> streams -> splits -> the dataset, which releases a version.

A `Maker` decides what is stored already and makes the rest; the IO manager publishes it.
"""

import time
from dataclasses import replace
from typing import Any, Iterable, Iterator, Mapping

import dagster as dg

from dataset_assets.checks.built_in import SPLIT_CHECKS
from dataset_assets.core.canonical import digest_of
from dataset_assets.definition.dataset import Dataset, DerivedFile, RemoteFile, Split, SplitOf, links_of
from dataset_assets.definition.linked import own_name
from dataset_assets.definition.links import FileOf
from dataset_assets.definition.registry import free_aliases
from dataset_assets.making.existing import publish_split
from dataset_assets.making.inputs import File
from dataset_assets.making.maker import Maker
from dataset_assets.making.steps import StagedSplit
from dataset_assets.making.version_checks import split_findings, tell_warnings, version_checks
from dataset_assets.orchestration import keys
from dataset_assets.orchestration.bodies import MadeSamples, began_with, maker_of, output
from dataset_assets.orchestration.check_results import asked_checks, results, results_alone
from dataset_assets.orchestration.engines import as_configured, config_of
from dataset_assets.orchestration.handover import (
    AlreadyStored,
    Given,
    RawFiles,
    Release,
    StagedStream,
    StepOutput,
    WholeSplit,
)
from dataset_assets.orchestration.one_raw_asset import one_raw_asset, use
from dataset_assets.orchestration.ops import Steps
from dataset_assets.orchestration.raw_assets import raw_assets, raw_output
from dataset_assets.orchestration.refresh import is_refresh
from dataset_assets.orchestration.retries import no_vain_retries
from dataset_assets.orchestration.specs import check_specs, dataset_spec, raw_spec, split_specs
from dataset_assets.storage.manifest import Finding, SplitIndex


def assets_of(dataset: Dataset, steps: Steps) -> list[dg.AssetsDefinition]:
    """Return the assets of one dataset."""
    derived = [file for file in dataset.files.values() if isinstance(file, DerivedFile) and file.keep]
    return [
        *([one_raw_asset(dataset, steps)] if steps.has_one(dataset) else raw_assets(dataset, steps)),
        *(_derived_file(dataset, file, steps) for file in derived),
        *(_split(dataset, split, steps) for split in dataset.splits),
        _release(dataset, steps),
    ]


def _derived_file(dataset: Dataset, file: DerivedFile, steps: Steps) -> dg.AssetsDefinition:
    """Return the asset of a derived file that is kept."""
    raw = _raw_of(dataset, file.files.values(), steps)

    @dg.multi_asset(
        name=steps.step(dataset.name, "raw", file.identifier),
        specs=steps.specs(raw_spec(dataset, file, steps.io, [*_keys_of(raw), *_link_keys(links_of(file))])),
        ins=raw,
        **steps.options(**{keys.OURS: ""}),
    )
    def derived(context: dg.AssetExecutionContext, **opened: Given) -> Iterator[Any]:
        with no_vain_retries(), maker_of(context, dataset, steps.io, opened, refresh=is_refresh(context)) as maker:
            _use_all(maker, file, opened)
            yield raw_output(dataset, maker.raw(file.identifier), began_with(maker, opened.values()))

    return derived


def _split(dataset: Dataset, split: str, steps: Steps) -> dg.AssetsDefinition:
    """Return the assets of a split and its streams, which one run of the split's function makes."""
    defined, whole = dataset.splits[split], steps.has_one(dataset)
    raw = _raw_of(dataset, defined.files.values(), steps, defined.pattern is not None)
    key = keys.key(dataset.name, split)
    splits = _split_inputs(dataset, [source.split for source in defined.splits.values()])
    deps = [*_keys_of(raw), *_keys_of(splits), *_link_keys(links_of(defined))]
    active = dataset.split_checks(SPLIT_CHECKS)
    specs = steps.specs(*split_specs(dataset, split, steps.io, deps, whole))

    @dg.multi_asset(
        name=steps.step(dataset.name, split),
        specs=specs,
        ins=raw | splits,
        check_specs=check_specs(dataset, key, active),
        can_subset=True,
        config_schema=config_of(defined),
        **steps.options(**{keys.OURS: ""}),
    )
    def make(context: dg.AssetExecutionContext, **opened: Given) -> Iterator[Any]:
        options: dict[str, Any] = {"anew": True, "progress": MadeSamples(context.log.info)}
        asked = asked_checks(context, {f"{split}.{check}": check for check in active})
        if not context.selected_asset_keys:
            return (yield from results_alone(context, dataset, steps.io, asked))
        with no_vain_retries(), maker_of(context, dataset, steps.io, opened, **options) as maker:
            _use_all(maker, maker.dataset.splits[split], opened, split)
            started = time.perf_counter()
            began = began_with(maker, opened.values())
            with as_configured(context):
                made = maker.split(split)
            index = made.index if isinstance(made, StagedSplit) else _in_order(made.index, dataset)
            # First what the checks found: of a split that is refused, nothing leaves an event.
            findings = split_findings(dataset, index)
            yield from results(findings, asked)
            if any(not finding.passed and finding.severity == "error" for finding in findings):
                if isinstance(made, StagedSplit):
                    publish_split(maker.stored, made)
                maker.add_split(split, digest_of(index))
                advice = maker.doubt([split])
                raise _refused(f"{dataset.name}, split {split}, was not released", findings, advice)
            what = made if isinstance(made, StagedSplit) else AlreadyStored(dataset.name, index)
            if isinstance(what, StagedSplit) and len(context.selected_asset_keys) < len(specs):
                # The whole split is stored, though only some of its assets are asked for.
                publish_split(maker.stored, what)
                what = AlreadyStored(dataset.name, index)
            for each in _split_outputs(what, index, began, whole, round(time.perf_counter() - started, 3)):
                if context.asset_key_for_output(each.output_name) in context.selected_asset_keys:
                    yield each

    return make


def _split_outputs(
    what: AlreadyStored | StagedSplit, index: SplitIndex, began: str, whole: bool, seconds: float
) -> Iterator[dg.Output[Any]]:
    """Yield the outputs of the streams of a split, and of the split; of one that is `whole`, only the last."""
    for stream in () if whole else index.streams:
        key = keys.key(index.dataset, index.split, stream)
        yield output(key, StagedStream(what, stream), keys.stream_version(index, stream))
    all_of_it = WholeSplit(what) if whole and isinstance(what, StagedSplit) else what
    yield output(keys.key(index.dataset, index.split), StepOutput(all_of_it, began, seconds=seconds), digest_of(index))


def _use_all(maker: Maker, made: Split | DerivedFile, opened: Mapping[str, Given], split: str = "") -> None:
    """Let a maker use the files that are needed of an input that is all raw files."""
    for given in opened.values():
        if isinstance(given, RawFiles):
            use(maker, made.remote_files, given, split)


def _in_order(index: SplitIndex, dataset: Dataset) -> SplitIndex:
    """Return an index with its streams in the order of the definition, in which they are shown."""
    return replace(index, streams={name: index.streams[name] for name in dataset.streams})


def _release(dataset: Dataset, steps: Steps) -> dg.AssetsDefinition:
    """Return the asset of the dataset itself: a released version of all its splits."""
    key = keys.key(dataset.name)
    active = version_checks(dataset)

    @dg.multi_asset(
        name=steps.step(dataset.name),
        specs=steps.specs(dataset_spec(dataset, steps.io, steps.unmade)),
        ins=_split_inputs(dataset, dataset.splits),
        check_specs=check_specs(dataset, key, active),
        can_subset=True,
        **steps.options(**{keys.OURS: ""}),
    )
    def release(context: dg.AssetExecutionContext, **given: Given) -> Iterator[Any]:
        asked = asked_checks(context, {check: check for check in active})
        if not context.selected_asset_keys:
            return (yield from results_alone(context, dataset, steps.io, asked))
        with no_vain_retries(), maker_of(context, dataset, steps.io, given) as maker:
            current = maker.stored.current()
            version = maker.version(current.version)
            yield from results(version.findings, asked)
            if version.refused:
                maker.refuse(version)
            if version is not current.version:
                tell_warnings(version)
            expected = _expected(given.values(), current.pointer)
            yield output(key, Release(version, expected, maker.unproven(), free_aliases(dataset)), digest_of(version))

    return release


def _expected(given: Iterable[Given], now: str | None) -> str | None:
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


def _keys_of(inputs: Mapping[str, dg.AssetIn]) -> list[dg.AssetKey]:
    return [dg.AssetKey.from_coercible(given.key) for given in inputs.values() if given.key is not None]


def _link_keys(links: Iterable[SplitOf | FileOf]) -> list[dg.AssetKey]:
    """Return the releases of the datasets that a step is made of; it opens them by what is released when it runs."""
    return [keys.key(name) for name in dict.fromkeys(map(own_name, links))]


def _raw_of(dataset: Dataset, files: Iterable[File], steps: Steps, listed: bool = False) -> dict[str, dg.AssetIn]:
    """Return the inputs that are stored files: each that is needed, or the asset of all retrieved files.

    With `listed` there are more of them, which are known only when the pattern is listed.
    """
    names, known = _at_hand(files), dataset.files
    retrieved = {name for name in names if isinstance(known[name], RemoteFile)} if steps.has_one(dataset) else set()
    found = {f"file_{name}": dg.AssetIn(keys.key(dataset.name, "raw", name)) for name in names if name not in retrieved}
    return found | ({"all_files": dg.AssetIn(keys.key(dataset.name, "raw"))} if retrieved or listed else {})


def _split_inputs(dataset: Dataset, splits: Iterable[str]) -> dict[str, dg.AssetIn]:
    return {f"split_{split}": dg.AssetIn(keys.key(dataset.name, split)) for split in splits}


def _refused(what: str, findings: Iterable[Finding], advice: str) -> dg.Failure:
    failed = [f"{finding.check}: {finding.message}" for finding in findings if not finding.passed]
    return dg.Failure(f"{what}. {' '.join(failed)} {advice}".rstrip(), allow_retries=False)
