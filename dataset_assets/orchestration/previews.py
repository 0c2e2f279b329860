"""Metadata that the UI shows for an asset: pictures or rows, class histogram, schema, bytes, digest, source, licence.

The UI keeps the order of the metadata, so what people look for comes first.
"""

from datetime import datetime
from itertools import zip_longest
from typing import Any, Iterator, Mapping, Sequence

import dagster as dg
import numpy as np
from numpy.typing import NDArray

from dataset_assets.checks.classes import class_counts
from dataset_assets.core.canonical import digest_of
from dataset_assets.core.redact import redacted
from dataset_assets.orchestration import keys
from dataset_assets.orchestration.charts import MOST_WAVES, waveforms
from dataset_assets.orchestration.events import packed
from dataset_assets.orchestration.handover import AllRaw
from dataset_assets.orchestration.markdown import escaped, table
from dataset_assets.orchestration.thumbnails import sheet_of
from dataset_assets.reading.load import open_split
from dataset_assets.reading.views import Stored, View
from dataset_assets.reading.views.node import Origin
from dataset_assets.storage import Storage
from dataset_assets.storage.manifest import SplitIndex, StoredStream, Version
from dataset_assets.storage.raw_files import RawFile
from dataset_assets.storage.stored_dataset import StoredDataset

# The event log stores metadata twice, and the UI loads all of it.
LONGEST = 28_000
PICTURES = 32
ROWS = 8
READ_BYTES = 16 << 20
CLASSES = 50
SOURCES = 50
COLUMNS = 16
SCHEMA = 200
BAD = 100
FILES = 500
LONGEST_ERROR = 300
MOST_CLASSES = 12
AUDIO = "audio"

_FILES_SCHEMA = dg.TableSchema(
    [dg.TableColumn(name, "int" if name == "bytes" else "string") for name in ("file", "bytes", "sha256", "source")]
)

Metadata = dict[str, Any]


def of_raw(stored: StoredDataset, raw: RawFile) -> Metadata:
    """Describe a raw file."""
    found: Metadata = {
        "dagster/uri": f"{redacted(stored.storage.url)}/{stored.raw_key(raw)}",
        "source": _link(raw.url),
        "bytes": raw.bytes,
        "sha256": raw.sha256,
        "answered by": _link(raw.source.url),
        "retrieved": raw.retrieved or "just now",
    }
    return found | ({"declared digest": raw.digest} if raw.digest else {})


def of_all_raw(made: AllRaw) -> Metadata:
    """Describe all raw files of a dataset: those that failed, and a table of the first ones."""
    found: Metadata = {}
    if made.failed:
        errors = {name: str(error)[:LONGEST_ERROR] for name, error in made.failed.items()}
        found = {"failed": len(errors), keys.FAILED: dg.MetadataValue.json(errors)}
    rows = [
        dg.TableRecord({"file": raw.name, "bytes": raw.bytes, "sha256": raw.sha256, "source": redacted(raw.url)})
        for raw in [*made.raws.values()][:FILES]
    ]
    return found | {
        "files": len(made.raws),
        "bytes": sum(raw.bytes for raw in made.raws.values()),
        "retrieved just now": made.arrived,
        "the first files" if len(made.raws) > FILES else "all files": dg.MetadataValue.table(rows, _FILES_SCHEMA),
        keys.NEEDS: dg.MetadataValue.json(dict(made.needs)),
        **_partitions(made),
        # The other steps of the run use this list, whatever arrives at the source meanwhile.
        **({keys.LISTED: packed(made.listed)} if made.listed else {}),
        # Then the splits need not hash them again.
        keys.ARRIVED: made.arrived == len(made.raws),
    }


def _partitions(made: AllRaw) -> Metadata:
    if not made.partitions:
        return {}
    found = [[list(asset), sorted(partitions)] for asset, partitions in made.partitions.items()]
    return {"partitions": sum(len(each) for _, each in found), keys.PARTITIONS: dg.MetadataValue.json(found)}


def of_stream(storage: Storage, index: SplitIndex, stream: str) -> Metadata:
    """Describe a stream."""
    found = index.streams[stream]
    return {
        "dagster/uri": _uri(storage, index, stream),
        "dagster/row_count": index.samples,
        "type": type_of(found),
        "bytes": found.bytes,
        "files": len(found.files),
        "sha256": keys.stream_version(index, stream),
        keys.INDEX: digest_of(index),
    }


def _uri(storage: Storage, index: SplitIndex, stream: str) -> str:
    """Return where the first file of a stream is, or the first object that holds its values."""
    if index.placed:
        return redacted(index.placed.objects[0].url)
    return f"{redacted(storage.url)}/{index.key_of(stream, index.streams[stream].files[0])}"


def of_split(view: Stored, index: SplitIndex) -> Metadata:
    """Describe a split, with a preview of some samples."""
    found: Metadata = {}
    if index.samples:
        found["samples"] = dg.MetadataValue.md(tried(some_samples, view, [*index.streams]))
    for stream, classes in [*view.origin.classes.items()][:COLUMNS]:
        found[f"classes of {stream}"] = dg.MetadataValue.md(tried(_histogram, view, stream, classes))
    return found | {
        "dagster/row_count": index.samples,
        "dagster/column_schema": _schema(index.streams, view.origin),
        "bytes": index.bytes,
        "sources": dg.MetadataValue.md(_sources(index)),
        "license": index.license or "not stated",
        **_skipped(index),
        "sha256": digest_of(index),
        keys.INDEX: digest_of(index),
    }


def of_version(storage: Storage, version: Version, digest: str) -> Metadata:
    """Describe a release. Dagster plots its numbers over all releases."""
    stored = StoredDataset(storage, version.dataset)
    indexes = [stored.index(split, at) for split, at in version.splits.items()]
    return {
        **_first_look(stored, indexes),
        "open it": dg.MetadataValue.md(f'```python\nload("{version.dataset}@{digest}")\n```'),
        "dagster/row_count": sum(index.samples for index in indexes),
        "samples": sum(index.samples for index in indexes),
        "bytes": sum(index.bytes for index in indexes),
        **{f"samples of {index.split}": index.samples for index in indexes[:COLUMNS]},
        **_last_asked(stored, indexes),
        "version": digest,
        "storage": redacted(storage.url),
        "splits": dg.MetadataValue.json(dict(version.splits)),
    }


def _first_look(stored: StoredDataset, indexes: Sequence[SplitIndex]) -> Metadata:
    """Show samples of the first split that has some."""
    for index in indexes:
        if index.samples:
            view = open_split(stored, index.split, digest_of(index))
            return {f"a look at {index.split}": dg.MetadataValue.md(tried(some_samples, view, [*index.streams]))}
    return {}


def _last_asked(stored: StoredDataset, indexes: Sequence[SplitIndex]) -> Metadata:
    """Say when the last of the files was retrieved; of many files it would take too long to look."""
    names = {used.name for index in indexes for used in index.sources if used.name}
    records = [raw for name in names if (raw := stored.raw(name))] if len(names) <= SOURCES else []
    times = [raw.retrieved for raw in records if raw.retrieved]
    return {"last retrieved": dg.MetadataValue.timestamp(datetime.fromisoformat(max(times)))} if times else {}


def some_samples(view: View, streams: Sequence[str]) -> str:
    """Return markdown of some samples: a sheet for each stream of pictures, and a table of all streams.

    The samples are evenly spaced over the split, because the first ones often belong to a single class.
    """
    sheets, left = [], LONGEST
    for stream in streams:
        rows = _spread(len(view), min(PICTURES, _affordable(view, stream)))
        uri = _shown(view, stream, rows, left) if len(rows) else None
        if uri is not None:
            sheets.append(f"![{stream}]({uri})")
            left -= len(uri)
    return "\n\n".join([*sheets, _table(view, streams)])


def _kind(view: Stored, stream: str) -> str:
    return str(getattr(getattr(view.columns[stream], "kind", None), "name", ""))


def _shown(view: View, stream: str, rows: NDArray[np.intp], longest: int) -> str | None:
    """Return pictures or waveforms of some rows; None if the stream holds neither."""
    sounds = isinstance(view, Stored) and _kind(view, stream) == AUDIO
    values = view.rows_of([stream], rows[:MOST_WAVES] if sounds else rows)[stream]
    if not sounds:
        return sheet_of(values, longest)
    uri = waveforms([np.asarray(value) for value in values])
    return uri if len(uri) <= longest else None


def _table(view: View, streams: Sequence[str]) -> str:
    """Return a table of some rows. Each field of a stream with fields is a column."""
    columns: dict[str, list[Any]] = {}
    rows = _spread(len(view), ROWS)
    for stream in streams[: COLUMNS + 1]:
        values = [sample[stream] for sample in view.only(stream)[rows[: _affordable(view, stream)]]]
        columns |= dict(_columns(view, stream, values))
    names = [*columns][:COLUMNS]
    lines = [*zip_longest(rows.tolist(), *(columns[name] for name in names), fillvalue="too large to show")]
    hidden = len(columns) + max(len(streams) - COLUMNS - 1, 0) - len(names)
    return table(["#", *names], lines) + (f"\n\nand {hidden} more columns" if hidden > 0 else "")


def _columns(view: View, stream: str, values: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
    if values and isinstance(values[0], Mapping):
        for field in [*values[0]][: COLUMNS + 1]:
            yield f"{stream}.{field}", [value[field] for value in values]
        return
    yield stream, [_named(value, view.origin.classes.get(stream, ())) for value in values]


def _named(value: Any, classes: Sequence[str]) -> Any:
    """Return a label with its class."""
    known = isinstance(value, int) and 0 <= value < len(classes) and classes[value] != str(value)
    return f"{value} {classes[value]}" if known else value


def _spread(samples: int, most: int) -> NDArray[np.intp]:
    """Return at most this many rows, evenly spaced."""
    count = min(samples, most)
    return np.arange(count) * samples // max(count, 1)


def _affordable(view: View, stream: str) -> int:
    """Return how many values of a stream a preview may read."""
    return int(READ_BYTES / view.row_bytes([stream]))


def _histogram(view: Stored, stream: str, classes: Sequence[str]) -> str:
    _, counts = class_counts(view.columns[stream], len(classes))
    longest = max(counts.tolist(), default=0) or 1
    shown = [(name, f"{n:,}", "█" * round(30 * n / longest)) for name, n in zip(classes[:CLASSES], counts.tolist())]
    more = f"\n\nand {len(classes) - CLASSES} more classes" if len(classes) > CLASSES else ""
    return table(["class", "samples", ""], shown) + more


def tried(show: Any, *arguments: Any) -> str:
    """Return what a function shows, or why it cannot: a preview that fails must not fail the run."""
    try:
        found: str = show(*arguments)
        return found
    except Exception as error:
        return escaped(f"could not be shown: {type(error).__name__}: {error}")


def _sources(index: SplitIndex) -> str:
    lines = [f"- {escaped(used.argument)}: {escaped(used.url)} `{used.sha256}`" for used in index.sources]
    return "\n".join([*lines[:SOURCES], *([f"- and {len(lines) - SOURCES} more"] if len(lines) > SOURCES else [])])


def _skipped(index: SplitIndex) -> Metadata:
    if not index.skipped:
        return {}
    rows = [dg.TableRecord({"sample": bad.sample, "why": bad.why, "source": bad.source}) for bad in index.bad[:BAD]]
    columns = [dg.TableColumn("sample", "int"), dg.TableColumn("why"), dg.TableColumn("source")]
    return {"skipped": index.skipped, "skipped samples": dg.MetadataValue.table(rows, dg.TableSchema(columns))}


def _schema(streams: Mapping[str, StoredStream], origin: Origin) -> dg.TableSchema:
    columns = [
        dg.TableColumn(column, kind, _meaning(name, origin) if column == name else None)
        for name, stream in streams.items()
        for column, kind in _typed(name, stream)
    ]
    return dg.TableSchema(columns[:SCHEMA])


def _meaning(stream: str, origin: Origin) -> str | None:
    """Return the roles of a stream and the names of its classes."""
    roles = [role for role, named in origin.roles.items() if named == stream]
    classes = origin.classes.get(stream, ())
    more = ", ..." if len(classes) > MOST_CLASSES else ""
    named = f"{len(classes)} classes: {escaped(', '.join(classes[:MOST_CLASSES]) + more)}" if classes else ""
    return ". ".join(filter(None, [", ".join(roles), named])) or None


def type_of(stream: StoredStream) -> str:
    """Return the type of a stream as numpy's users write it: `uint8 28x28`, `image RGB 427x640`."""
    parameters = stream.parameters
    try:
        kind = np.dtype(parameters["dtype"]).name
    except (KeyError, TypeError, ValueError):
        return stream.in_words
    words = [] if stream.format == "array" else [stream.format]
    return " ".join(filter(None, [*words, kind, "x".join(map(str, parameters.get("shape") or []))]))


def _typed(name: str, stream: StoredStream) -> Iterator[tuple[str, str]]:
    fields = stream.parameters.get("fields")
    if not fields:
        yield name, type_of(stream)
    for field, kind in (fields or [])[:SCHEMA]:
        yield f"{name}.{field}"[:SCHEMA], str(kind)[:SCHEMA]


def _link(url: str) -> Any:
    shown = redacted(url)
    return dg.MetadataValue.url(shown) if shown.startswith(("http://", "https://")) else dg.MetadataValue.text(shown)
