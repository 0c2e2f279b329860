"""The raw files of a dataset as one asset, for a dataset of many files: an asset a file would take minutes in Dagster.

A file that cannot be retrieved fails the splits that need it, which say why; the others are made.
"""

from dataclasses import replace
from typing import Any, Iterable, Iterator, Mapping

import dagster as dg

from dataset_assets.core.canonical import digest_of
from dataset_assets.definition.dataset import Dataset
from dataset_assets.definition.partitioned import with_partitions
from dataset_assets.errors import Conflict, DatasetAssetsError, RetrievalError
from dataset_assets.making.at_once import retrieved, together
from dataset_assets.making.batches import Batch
from dataset_assets.making.maker import Maker
from dataset_assets.making.patterns import files_listed
from dataset_assets.making.steps import StagedRaw
from dataset_assets.orchestration import handed_over, keys
from dataset_assets.orchestration.bodies import Downloads, began_with, maker_of, output
from dataset_assets.orchestration.handover import AllRaw, RawFiles, StepOutput
from dataset_assets.orchestration.ops import Steps
from dataset_assets.orchestration.refresh import CONFIG, is_refresh
from dataset_assets.orchestration.retries import no_vain_retries
from dataset_assets.orchestration.specs import all_raw_spec
from dataset_assets.orchestration.writers import (
    changed,
    partitions_written,
    without_removed,
    writers_of,
    written,
    written_by_partition,
)
from dataset_assets.storage.raw_files import RawFile


def one_raw_asset(dataset: Dataset, steps: Steps) -> dg.AssetsDefinition:
    """Return the asset of all retrieved files."""
    key, defined = keys.key(dataset.name, "raw"), dataset.remote_files
    writers = writers_of(defined.values(), keys.source_key(dataset.name) if steps.observe else None)

    @dg.multi_asset(
        name=steps.step(dataset.name, "raw"),
        specs=steps.specs(all_raw_spec(dataset, defined, steps.io, dict.fromkeys(writers.values()))),
        config_schema=CONFIG,
        **steps.options(),
    )
    def retrieve(context: dg.AssetExecutionContext) -> Iterator[Any]:
        downloads = Downloads(context.log.info)
        own = context.asset_key_for_output(key.to_python_identifier())
        with no_vain_retries():
            known = partitions_written(context, dataset)
            files = with_partitions(dataset, known).remote_files
            plain = {name: asset for name, asset in writers.items() if name in files}
            of_partitions = written_by_partition(dataset, known)
            after = written(context.instance, plain) | {name: is_at for name, is_at in of_partitions.items() if is_at}
            ask = changed(context.instance, dict.fromkeys(files, own), after) | (of_partitions.keys() - after.keys())
            found = without_removed(dataset, known, lambda name: name not in ask)
            of_all = with_partitions(dataset, found)
        options = {"refresh": is_refresh(context), "progress": downloads, "ask": ask, "anew": True}
        with no_vain_retries(), maker_of(context, of_all, steps.io, {}, **options) as maker:
            # Those of a pattern are listed by the maker.
            of_all, files = maker.dataset, maker.dataset.remote_files
            began = began_with(maker, ())
            made = _stored(maker, files, steps.op.downloads_per_host, downloads)
            made = replace(made, partitions=found, listed=files_listed(of_all))
            if made.failed and (_may_retry(context, steps) or not _split_says_it(context, of_all, steps, made.failed)):
                raise together(made.failed, len(files))
            seen = {name: version for name, version in after.items() if name not in made.failed}
            version = digest_of({name: raw.sha256 for name, raw in made.raws.items()})
            yield output(key, StepOutput(made, began, seen), version)

    return retrieve


def use(maker: Maker, names: Iterable[str], given: RawFiles, split: str = "") -> None:
    """Let a maker use files of the asset. Raises `RetrievalError` for one that failed.

    Raises `Conflict` if those that a split needs are no longer those that its run has seen.
    """
    for name in names:
        record = given.stored.raw(name)
        if record is None or name in given.failed:
            why = given.failed.get(name, "its record is gone. Materialize the asset of the raw files again.")
            raise RetrievalError(f"The file {name} of {maker.dataset.name} was not retrieved: {why}")
        maker.add_raw(record, undamaged=given.hashed and bool(maker.files[name].keep))
        handed_over.take(maker.run, maker, record)
    if split in given.needs and given.needs[split] != _digest(names, maker.inputs.raws):
        raise Conflict(
            f"Another run has changed the raw files of {maker.dataset.name}, which split {split} is made of, since "
            "this run retrieved them. Run it again."
        )


def _stored(maker: Maker, files: Iterable[str], per_host: int, downloads: Downloads) -> AllRaw:
    """Retrieve what is missing, and store each file as soon as it is there: all of them may be too much for scratch."""
    found, failed, arrived = dict[str, RawFile](), dict[str, DatasetAssetsError](), list[str]()
    batch = Batch(maker)

    def tick() -> None:
        downloads.tell()
        batch.tick()

    for name, made in retrieved(maker, files, per_host, tick):
        if isinstance(made, DatasetAssetsError):
            failed[name] = made
        elif isinstance(made, StagedRaw):
            batch.add(made)
            arrived.append(name)
            handed_over.leave(maker.run, maker.dataset.name, made)
        else:
            found[name] = made
    batch.publish()
    found |= {name: maker.inputs.raws[name] for name in arrived}
    splits = {name: [*split.remote_files] for name, split in maker.dataset.splits.items()}
    needs = {name: _digest(needed, found) for name, needed in splits.items() if found.keys() >= {*needed}}
    return AllRaw(maker.stored, {name: found[name] for name in files if name in found}, failed, needs, len(arrived))


def _digest(names: Iterable[str], raws: Mapping[str, RawFile]) -> str:
    return digest_of({name: raws[name].sha256 for name in names})


def _may_retry(context: dg.AssetExecutionContext, steps: Steps) -> bool:
    policy = steps.op.retry_policy
    return policy is not None and context.retry_number < policy.max_retries


def _split_says_it(
    context: dg.AssetExecutionContext, dataset: Dataset, steps: Steps, failed: Mapping[str, object]
) -> bool:
    """Say whether for each file that failed a split of this run needs it, so that the run fails there."""
    # A project may have given the assets other keys, but the steps keep their names.
    run = {node.name for node in context.job_def.nodes}
    made = [split for name, split in dataset.splits.items() if steps.step(dataset.name, name) in run]
    return {*failed} <= {file for split in made for file in split.remote_files}
