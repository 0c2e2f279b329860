"""Recipes: a recipe is a digest of everything that determines a result. Equal recipes mean no new work."""

from dataclasses import asdict
from typing import Any, Mapping

from dataset_assets.core.code_digest import code_of, json_digest
from dataset_assets.definition.dataset import Dataset, DerivedFile

# Increase it when the stored form of the same samples changes, so that older results are made again.
WRITING = 1


def split_recipe(dataset: Dataset, split: str, sources: Mapping[str, Any], excluded: str = "") -> str:
    """Return the recipe of a split.

    `sources` maps each file argument to the digest or recipe of its file; `excluded` is the digest of the rules by
    which samples are left out on request.
    """
    defined = dataset.splits[split]
    return json_digest(
        {
            "writing": WRITING,
            "dataset": dataset.name,
            "split": split,
            "version": dataset.version,
            "license": dataset.license,
            "roles": dict(dataset.roles),
            "streams": {
                name: [kind.name, kind.version, kind.parameters()] for name, kind in sorted(dataset.streams.items())
            },
            "function": code_of(defined.function),
            "plain": defined.plain,
            "sources": dict(sources),
            **({"parts": defined.each[1].document()} if defined.each else {}),
            **({"excluded": excluded} if excluded else {}),
            **({"skips": True} if dataset.skips else {}),
        }
    )


def split_code(dataset: Dataset, split: str) -> str:
    """Return the part of a split's recipe that is known before any file is retrieved."""
    return split_recipe(dataset, split, {})


def derived_recipe(file: DerivedFile, sources: Mapping[str, Any]) -> str:
    """Return the recipe of a derived file."""
    return json_digest({"function": code_of(file.function), "plain": file.plain, "sources": dict(sources)})


def release_recipe(dataset: Dataset, splits: Mapping[str, str]) -> str:
    """Return the recipe of a version: the indexes of its splits, its checks, and the axes of its family."""
    axes = {"axes": [asdict(axis) for axis in dataset.axes]} if dataset.axes else {}
    skips = {"on_error": dataset.on_error} if dataset.skips else {}
    return json_digest({"splits": dict(splits), "checks": _checks(dataset), **axes, **skips})


def release_code(dataset: Dataset) -> str:
    """Return the part of a version's recipe that is known before any split is made."""
    return release_recipe(dataset, dict.fromkeys(dataset.splits, ""))


def _checks(dataset: Dataset) -> dict[str, str]:
    return {name: chosen if isinstance(chosen, str) else code_of(chosen) for name, chosen in dataset.checks.items()}
