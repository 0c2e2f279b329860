"""What differs between two versions of a dataset, or two datasets: schema, counts, classes, samples and numbers.

Samples are compared by a 64-bit hash of their content, over the streams that both have. Each stream is read from front
to back, and its values at changed samples once more. Of a sample only its hash, and some of its numbers, are kept; so
memory stays small.
"""

from typing import Any, Iterator, Mapping, Sequence

import numpy as np

from dataset_assets.checks.classes import class_counts
from dataset_assets.checks.duplicates import MIX, Hashes, Rows
from dataset_assets.core.names import split_pin
from dataset_assets.core.settings import settings
from dataset_assets.errors import UnknownStream, nearest
from dataset_assets.formats.columns import Column
from dataset_assets.moving.diff_streams import compared_numbers, hashes_at, hashes_in
from dataset_assets.reading.load import open_split, open_version
from dataset_assets.reading.stored_files import index_of
from dataset_assets.reading.streaming import streaming_columns
from dataset_assets.reading.views import Stored
from dataset_assets.storage import Storage, open_storage
from dataset_assets.storage.manifest import SplitIndex, Version
from dataset_assets.storage.stored_dataset import StoredDataset

EXAMPLES = 10

Document = dict[str, Any]


def diff(a: str, b: str, *, by: str | None = None, storage: "str | Storage | None" = None) -> Document:
    """Return what differs from `a` to `b`, each a dataset or a version `name@digest`, as JSON values.

    A sample counts as changed if one of `a` and one of `b` have the same value of the stream `by`, and other streams
    differ; by default that is the stream of the role `tag`, or else `sample`. Without any, it is removed and added.
    Raises `NotPrepared`, and `UnknownStream` if no split of both has the stream `by`.
    """
    store = open_storage(settings().storage if storage is None else storage)
    (old, old_id), (new, new_id) = (_opened(name, store) for name in (a, b))
    common = dict.fromkeys(stream for split in old if split in new for stream in _common(old[split], new[split]))
    if by is not None and by not in common:
        raise UnknownStream(f"No split has a stream {by!r} in both {old_id} and {new_id}.{nearest(by, common)}")
    return {"a": old_id, "b": new_id, **diff_views(old, new, by)}


def diff_versions(stored: StoredDataset, a: Version, b: Version) -> Document:
    """Return what differs between two versions of a stored dataset."""
    old, new = ({split: open_split(stored, split, at) for split, at in version.splits.items()} for version in (a, b))
    return diff_views(old, new)


def diff_views(old: Mapping[str, Stored], new: Mapping[str, Stored], by: str | None = None) -> Document:
    """Return what differs between stored splits, by split; `total` sums the samples of all splits."""
    splits = {name: _split(old[name], new[name], by) for name in old if name in new}
    gone = {name: len(view) for name, view in old.items() if name not in new}
    come = {name: len(view) for name, view in new.items() if name not in old}
    counts = [split["contents"] for split in splits.values()]
    total = {kind: sum(found[kind] for found in counts) for kind in ("same", "changed", "added", "removed")}
    total["added"] += sum(come.values())
    total["removed"] += sum(gone.values())
    same = not gone and not come and all(split["equal"] for split in splits.values())
    return {"equal": same, "total": total, "added": come, "removed": gone, "splits": splits}


def _opened(name: str, store: Storage) -> tuple[dict[str, Stored], str]:
    plain, pin = split_pin(name)
    stored, version, digest = open_version(StoredDataset(store, plain), pin)
    views = {split: open_split(stored, split, at, digest) for split, at in sorted(version.splits.items())}
    return views, f"{stored.name}@{digest}"


def _split(old: Stored, new: Stored, by: str | None) -> Document:
    first, second = index_of(old), index_of(new)
    common = _common(old, new)
    schema = _schema(first, second)
    unchanged = not any(schema.values()) and _same_files(first, second)
    contents = _nothing(len(old)) if unchanged else _contents(old, new, common, by)
    found = {"samples": [len(old), len(new)], "streams": schema, "classes": _classes(old, new, common)}
    found |= {"contents": contents["contents"], "numbers": contents["numbers"]}
    moved = any(contents["contents"][kind] for kind in ("changed", "added", "removed"))
    return {"equal": not moved and not any(schema.values()), **found}


def _common(old: Stored, new: Stored) -> list[str]:
    return [name for name in index_of(old).streams if name in index_of(new).streams]


def _schema(first: SplitIndex, second: SplitIndex) -> Document:
    """Return the types of the streams that were added, removed or changed."""
    old, new = ({name: stream.in_words for name, stream in index.streams.items()} for index in (first, second))
    return {
        "added": {name: kind for name, kind in new.items() if name not in old},
        "removed": {name: kind for name, kind in old.items() if name not in new},
        "changed": {
            name: [old[name], new[name]]
            for name in old
            if name in new and (old[name], _fields(first, name)) != (new[name], _fields(second, name))
        },
    }


def _fields(index: SplitIndex, stream: str) -> Any:
    """Return what a stream's values consist of, beside what `in_words` says of them."""
    return {name: value for name, value in index.streams[stream].parameters.items() if name in ("fields", "classes")}


def _same_files(first: SplitIndex, second: SplitIndex) -> bool:
    rows = [(index.rows and index.rows.file, index.placed) for index in (first, second)]
    return rows[0] == rows[1] and all(one.files == second.streams[name].files for name, one in first.streams.items())


def _classes(old: Stored, new: Stored, common: Sequence[str]) -> Document:
    """Return the samples of each class, before and after, of the streams that have classes on both sides."""
    found = {}
    for stream in common:
        if stream in old.classes and stream in new.classes:
            before, after = (_counted(view, stream) for view in (old, new))
            names = dict.fromkeys([*before, *after])
            found[stream] = {name: [before.get(name, 0), after.get(name, 0)] for name in names}
    return found


def _counted(view: Stored, stream: str) -> dict[str, int]:
    names = view.classes[stream]
    return dict(zip(names, class_counts(streaming_columns(view)[stream], len(names))[1].tolist()))


def _nothing(samples: int) -> Document:
    counts = {"same": samples, "changed": 0, "added": 0, "removed": 0}
    return {"contents": {**counts, "by": None, "streams": {}, "examples": {}}, "numbers": {}}


def _contents(old: Stored, new: Stored, common: Sequence[str], by: str | None) -> Document:
    """Compare the samples, and the numbers in their streams."""
    columns = streaming_columns(old), streaming_columns(new)
    totals = [np.zeros(len(view), np.uint64) for view in (old, new)]
    keyed = _key(old, new, common, by)
    keys: list[Hashes] = []
    numbers: Document = {}
    for stream in common:
        plain = stream not in old.classes
        found = [hashes_in(side[stream], numbered=plain) for side in columns]
        numbers |= compared_numbers(stream, *(values for _, values in found))
        totals = [total * MIX + hashes for total, (hashes, _) in zip(totals, found)]
        if stream == keyed:
            keys = [hashes for hashes, _ in found]
    # Samples without a common stream have nothing by which they could be the same.
    same = _matched(*(total if common else total[:0] for total in totals))
    removed, added = (_others(len(total), rows) for total, rows in zip(totals, same))
    pairs = _matched(keys[0][removed], keys[1][added]) if keys else (removed[:0], added[:0])
    changed = removed[pairs[0]], added[pairs[1]]
    removed, added = np.delete(removed, pairs[0]), np.delete(added, pairs[1])
    return {
        "contents": {
            "same": len(same[0]),
            "changed": len(changed[0]),
            "added": len(added),
            "removed": len(removed),
            "by": keyed,
            "streams": dict(_changed_streams(columns, changed, [name for name in common if name != keyed])),
            "examples": {
                "changed": np.stack(changed, 1)[:EXAMPLES].tolist(),
                "added": added[:EXAMPLES].tolist(),
                "removed": removed[:EXAMPLES].tolist(),
            },
        },
        "numbers": numbers,
    }


def _key(old: Stored, new: Stored, common: Sequence[str], by: str | None) -> str | None:
    """Return the stream by which a changed sample is recognised, if both splits have it."""
    asked = (by,) if by is not None else (new.roles.get("tag"), new.roles.get("sample"))
    return next((stream for stream in asked if stream in common), None)


def _matched(first: Hashes, second: Hashes) -> tuple[Rows, Rows]:
    """Return the rows of equal hashes, one to one, in the order of the second; of what repeats, the first ones."""
    _, here, there = np.intersect1d(_counted_hashes(first), _counted_hashes(second), True, return_indices=True)
    order = np.argsort(there, kind="stable")
    return here[order], there[order]


def _counted_hashes(hashes: Hashes) -> Hashes:
    """Return hashes in which a value that occurs again has a hash of its own: the second, the third time."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(ordered) else order
    again = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.append(starts, len(ordered))))
    found = np.empty_like(hashes)
    found[order] = (ordered ^ (ordered >> np.uint64(32))) + again.astype(np.uint64) * MIX
    return found


def _others(count: int, rows: Rows) -> Rows:
    left = np.ones(count, bool)
    left[rows] = False
    return np.flatnonzero(left)


def _changed_streams(
    columns: tuple[Mapping[str, Column], Mapping[str, Column]], changed: tuple[Rows, Rows], streams: Sequence[str]
) -> Iterator[tuple[str, int]]:
    """Yield the streams in which changed samples differ, with their number."""
    for stream in streams:
        here, there = (hashes_at(side[stream], rows) for side, rows in zip(columns, changed))
        if count := int((here != there).sum()):
            yield stream, count
