"""What a run used: the stored splits below a view, its stack, and each split's share of the samples."""

from collections import Counter
from typing import Any, Iterator

import numpy as np

from dataset_assets.core.names import split_pin
from dataset_assets.errors import NotFound, UsageError
from dataset_assets.reading.views import View
from dataset_assets.reading.views.document import stack_of
from dataset_assets.storage import Storage
from dataset_assets.storage.stored_dataset import UNUSABLE, StoredDataset

SAMPLED = 1000
"""The share of each split is counted in this many samples, evenly over the view."""

Used = dict[str, Any]


def used_by(view: View) -> Used:
    """Return what a view reads, as plain JSON. Raises `UsageError` for anything but a view."""
    if not isinstance(view, View):
        raise UsageError(f"A run uses a view; got a {type(view).__name__}. Pass what load(..., split=...) returned.")
    return {"data": _data(view), "stack": _stack(view), "fingerprint": _fingerprint(view), "samples": len(view)}


def _data(view: View) -> list[Used]:
    leaves = {leaf.origin.index: leaf.origin for leaf in stack_of(view) if not leaf.parents and leaf.origin.index}
    share = _shares(view) if len(leaves) > 1 else Counter[str]()
    total = sum(share.values()) or 1
    return [
        {
            "dataset": origin.dataset,
            "split": origin.split,
            "index": index,
            "version": origin.version,
            "share": round(share[index] / total, 3) if len(leaves) > 1 else 1,
        }
        for index, origin in leaves.items()
    ]


def _shares(view: View) -> "Counter[str]":
    """Return how many of some samples are made from each split, by its index."""
    found: Counter[str] = Counter()
    for i in np.linspace(0, len(view) - 1, min(SAMPLED, len(view)), dtype=int).tolist() if len(view) else []:
        found.update({leaf.origin.index for leaf, _ in view.traced(i)})
    return found


def _stack(view: View) -> str | None:
    """Return the stack as JSON; None for one that no other process could read."""
    try:
        return view.to_json()
    except UsageError:
        return None


def _fingerprint(view: View) -> str | None:
    try:
        return view.fingerprint()
    except UsageError:
        return None


def data_of(used: list[Used]) -> list[Used]:
    """Return the splits that a run used, each once."""
    found = {one["index"]: one for entry in used for one in entry.get("data", [])}
    return [*found.values()]


def uses_version(used: list[Used], name: str) -> bool:
    """Say whether a run used a version, `name@digest`; without a digest, any version of a dataset."""
    dataset, digest = split_pin(name)
    return any(one["dataset"] == dataset and digest in (None, one["version"]) for one in data_of(used))


def sources_of(used: list[Used], storage: Storage) -> list[Used]:
    """Return what went into a run: each split with its licence, and the files that it was made of."""
    return [{**one, **_described(one, storage)} for one in data_of(used)]


def _described(one: Used, storage: Storage) -> Used:
    stored = StoredDataset(storage, one["dataset"])
    try:
        index = stored.index(one["split"], one["index"])
    except UNUSABLE as error:
        return {"problem": str(error), "license": None, "samples": None, "files": []}
    files = [
        {
            "url": source.url,
            "bytes": source.bytes,
            "sha256": source.sha256,
            "retrieved": _retrieved(stored, source.name, source.sha256),
        }
        for source in index.sources
    ]
    return {"license": index.license, "samples": index.samples, "bytes": index.bytes, "files": files}


def _retrieved(stored: StoredDataset, name: str, sha256: str) -> str | None:
    try:
        record = stored.raw(name)
    except (NotFound, ValueError):
        return None
    return record.retrieved or None if record is not None and record.sha256 == sha256 else None


def markdown_of(sources: list[Used]) -> str:
    """Return the sources as a Markdown document."""
    return "\n".join(_lines(sources)) + "\n"


def _lines(sources: list[Used]) -> Iterator[str]:
    yield "| dataset | split | version | share | licence | samples |\n|---|---|---|---|---|---|"
    for one in sources:
        version = (one["version"] or one["index"])[:12]
        cells = [
            one["dataset"],
            one["split"],
            version,
            f"{one['share']:.1%}",
            one["license"] or "unknown",
            one["samples"],
        ]
        yield _row(cells)
    yield "\n| source | bytes | retrieved | sha256 |\n|---|---|---|---|"
    for one in sources:
        for file in one["files"]:
            yield _row([file["url"], file["bytes"], file["retrieved"] or "unknown", file["sha256"]])


def _row(cells: list[Any]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
