"""Divides the samples of a source into splits: by the classes of its target, by groups, by a hash, or at random."""

import logging
from functools import partial
from typing import Any, Mapping

import numpy as np

from dataset_assets.definition.dataset import Split, SplitOf
from dataset_assets.errors import UsageError, nearest
from dataset_assets.formats import Array
from dataset_assets.sources.folders import Inferred

log = logging.getLogger(__name__)

WHOLE = "all"
"""The split that is divided, or of a source that has no splits."""

MOST_NUMBERS = 100
"""A target of more different whole numbers is not divided by them."""


def known_stream(stream: str | None, found: Inferred) -> str | None:
    """Return the name of a stream. Raises `UsageError` if there is none of that name."""
    if stream is not None and stream not in found.streams:
        raise UsageError(f"There is no stream {stream!r}.{nearest(stream, found.streams)}")
    return stream


def divided(
    found: Inferred, ratios: Mapping[str, float], group_by: str | None, hash_by: str | None, materialize: bool
) -> dict[str, Split]:
    """Return the whole and its parts, by these shares."""
    if [*found.splits] != [WHOLE]:
        raise UsageError(f"The source has the splits {', '.join(found.splits)} already. Leave out splits=.")
    if not isinstance(ratios, Mapping) or not ratios:
        raise UsageError(f'splits={ratios!r:.200} has no names. Write splits={{"train": 0.8, "test": 0.2}}.')
    if group_by and hash_by:
        raise UsageError("group_by= and hash_by= were both given. Give one of them.")
    if by := known_stream(group_by or hash_by, found):
        divide = SplitOf(WHOLE).group_split if group_by else SplitOf(WHOLE).hash_split
        return {**found.splits, **divide(ratios, by=by, materialize=materialize)}
    divided = (_by_class(found, len(ratios)) or SplitOf(WHOLE).random_split)(ratios, materialize=materialize)
    return {**found.splits, **divided}


def _by_class(found: Inferred, parts: int) -> Any:
    """Return how samples are divided in equal shares of each class; None if the target has no classes, or a rare one.

    Few whole numbers are classes too, if none is rare.
    """
    target, tally = found.streams.get(found.target or ""), found.tally
    if not isinstance(target, Array) or target.shape or (not target.classes and not tally):
        return None
    rare = min(tally, key=lambda value: tally[value]) if tally else None
    if tally and tally[rare] < parts:
        if target.classes:
            log.warning(
                "Class %r of %s has too few samples (%d) for %d splits, so the samples are divided at random. For "
                "equal shares of each class, drop this class or merge it with another.",
                rare, found.target, tally[rare], parts,
            )  # fmt: skip
        return None
    if not target.classes and (np.dtype(target.dtype).kind not in "biu" or len(tally or ()) > MOST_NUMBERS):
        return None
    return partial(SplitOf(WHOLE).stratified_split, by=found.target)
