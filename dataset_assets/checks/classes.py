"""How often each class occurs in a stream, and values that are of none. What parts of a split have is added up."""

from collections import Counter
from typing import Any, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.checks.duplicates import blocks
from dataset_assets.formats.columns import Column
from dataset_assets.storage.manifest import Finding, StoredStream
from dataset_assets.storage.part_record import ClassesFound

SHOWN = 20


def labelled(streams: Mapping[str, StoredStream]) -> dict[str, Sequence[str]]:
    """Return the names of the classes of each stream that has some."""
    return {name: classes for name, stream in streams.items() if (classes := stream.parameters.get("classes"))}


def classes_in(column: Column, classes: int) -> ClassesFound:
    """Return how often each class occurs in a column."""
    outside, counts = class_counts(column, classes)
    there = np.flatnonzero(counts)
    pairs = tuple(zip(there.tolist(), counts[there].tolist()))
    return ClassesFound(pairs, outside, *_first(column, classes)) if outside else ClassesFound(pairs)


def added_up(parts: Iterable[tuple[int, ClassesFound]]) -> ClassesFound:
    """Return how often each class occurs in parts of so many samples, one after the other."""
    counts, outside, first, at, before = Counter[int](), 0, "", 0, 0
    for samples, found in parts:
        counts.update(dict(found.counts))
        if found.outside and not outside:
            first, at = found.first, before + found.at
        outside, before = outside + found.outside, before + samples
    return ClassesFound(tuple(sorted(counts.items())), outside, first, at)


def class_finding(streams: Mapping[str, StoredStream], found: Mapping[str, ClassesFound]) -> Finding:
    """Return the finding of what was found in each stream that has classes."""
    wrong, absent, every = [], [], labelled(streams)
    for name, classes in every.items():
        one = found[name]
        if one.outside:
            value = f"first {one.first} in sample {one.at}"
            wrong.append(f"{name} has {one.outside} values that are none of its {len(classes)} classes, {value}")
        there = dict(one.counts)
        missing = [str(each) for k, each in enumerate(classes) if k not in there]
        if missing:
            more = ", ..." if len(missing) > SHOWN else ""
            absent.append(f"{name} has no sample of {', '.join(missing[:SHOWN])}{more}")
    if wrong:
        return Finding("classes", False, "; ".join(wrong) + ".")
    if absent:
        return Finding("classes", True, "; ".join(absent) + ".")
    return Finding("classes", True, "All classes occur." if every else "No classes declared.")


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


def _first(column: Column, classes: int) -> tuple[str, int]:
    """Return the first value that is of no class, and its sample."""
    at = 0
    for block in blocks(column):
        rows = np.asarray(block).reshape(len(block), -1)
        wrong = np.argwhere(~_inside(rows.reshape(-1), classes).reshape(rows.shape))
        if len(wrong):
            return repr(rows[tuple(wrong[0])].item()), at + int(wrong[0][0])
        at += len(block)
    return "", 0
