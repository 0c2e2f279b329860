"""What the UI shows of an asset: pictures or first rows, class histogram, schema, bytes, digest, source, licence."""

import base64
import io
from typing import Any, Mapping

import dagster as dg
import numpy as np

from dataset_assets.checking import class_counts, described
from dataset_assets.index import SplitIndex, StoredStream, Version, digest_of, raw_key, stream_key
from dataset_assets.making import RawFile
from dataset_assets.orchestration import keys
from dataset_assets.storage import Storage
from dataset_assets.views import Stored, View

GRID = 8
PIXELS = 48
ROWS = 8
# The event log holds metadata twice, and the UI loads it whole.
LONGEST = 28_000
TEXT = 120

Metadata = dict[str, Any]


def of_raw(storage: Storage, dataset: str, raw: RawFile) -> Metadata:
    """Describe a raw file."""
    found: Metadata = {
        "dagster/uri": f"{storage.url}/{raw_key(dataset, raw.name, raw.sha256)}",
        "bytes": raw.bytes,
        "sha256": raw.sha256,
        "source": _link(raw.url),
        "answered by": _link(raw.source.url),
        "retrieved": raw.retrieved or "just now",
    }
    return found | ({"declared digest": raw.digest} if raw.digest else {})


def of_stream(storage: Storage, index: SplitIndex, stream: str) -> Metadata:
    """Describe a stream."""
    found = index.streams[stream]
    first = stream_key(index.dataset, index.split, stream, found.files[0].sha256, found.suffix)
    return {
        "dagster/uri": f"{storage.url}/{first}",
        "dagster/row_count": index.samples,
        "type": described(found),
        "bytes": found.bytes,
        "files": len(found.files),
        "sha256": keys.stream_version(found),
        keys.INDEX: digest_of(index),
    }


def of_split(view: Stored, index: SplitIndex) -> Metadata:
    """Describe a split, with a picture of its first samples."""
    found: Metadata = {
        "dagster/row_count": index.samples,
        "dagster/column_schema": _schema(index.streams),
        "bytes": index.bytes,
        "sha256": digest_of(index),
        "license": index.license or "not stated",
        "sources": dg.MetadataValue.md("\n".join(f"- {u.argument}: {u.url} `{u.sha256}`" for u in index.sources)),
        keys.INDEX: digest_of(index),
    }
    if index.samples:
        found["first samples"] = dg.MetadataValue.md(first_samples(view))
    for stream, classes in view.origin.classes.items():
        found[f"classes of {stream}"] = _histogram(view, stream, classes)
    return found


def of_version(storage: Storage, version: Version, digest: str) -> Metadata:
    """Describe a release."""
    return {
        "version": digest,
        "storage": storage.url,
        "splits": dg.MetadataValue.json(dict(version.splits)),
        "open it": dg.MetadataValue.md(f'```python\nload("{version.dataset}@{digest}")\n```'),
    }


def first_samples(view: View) -> str:
    """Return markdown of the first samples: a grid if there are pictures, a table of the rest."""
    parts = []
    some = view[: GRID * 4]
    rows = some.rows(slice(0, len(some)))
    for name, block in rows.items():
        if (pictures := as_pictures(block)) is not None:
            parts.append(f"![{name}](data:image/png;base64,{base64.b64encode(_grid(pictures)).decode()})")
    parts.append(_table(view[:ROWS]))
    return "\n\n".join(part for part in parts if len(part) <= LONGEST)


def as_pictures(block: Any) -> Any:
    """Return a block as pictures of shape (n, height, width) or (n, height, width, 3), or None if it holds none."""
    if not isinstance(block, np.ndarray) or block.dtype != np.uint8:
        return None
    grey, colour = block.ndim == 3, block.ndim == 4 and block.shape[3] == 3
    return block if (grey or colour) and min(block.shape[1:3]) >= 4 else None


def _grid(pictures: Any) -> bytes:
    from PIL import Image

    across = min(GRID, len(pictures))
    sheet = Image.new("RGB", (across * PIXELS, -(-len(pictures) // across) * PIXELS), "white")
    for k, picture in enumerate(pictures):
        tile = Image.fromarray(np.ascontiguousarray(picture)).resize((PIXELS - 2, PIXELS - 2))
        sheet.paste(tile.convert("RGB"), (k % across * PIXELS, k // across * PIXELS))
    out = io.BytesIO()
    sheet.quantize(64).save(out, "PNG", optimize=True)
    return out.getvalue()


def _table(view: View) -> str:
    rows = [_flat(sample) for sample in view]
    names = list(rows[0]) if rows else []
    lines = ["| " + " | ".join(map(_cell, names)) + " |", "|" + "---|" * len(names)]
    return "\n".join([*lines, *("| " + " | ".join(_cell(row[name]) for name in names) + " |" for row in rows)])


def _flat(sample: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in sample.items():
        row = value if isinstance(value, Mapping) else None
        found |= {name: value} if row is None else {f"{name}.{field}": item for field, item in row.items()}
    return found


def _cell(value: Any) -> str:
    """Return a value as the text of a markdown cell; what it holds is shown, never interpreted."""
    if isinstance(value, np.ndarray) and value.size > 8:
        value = f"{value.dtype} {'x'.join(map(str, value.shape))}, {value.min()} to {value.max()}"
    text = " ".join(str(value).split())
    text = text if len(text) <= TEXT else text[: TEXT - 3] + "..."
    return "".join(f"&#{ord(c)};" if c in "|<>&`*_[]!\\" else c for c in text)


def _histogram(view: Stored, stream: str, classes: tuple[str, ...]) -> Any:
    _, counts = class_counts(view.columns[stream], len(classes))
    longest = max(int(counts.max()), 1)
    rows = zip(classes, counts.tolist())
    lines = [f"{name[:24]:<24} {count:>9,} {'█' * round(30 * count / longest)}" for name, count in rows]
    return dg.MetadataValue.md("```\n" + "\n".join(lines[:50]) + "\n```")


def _schema(streams: Mapping[str, StoredStream]) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(name, described(stream)) for name, stream in streams.items()])


def _link(url: str) -> Any:
    return dg.MetadataValue.url(url) if url.startswith(("http://", "https://")) else dg.MetadataValue.text(url)
