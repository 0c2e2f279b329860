"""Checks: pure functions of splits, run before a version is released.

The findings of a split are stored in its index, without a severity. Checks across splits, and the dataset's own, belong
to the version. The definition says how severe a failure is (`checks={"leakage": "warn"}`).
"""

from types import MappingProxyType
from typing import Any, Callable, Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from dataset_assets.checks.duplicates import Hash, blocks, sample_hashes, shared
from dataset_assets.definition.check_names import SPLIT_CHECKS, VERSION_CHECKS
from dataset_assets.errors import CheckFailed, DatasetAssetsError, DefinitionError
from dataset_assets.formats.columns import Column
from dataset_assets.storage.manifest import Finding, StoredStream

__all__ = ["SPLIT_CHECKS", "VERSION_CHECKS", "check_leakage", "check_split", "class_counts", "run_own"]

SHOWN = 5


def check_split(
    samples: int, streams: Mapping[str, StoredStream], columns: Mapping[str, Column]
) -> tuple[Finding, ...]:
    """Return the findings of the checks of one split."""
    return (_counts(samples), _schema(samples, streams, columns), _classes(streams, columns))


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


def _classes(streams: Mapping[str, StoredStream], columns: Mapping[str, Column]) -> Finding:
    labelled = {name: classes for name, stream in streams.items() if (classes := stream.parameters.get("classes"))}
    wrong, absent = [], []
    for name, classes in labelled.items():
        outside, counts = class_counts(columns[name], len(classes))
        if outside:
            first = _first(columns[name], classes)
            wrong.append(f"{name} has {outside} values that are none of its {len(classes)} classes, {first}")
        missing = [str(classes[k]) for k in np.flatnonzero(counts == 0)]
        if missing:
            absent.append(f"{name} has no sample of {', '.join(missing[:20])}{', ...' if len(missing) > 20 else ''}")
    if wrong:
        return Finding("classes", False, "; ".join(wrong) + ".")
    if absent:
        return Finding("classes", True, "; ".join(absent) + ".")
    return Finding("classes", True, "All classes occur." if labelled else "No classes declared.")


def class_counts(column: Column, classes: int) -> tuple[int, NDArray[np.int64]]:
    """Return how many values are not the number of a class, and the count of each class."""
    counts, outside = np.zeros(classes, np.int64), 0
    for block in blocks(column):
        values = np.asarray(block).reshape(-1)
        inside = _inside(values, classes)
        outside += int(values.size - inside.sum())
        counts += np.bincount(values[inside].astype(np.int64), minlength=classes)
    return outside, counts


def _inside(values: NDArray[Any], classes: int) -> NDArray[np.bool_]:
    """Say which values are the number of a class: a whole number from 0 on, not NaN and not text."""
    if values.dtype.kind not in "biuf":
        return np.zeros(len(values), bool)
    found: NDArray[np.bool_] = (values >= 0) & (values < classes)
    return found & (values == np.floor(values)) if values.dtype.kind == "f" else found


def _first(column: Column, classes: Any) -> str:
    at = 0
    for block in blocks(column):
        rows = np.asarray(block).reshape(len(block), -1)
        wrong = np.argwhere(~_inside(rows.reshape(-1), len(classes)).reshape(rows.shape))
        if len(wrong):
            return f"first {rows[tuple(wrong[0])].item()!r} in sample {at + int(wrong[0][0])}"
        at += len(block)
    return ""


def run_own(
    name: str, check: Callable[..., str | None], views: Mapping[str, Any], severity: str = "error", **more: Any
) -> Finding:
    """Run a check of the dataset's author: a function of the splits' views that returns a problem, or None."""
    try:
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
