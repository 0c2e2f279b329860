"""Asset specs: key, group, description, owners, tags, kinds and code version of each asset."""

import re
from functools import lru_cache
from typing import Any, Iterable, Mapping
from urllib.parse import urlsplit

import dagster as dg

from dataset_assets.core.code_digest import json_digest
from dataset_assets.core.commands import command
from dataset_assets.core.names import is_member
from dataset_assets.core.redact import redacted
from dataset_assets.definition.dataset import Dataset, DerivedFile, RemoteFile
from dataset_assets.definition.remote_file import is_partitioned
from dataset_assets.making.inputs import File
from dataset_assets.making.recipe import derived_recipe, release_code, split_code
from dataset_assets.orchestration import keys
from dataset_assets.orchestration.markdown import address, prose
from dataset_assets.orchestration.refresh import freshness

_OWNER = re.compile(r"team:.+|[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
LONGEST_TAG = 63
HOSTS = 5
CHECKED = {
    "counts": "The split has samples.",
    "schema": "Each stream has as many samples as the split and as its files record.",
    "classes": "Each label is the number of a class.",
    "leakage": "No sample of one split occurs, byte for byte, in another.",
    "nulls": "No value is missing.",
    "balance": "No class has more than ten times the samples of another one.",
    "drift": "Numbers and classes are distributed as in the version before.",
    "skipped": "No more bad samples were skipped than the definition allows.",
}


def raw_spec(dataset: Dataset, file: File, io: str, deps: Iterable[dg.AssetKey] = ()) -> dg.AssetSpec:
    """Describe a retrieved file, or a derived one that is kept; `io` is the resource key of its storage."""
    made = f"Retrieved from {address(redacted(file.urls[0]))}." if isinstance(file, RemoteFile) else _derived(file)
    return dg.AssetSpec(
        keys.key(dataset.name, "raw", file.identifier),
        deps=list(deps),
        description=f"{made} Stored unchanged, under its sha256.",
        group_name=keys.group(dataset.name, "raw"),
        metadata=_metadata(dataset, io, {keys.FILE: file.identifier}),
        code_version=_file_code(file),
        kinds={"file"},
    )


def all_raw_spec(
    dataset: Dataset, files: Mapping[str, RemoteFile], io: str, deps: Iterable[dg.AssetKey]
) -> dg.AssetSpec:
    """Describe the asset that is all raw files of a dataset."""
    hosts = sorted({urlsplit(file.urls[0]).hostname or "this machine" for file in files.values()})
    shown = ", ".join(prose(host) for host in hosts[:HOSTS]) + (" and others" if len(hosts) > HOSTS else "")
    what = f"{_counted(files)}, from {shown}." if files else f"{_counted(files)}."
    patterns = [split.pattern for split in dataset.splits.values() if split.pattern]
    listed = f" Further ones are those of {', '.join(prose(redacted(url)) for url in patterns)}." if patterns else ""
    return dg.AssetSpec(
        keys.key(dataset.name, "raw"),
        deps=list(deps),
        description=f"{what}{listed} Each is stored unchanged, under its sha256.",
        group_name=keys.group(dataset.name, "raw"),
        metadata=_metadata(dataset, io, {keys.FILES: str(len(files))}),
        code_version=json_digest([*(_file_code(file) for file in files.values()), *patterns]),
        kinds={"file"},
    )


def _counted(files: Mapping[str, RemoteFile]) -> str:
    assets = ["/".join(file.after) for file in files.values() if is_partitioned(file)]
    if not assets:
        return f"All {len(files):,} raw files" if files else "All raw files"
    others = f" and {len(files) - len(assets):,} others" if len(files) > len(assets) else ""
    return f"The raw files: one for each partition of {prose(', '.join(dict.fromkeys(assets)))}{others}"


def split_specs(
    dataset: Dataset, split: str, io: str, raw: Iterable[dg.AssetKey], whole: bool = False
) -> list[dg.AssetSpec]:
    """Describe a split's streams, and the split; if it is one `whole`, its streams are no assets."""
    code, group, deps = split_code(dataset, split), keys.group(dataset.name, split), list(raw)
    streams = [
        dg.AssetSpec(
            keys.key(dataset.name, split, stream),
            deps=deps,
            description=_of_stream(dataset, split, stream),
            skippable=True,
            group_name=group,
            metadata=_metadata(dataset, io, {keys.SPLIT: split, keys.STREAM: stream}),
            owners=owners_of(dataset),
            tags=tags_of(dataset),
            code_version=code,
            kinds={tag_of(kind.name)},
        )
        for stream, kind in ({} if whole else dataset.streams).items()
    ]
    index = dg.AssetSpec(
        keys.key(dataset.name, split),
        deps=[spec.key for spec in streams] or deps,
        description=(
            f"The split {split} of {dataset.name}: {', '.join(dataset.streams)}. Train on the release, the asset "
            f"{dataset.name}: this split may not have passed all checks yet."
        ),
        skippable=True,
        group_name=group,
        metadata=_metadata(dataset, io, {keys.SPLIT: split}),
        owners=owners_of(dataset),
        tags=tags_of(dataset),
        code_version=code,
        kinds={"split"},
    )
    return [*streams, index]


def _of_stream(dataset: Dataset, split: str, stream: str) -> str:
    roles = [role for role, named in dataset.roles.items() if named == stream]
    kind = f", stored as {dataset.streams[stream].name}"
    used = f", the {' and the '.join(roles)} of each sample" if roles else ""
    return f"The stream {stream} of the split {split} of {dataset.name}{used}{kind}."


def dataset_spec(dataset: Dataset, io: str, unmade: bool = False) -> dg.AssetSpec:
    """Describe the dataset itself; `unmade` tells the schedule of refreshes to make it if it never was."""
    owners = owners_of(dataset)
    others = ", ".join(owner for owner in dataset.owners if owner not in owners)
    accept = command(f"prepare --accept-terms {dataset.name}")
    facts = {
        "Licence": dataset.license,
        "Terms": f"{dataset.terms} (accept them with: {accept})" if dataset.terms else None,
        "Cite": dataset.citation,
        "Owners": others,
        "Member": dataset.name if is_member(dataset.name) else None,
    }
    lines = [f"**{name}**: {prose(value)}" for name, value in facts.items() if value]
    if dataset.homepage:
        lines.insert(bool(dataset.license), f"**Homepage**: {address(redacted(dataset.homepage))}")
    refreshed = {keys.REFRESH: dataset.refresh} if dataset.refresh else {}
    opened = prose(f'Open it with load("{dataset.name}").')
    last = f"Materializing it checks all splits together, and releases them if no check refuses them. {opened}"
    return dg.AssetSpec(
        keys.key(dataset.name),
        deps=[keys.key(dataset.name, split) for split in dataset.splits],
        description="\n\n".join([prose(dataset.summary), *lines, last]),
        skippable=True,
        group_name=keys.group(dataset.name),
        metadata=_metadata(dataset, io, refreshed | ({keys.UNMADE: "true"} if unmade and refreshed else {})),
        owners=owners,
        tags=tags_of(dataset) | ({keys.REFRESH: "true"} if dataset.refresh else {}),
        code_version=release_code(dataset),
        freshness_policy=freshness(dataset.refresh) if dataset.refresh else None,
        kinds={"dataset"},
    )


def owners_of(dataset: Dataset) -> list[str]:
    """Return the owners that Dagster takes: addresses and teams."""
    return [owner for owner in dataset.owners if _OWNER.fullmatch(owner)]


def tags_of(dataset: Dataset) -> dict[str, str]:
    """Return the tags of a dataset as Dagster takes them."""
    return {f"dataset_assets/{tag_of(tag)}": "" for tag in dataset.tags}


def external_spec(dataset: Dataset, io: str) -> dg.AssetSpec:
    """Describe a release that another code location makes."""
    return dg.AssetSpec(
        keys.key(dataset.name),
        description=prose(dataset.summary),
        group_name=keys.group(dataset.name),
        metadata=_metadata(dataset, io, {}),
        kinds={"dataset"},
    )


def check_specs(dataset: Dataset, key: dg.AssetKey, checks: Iterable[str]) -> list[dg.AssetCheckSpec]:
    """Describe checks: what each verifies, and what happens if it fails."""
    # Dagster 1.11 takes a variable of the caller that is called `check` for its own module.
    return [
        dg.AssetCheckSpec(
            name, asset=key, description=_check(dataset, name), blocking=dataset.severity(name) == "error"
        )
        for name in checks
    ]


def _check(dataset: Dataset, check: str) -> str:
    own = dataset.checks.get(check)
    said = (own.__doc__ or "A check of the definition.") if callable(own) else CHECKED[check]
    follows = "the release is refused" if dataset.severity(check) == "error" else "the release has this warning"
    return f"{prose(said.strip().splitlines()[0])} If it fails, {follows}."


@lru_cache
def tag_of(word: str) -> str:
    """Return a word as a valid Dagster tag or kind: at most 63 characters, with `_` for those that are not allowed."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", word)[:LONGEST_TAG] or "_"


def _metadata(dataset: Dataset, io: str, more: Mapping[str, str]) -> dict[str, Any]:
    # This key is what AssetSpec.with_io_manager_key sets; setting it at once saves a copy of each spec.
    return {"dagster/io_manager_key": io, keys.DATASET: dataset.name, **more}


def _derived(file: DerivedFile) -> str:
    return f"Made by {prose(file.function.__qualname__)}."


def _file_code(file: File) -> str:
    if isinstance(file, DerivedFile):
        return derived_recipe(file, {})
    return file.digest or redacted(file.urls[0])
