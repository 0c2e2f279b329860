"""Checks: pure functions of splits, run before a version is released.

The findings of a split are stored in its index, without a severity. Checks across splits, and the dataset's own, belong
to the version. The definition says how severe a failure is (`checks={"leakage": "warn"}`).
"""

from types import MappingProxyType
from typing import Any, Callable, Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from dataset_assets.checks.classes import class_finding, classes_in, labelled
from dataset_assets.checks.duplicates import Hash, sample_hashes, shared
from dataset_assets.checks.thresholds import Threshold
from dataset_assets.definition.check_names import SPLIT_CHECKS, VERSION_CHECKS
from dataset_assets.errors import CheckFailed, DatasetAssetsError, DefinitionError
from dataset_assets.formats.columns import Column
from dataset_assets.storage.manifest import Finding, StoredStream
from dataset_assets.storage.part_record import ClassesFound

__all__ = ["SPLIT_CHECKS", "VERSION_CHECKS", "check_leakage", "check_split", "run_own"]

SHOWN = 5


def check_split(
    samples: int,
    streams: Mapping[str, StoredStream],
    columns: Mapping[str, Column],
    classes: Mapping[str, ClassesFound] = MappingProxyType({}),
) -> tuple[Finding, ...]:
    """Return the findings of the checks of one split. A stream is not read for its `classes` if they are known."""
    found = {n: classes.get(n) or classes_in(columns[n], len(names)) for n, names in labelled(streams).items()}
    return (_counts(samples), _schema(samples, streams, columns), class_finding(streams, found))


def check_leakage(
    splits: Mapping[str, Mapping[str, Column]],
    roles: Mapping[str, str],
    hashes: Hash = sample_hashes,
    sources: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> Finding:
    """Find samples that are in two splits, byte for byte: by the `sample` stream, else by all but target and tag.

    Equal samples within one split are no leak, nor are those that a split takes from its `sources`, the splits it is
    made of. `hashes` only proposes pairs: they are then compared.
    """
    names = list(splits)
    compared = {name: _compared(splits[name], roles) for name in names}
    hashed = {name: hashes(columns) for name, columns in compared.items()} if len(names) > 1 else {}
    leaks = []
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            if first in sources.get(second, ()) or second in sources.get(first, ()):
                continue
            here, there = shared(compared[first], hashed[first], compared[second], hashed[second])
            if len(there):
                leaks.append(_leak(first, here, second, there))
    if leaks:
        return Finding("leakage", False, "; ".join(leaks) + ".")
    made = [f"{name} is made of {' and '.join(found)}" for name in names if (found := sources.get(name))]
    return Finding("leakage", True, f"No sample of one split is in another ({'; '.join([', '.join(names), *made])}).")


def _compared(columns: Mapping[str, Column], roles: Mapping[str, str]) -> list[Column]:
    if "sample" in roles:
        return [columns[roles["sample"]]]
    aside = {roles.get("target"), roles.get("tag")}
    return [columns[name] for name in sorted(columns) if name not in aside] or [
        columns[name] for name in sorted(columns)
    ]


def _leak(first: str, here: NDArray[np.intp], second: str, there: NDArray[np.intp]) -> str:
    pairs = zip(here[:SHOWN].tolist(), there[:SHOWN].tolist())
    shown = ", ".join(f"{second}[{j}] = {first}[{i}]" for i, j in pairs)
    return f"{len(there)} samples of {second} are also in {first}: {shown}{', ...' if len(there) > SHOWN else ''}"


def _counts(samples: int) -> Finding:
    if samples == 0:
        return Finding("counts", False, "The split has no samples. Its function yielded nothing.")
    return Finding("counts", True, f"{samples} samples.")


def _schema(samples: int, streams: Mapping[str, StoredStream], columns: Mapping[str, Column]) -> Finding:
    found = {name: (len(columns[name]), sum(file.samples for file in stream.files)) for name, stream in streams.items()}
    wrong = [
        f"{name} has {read}, its files say {said}" for name, (read, said) in found.items() if {read, said} != {samples}
    ]
    if wrong:
        return Finding("schema", False, f"Of {samples} samples, {'; '.join(wrong)}.")
    return Finding("schema", True, "; ".join(f"{name}: {stream.in_words}" for name, stream in streams.items()) + ".")


def run_own(
    name: str, check: Callable[..., str | None], views: Mapping[str, Any], severity: str = "error", **more: Any
) -> Finding:
    """Run a check of the dataset's author: a function of the splits' views that returns a problem, or None."""
    try:
        if isinstance(check, Threshold):
            return Finding(name, *check.found(views, **more), severity)
        problem = check(views, **more)
    except DatasetAssetsError:
        raise
    except (Exception, SystemExit) as error:
        raise CheckFailed(
            f"the check {name} itself raised {type(error).__name__}: {error}. Correct the check."
        ) from error
    if problem is not None and not isinstance(problem, str):
        raise DefinitionError(f"the check {name} returned {problem!r}. Return a text that says what is wrong, or None.")
    return Finding(name, not problem, problem or "Passed.", severity)
