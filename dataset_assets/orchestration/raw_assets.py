"""The raw files of a dataset as assets: each has its own, and those that the same splits need come from one step.

So a step that fails ends only splits that need one of its files.
"""

from types import MappingProxyType
from typing import Any, Iterator, Mapping

import dagster as dg

from dataset_assets.core.canonical import sha256_hex
from dataset_assets.definition.dataset import Dataset, RemoteFile
from dataset_assets.errors import DatasetAssetsError
from dataset_assets.making.at_once import retrieved, together
from dataset_assets.making.steps import StagedRaw
from dataset_assets.orchestration import keys
from dataset_assets.orchestration.bodies import Downloads, began_with, maker_of, output
from dataset_assets.orchestration.handover import AlreadyStored, StagedFile, StepOutput
from dataset_assets.orchestration.ops import Steps
from dataset_assets.orchestration.refresh import CONFIG, is_refresh
from dataset_assets.orchestration.retries import no_vain_retries
from dataset_assets.orchestration.specs import raw_spec
from dataset_assets.orchestration.writers import changed, writers_of, written
from dataset_assets.storage.raw_files import RawFile

LONGEST_NAMES = 3


def raw_assets(dataset: Dataset, steps: Steps) -> list[dg.AssetsDefinition]:
    """Return the assets of all retrieved files, any of which may be materialised alone."""
    groups = needed_together(dataset)
    return [_retrieved(dataset, files, _step(splits, len(groups)), steps) for splits, files in groups.items()]


def needed_together(dataset: Dataset) -> dict[tuple[str, ...], list[RemoteFile]]:
    """Return the retrieved files by the splits that need them."""
    needed: dict[str, list[str]] = {}
    for name, split in dataset.splits.items():
        for identifier in split.remote_files:
            needed.setdefault(identifier, []).append(name)
    groups: dict[tuple[str, ...], list[RemoteFile]] = {}
    for identifier, file in dataset.remote_files.items():
        groups.setdefault(tuple(needed[identifier]), []).append(file)
    return groups


def _step(splits: tuple[str, ...], groups: int) -> list[str]:
    """Return the end of the name of the step that retrieves the files of these splits."""
    if groups == 1:
        return []
    return ["of", *(splits if len(splits) <= LONGEST_NAMES else [splits[0], sha256_hex(",".join(splits).encode())[:8]])]


def _retrieved(dataset: Dataset, of: list[RemoteFile], step: list[str], steps: Steps) -> dg.AssetsDefinition:
    writers = writers_of(of, keys.source_key(dataset.name) if steps.observe else None)
    outputs = {keys.key(dataset.name, "raw", file.identifier).to_python_identifier(): file.identifier for file in of}

    @dg.multi_asset(
        name=steps.step(dataset.name, "raw", *step),
        specs=steps.specs(*(raw_spec(dataset, file, steps.io, _deps(writers, file)) for file in of)),
        config_schema=CONFIG,
        **steps.options(),
        can_subset=True,
    )
    def retrieve(context: dg.AssetExecutionContext) -> Iterator[Any]:
        # A project may have given the assets other keys.
        found = {context.asset_key_for_output(output): name for output, name in outputs.items()}
        chosen = [found[key] for key in sorted(context.selected_asset_keys)]
        downloads, errors = Downloads(context.log.info), dict[str, DatasetAssetsError]()
        after = written(context.instance, {name: writers[name] for name in chosen if name in writers})
        ask = changed(context.instance, {name: key for key, name in found.items()}, after)
        options = {"refresh": is_refresh(context), "progress": downloads, "ask": ask}
        with no_vain_retries(), maker_of(context, dataset, steps.io, {}, **options) as maker:
            began = began_with(maker, ())
            for name, made in retrieved(maker, chosen, steps.op.downloads_per_host, downloads.tell):
                if isinstance(made, DatasetAssetsError):
                    errors[name] = made
                else:
                    yield raw_output(dataset, made, began, {name: after[name]} if name in after else {})
            if errors:
                raise together(errors, len(chosen))

    return retrieve


def _deps(writers: Mapping[str, dg.AssetKey], file: RemoteFile) -> list[dg.AssetKey]:
    return [writers[file.identifier]] if file.identifier in writers else []


def raw_output(
    dataset: Dataset, made: RawFile | StagedRaw, began: str, after: Mapping[str, str] = MappingProxyType({})
) -> dg.Output[Any]:
    """Return the output of a raw file that was made, or that is stored already."""
    if isinstance(made, StagedRaw):
        what, raw = StagedFile(dataset.name, made), made.raw
        return output(keys.key(dataset.name, "raw", raw.name), StepOutput(what, began, after), raw.sha256)
    stored = AlreadyStored(dataset.name, made)
    return output(keys.key(dataset.name, "raw", made.name), StepOutput(stored, began, after), made.sha256)
