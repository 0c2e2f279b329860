"""Compares a dataset with others: benchmarks, or what is mixed with it."""

from functools import partial
from typing import Any, Mapping

from dataset_assets.checks.pairs import Check
from dataset_assets.errors import DefinitionError
from dataset_assets.reading.load import load
from dataset_assets.reading.views import View


def against(check: Check, *names: str) -> Check:
    """Return a check that compares each split with other datasets, and not the splits with each other.

    `names` are prepared datasets, best with their versions. Without one, the released version is loaded when the check
    runs, so a later release is not compared.

    >>> Dataset(..., checks={"benchmark": against(near_text("text"), "org.example.questions@4c1d...")})
    """
    if not names:
        raise DefinitionError("against() was given no dataset to compare with. Name one.")
    return partial(_check, check=check, names=names)


def _check(views: Mapping[str, Any], check: Check, names: tuple[str, ...]) -> str | None:
    others = {f"{name} ({split})": view for name in names for split, view in _loaded(name).items()}
    found = [
        said for split in views for other in others if (said := check({other: others[other], split: views[split]}))
    ]
    return " ".join(found) or None


def _loaded(name: str) -> Mapping[str, View]:
    found: Mapping[str, View] = load(name)
    return found
