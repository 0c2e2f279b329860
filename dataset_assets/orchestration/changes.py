"""What changed with a release, on the page of the dataset: a table, plots, and numbers that Dagster plots over time."""

from itertools import islice
from typing import Any, Iterator, Mapping

import dagster as dg

from dataset_assets.core.commands import command
from dataset_assets.moving.diff import diff_versions
from dataset_assets.orchestration.charts import chart
from dataset_assets.orchestration.markdown import escaped, table
from dataset_assets.orchestration.previews import tried
from dataset_assets.storage.stored_dataset import Current, StoredDataset

MOST_BYTES = 1 << 30
"""Larger versions are not read again at their release."""
CHARTS = 8
SHOWN = 50

Document = Mapping[str, Any]


def what_changed(stored: StoredDataset, before: Current, digest: str) -> dict[str, Any]:
    """Return metadata that says what a release changed in the version that was current before it.

    `samples added`, `samples removed` and `samples changed` are numbers: Dagster plots them over all releases.
    """
    found: dict[str, int] = {}
    text = tried(_said, stored, before, digest, found)
    return {"what changed": dg.MetadataValue.md(text), **found}


def _said(stored: StoredDataset, before: Current, digest: str, found: dict[str, int]) -> str:
    if before.version is None or before.digest is None:
        return "Everything: no version was current before."
    if before.digest == digest:
        return "Nothing: this version was released before."
    version = stored.version(digest)
    size = sum(stored.index(split, at).bytes for one in (before.version, version) for split, at in one.splits.items())
    if size > MOST_BYTES:
        words = f"diff {stored.name}@{before.digest} {stored.name}@{digest}"
        return f"The versions are too large to be compared here. Run:\n\n    {command(words, stored.storage.url)}"
    document = diff_versions(stored, before.version, version)
    found |= {f"samples {kind}": document["total"][kind] for kind in ("added", "removed", "changed")}
    return "\n\n".join(
        [f"Since `{before.digest[:12]}`:", _splits(document), *islice(_streams(document), SHOWN), *_charts(document)]
    )


def _splits(document: Document) -> str:
    kinds = ("added", "removed", "changed", "same")
    rows = [
        [split, *found["samples"], *(found["contents"][kind] for kind in kinds)]
        for split, found in document["splits"].items()
    ]
    rows += [[split, 0, samples, samples, 0, 0, 0] for split, samples in document["added"].items()]
    rows += [[split, samples, 0, 0, samples, 0, 0] for split, samples in document["removed"].items()]
    more = f"\n\nand {len(rows) - SHOWN} more splits" if len(rows) > SHOWN else ""
    return table(["split", "before", "now", *kinds], rows[:SHOWN]) + more


def _streams(document: Document) -> Iterator[str]:
    for split, found in document["splits"].items():
        streams = found["streams"]
        for word in ("added", "removed"):
            yield from (f"Stream {escaped(f'{split}/{name}')} was {word}." for name in streams[word])
        for name, (old, new) in streams["changed"].items():
            yield f"Stream {escaped(f'{split}/{name}')} was {escaped(old)} and is {escaped(new)}."
        for name, count in found["contents"]["streams"].items():
            yield f"{escaped(f'{split}/{name}')} changed in {count} samples."


def _charts(document: Document) -> Iterator[str]:
    """Yield pictures of the classes and numbers that are distributed differently: grey before, blue now."""
    drawn = [*_counts(document)][:CHARTS]
    for name, before, now, ends in drawn:
        yield f"{escaped(name)} ({escaped(ends)}; grey: before, blue: now)\n\n![{escaped(name)}]({chart(before, now)})"


def _counts(document: Document) -> Iterator[tuple[str, list[int], list[int], str]]:
    for split, found in document["splits"].items():
        for stream, classes in found["classes"].items():
            before, now = ([counts[side] for counts in classes.values()] for side in (0, 1))
            if before != now and len(classes) > 1:
                names = [*classes]
                yield f"classes of {split}/{stream}", before, now, f"{names[0]} to {names[-1]}"
        for stream, numbers in found["numbers"].items():
            bars = numbers["histogram"]
            if bars and bars["a"] != bars["b"]:
                yield f"{split}/{stream}", bars["a"], bars["b"], f"{bars['edges'][0]:g} to {bars['edges'][-1]:g}"
