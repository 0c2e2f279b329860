"""Checks: pure functions of what was made, run before anything is released.

Those of a split are kept in its index, so they say what is and not how bad it is. Those across splits, and a dataset's
own, belong to the version; how bad a failure is stands in the definition (`checks={"leakage": "warn"}`).
"""

import hashlib
import json
from typing import Any, Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.index import Finding, StoredStream
from dataset_assets.samples import Column

SPLIT_CHECKS = ("counts", "schema", "classes")
VERSION_CHECKS = ("leakage",)

BLOCK = 8 << 20
Hashes = NDArray[np.uint64]


def check_split(samples: int, streams: Mapping[str, StoredStream], columns: Mapping[str, Column]) -> tuple[Finding, ...]:
    """Return what the checks of one split find."""
    return (_counts(samples), _schema(samples, streams, columns), _classes(streams, columns))


def check_leakage(splits: Mapping[str, Mapping[str, Column]], roles: Mapping[str, str]) -> Finding:
    """Look for samples that are, byte for byte, in two splits; compares the `sample` stream, else all but target and tag."""
    names = list(splits)
    hashed = {name: sample_hashes(_compared(splits[name], roles)) for name in names} if len(names) > 1 else {}
    leaks = [
        text
        for i, first in enumerate(names)
        for second in names[i + 1 :]
        if (text := _leak(first, second, splits, hashed, roles))
    ]
    if leaks:
        return Finding("leakage", False, "; ".join(leaks) + ".")
    return Finding("leakage", True, f"No sample of one split is in another ({', '.join(names)}).")


def _counts(samples: int) -> Finding:
    if samples == 0:
        return Finding("counts", False, "The split has no samples. Its function yielded nothing.")
    return Finding("counts", True, f"{samples} samples.")


def _schema(samples: int, streams: Mapping[str, StoredStream], columns: Mapping[str, Column]) -> Finding:
    found = {name: (len(columns[name]), sum(file.samples for file in stream.files)) for name, stream in streams.items()}
    wrong = [f"{name} has {read}, its files say {said}" for name, (read, said) in found.items() if {read, said} != {samples}]
    if wrong:
        return Finding("schema", False, f"Of {samples} samples, {'; '.join(wrong)}.")
    return Finding("schema", True, "; ".join(f"{name}: {described(stream)}" for name, stream in streams.items()) + ".")


def _classes(streams: Mapping[str, StoredStream], columns: Mapping[str, Column]) -> Finding:
    wrong, absent, seen = [], [], 0
    for name, stream in streams.items():
        if not (classes := stream.parameters.get("classes")):
            continue
        seen += 1
        outside, counts = class_counts(columns[name], len(classes))
        if outside:
            wrong.append(f"{name} has {outside} values outside its {len(classes)} classes")
        missing = [str(classes[k]) for k in np.flatnonzero(counts == 0)]
        if missing:
            absent.append(f"{name} has no sample of {', '.join(missing[:20])}{', ...' if len(missing) > 20 else ''}")
    if wrong:
        return Finding("classes", False, "; ".join(wrong) + ".")
    return Finding("classes", True, "; ".join(absent) + "." if absent else "All classes occur." if seen else "No classes declared.")


def class_counts(column: Column, classes: int) -> tuple[int, NDArray[np.int64]]:
    """Return how many values are no class, and how many there are of each."""
    counts, outside = np.zeros(classes, np.int64), 0
    for block in blocks(column, 8):
        flat = np.asarray(block).reshape(-1)
        inside = (flat >= 0) & (flat < classes) & (flat == np.floor(flat))
        outside += int(flat.size - inside.sum())
        counts += np.bincount(flat[inside].astype(np.int64), minlength=classes)
    return outside, counts


def described(stream: StoredStream) -> str:
    """Return a stream's type in a few words: `array |u1 28x28`."""
    fields = stream.parameters.get("fields")
    if fields:
        return f"table of {len(fields)} fields"
    dtype, shape = stream.parameters.get("dtype", ""), stream.parameters.get("shape") or []
    return " ".join(filter(None, [stream.format, str(dtype), "x".join(map(str, shape))]))


def blocks(column: Column, row_bytes: int | None = None) -> Iterator[Any]:
    """Yield a column in blocks of a few MB."""
    rows = max(1, BLOCK // (row_bytes or 4096))
    for lo in range(0, len(column), rows):
        yield column.slice(lo, min(lo + rows, len(column)))


def sample_hashes(columns: Sequence[Column]) -> Hashes:
    """Return a 64-bit hash of each sample over some of its streams; equal samples have equal hashes."""
    total: Hashes = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        at = 0
        for block in blocks(column):
            hashes = _array_hashes(block) if isinstance(block, np.ndarray) else _value_hashes(block)
            total[at : at + len(hashes)] = total[at : at + len(hashes)] * np.uint64(0x9E3779B97F4A7C15) + hashes
            at += len(hashes)
    return total


def _array_hashes(rows: NDArray[Any]) -> Hashes:
    """Hash rows as vectors of words times odd numbers: one pass at memory speed, which a hash per row is not."""
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8).reshape(len(rows), -1)
    if flat.shape[1] % 8:
        flat = np.pad(flat, ((0, 0), (0, 8 - flat.shape[1] % 8)))
    words = flat.view(np.uint64)
    odd = np.random.Generator(np.random.PCG64(7)).integers(0, 2**63, words.shape[1], np.uint64) * np.uint64(2) + np.uint64(1)
    return ((words ^ (words >> np.uint64(29))) * odd).sum(axis=1, dtype=np.uint64)


def _value_hashes(block: Any) -> Hashes:
    values = block if isinstance(block, list) else block.to_pylist()
    digests = b"".join(hashlib.blake2b(content(value), digest_size=8).digest() for value in values)
    return np.frombuffer(digests, np.uint64)


def content(value: Any) -> bytes:
    """Return what a value consists of, for comparing it with another."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, memoryview)):
        return bytes(value)
    if isinstance(value, (np.ndarray, np.generic)):
        return f"{value.dtype}{value.shape}".encode() + value.tobytes()
    if hasattr(value, "data") and hasattr(value, "name"):
        return bytes(value.data)
    return json.dumps(value, sort_keys=True, default=str).encode()


def _compared(columns: Mapping[str, Column], roles: Mapping[str, str]) -> list[Column]:
    if "sample" in roles:
        return [columns[roles["sample"]]]
    aside = {roles.get("target"), roles.get("tag")}
    return [columns[name] for name in sorted(columns) if name not in aside] or list(columns.values())


def _leak(
    first: str,
    second: str,
    splits: Mapping[str, Mapping[str, Column]],
    hashed: Mapping[str, Hashes],
    roles: Mapping[str, str],
) -> str:
    """Describe the samples of `second` that are in `first` too; hashes propose, bytes decide."""
    order = np.argsort(hashed[first], kind="stable")
    ordered = hashed[first][order]
    at = np.searchsorted(ordered, hashed[second])
    candidates = np.flatnonzero(ordered[np.minimum(at, len(ordered) - 1)] == hashed[second]) if len(ordered) else []
    a, b = _compared(splits[first], roles), _compared(splits[second], roles)
    pairs: list[tuple[int, int]] = []
    for j in np.asarray(candidates, np.intp).tolist():
        same = order[at[j] : np.searchsorted(ordered, hashed[second][j], "right")].tolist()
        i = next((i for i in same if all(content(x[i]) == content(y[j]) for x, y in zip(a, b))), None)
        if i is not None:
            pairs.append((i, j))
    if not pairs:
        return ""
    shown = ", ".join(f"{second}[{j}] = {first}[{i}]" for i, j in pairs[:5])
    return f"{len(pairs)} samples of {second} are also in {first}: {shown}{', ...' if len(pairs) > 5 else ''}"


def run_own(name: str, check: Callable[[Any], str | None], views: Mapping[str, Any]) -> Finding:
    """Run a check of the dataset's author: a function of the splits' views that returns what is wrong, or None."""
    problem = check(views)
    return Finding(name, problem is None, problem or "Passed.", "error")
