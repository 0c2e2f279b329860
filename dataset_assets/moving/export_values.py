"""What kind of value each stream has, and a value as the bytes of a file with the suffix that others expect."""

import io
import json
from typing import Any, Literal, Mapping, NamedTuple

import numpy as np

from dataset_assets.errors import DatasetAssetsError
from dataset_assets.formats.decoded import DecodedColumn
from dataset_assets.formats.json_values import text_of
from dataset_assets.formats.members import FilesColumn, Member
from dataset_assets.reading.views import Stored, View
from dataset_assets.reading.views.document import document_of, restored, stack_of
from dataset_assets.reading.views.undecoded import encoded

Kind = Literal["image", "audio", "files", "value"]

# These only choose, order or join samples, so that they do the same to encoded values.
_CHOOSING = {
    "stored", "concat", "group_split", "hash_split", "interleave", "kfold", "mix", "only", "random_split", "repeat",
    "select", "shard", "shuffle",
}  # fmt: skip
_MAGIC = (
    (b"\xff\xd8\xff", "jpg"), (b"\x89PNG", "png"), (b"GIF8", "gif"), (b"BM", "bmp"), (b"fLaC", "flac"),
    (b"OggS", "ogg"), (b"ID3", "mp3"), (b"FORM", "aiff"),
)  # fmt: skip


class Encoded(NamedTuple):
    """A view whose pictures and sounds are their stored bytes, and the kind of each stream."""

    view: View
    kinds: Mapping[str, Kind]


def encoded_view(view: View) -> Encoded:
    """Return a view with the stored bytes of its pictures and sounds, if nothing in its stack changes values."""
    stored = {id(one): one for one in stack_of(view) if isinstance(one, Stored)}
    kinds = {name: _kind(column) for one in stored.values() for name, column in one.columns.items()}
    if not {"image", "audio"} & {*kinds.values()}:
        return Encoded(view, kinds)
    origins = {(one.dataset, one.split, one.origin.index): one for one in stored.values()}
    try:
        document = document_of(view)
    except DatasetAssetsError:
        document = {"views": [{"op": "a function"}]}
    if {node["op"] for node in document["views"]} - _CHOOSING:
        return Encoded(view, {name: "value" for name in kinds})

    def opened(given: Mapping[str, Any]) -> View:
        one = origins[given["dataset"], given["split"], given["index"]]
        return encoded(one) if any(isinstance(column, DecodedColumn) for column in one.columns.values()) else one

    return Encoded(restored(document, opened), kinds)


def _kind(column: Any) -> Kind:
    first = getattr(column, "columns", [column])[0]
    if isinstance(first, DecodedColumn):
        return "audio" if first.kind.__class__.__name__ == "Audio" else "image"
    return "files" if isinstance(first, FilesColumn) else "value"


def file_of(value: Any, kind: Kind, is_class: bool) -> tuple[str, bytes]:
    """Return a value as the suffix and the bytes of a file."""
    if isinstance(value, Member):
        name, dot, suffix = value.name.rpartition("/")[2].rpartition(".")
        return (suffix if name and dot and suffix.isalnum() else "bin"), bytes(value.data)
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
        return suffix_of(data) if kind != "value" else "bin", data
    if isinstance(value, str):
        return "txt", value.encode()
    if isinstance(value, np.ndarray) and value.ndim:
        buffer = io.BytesIO()
        np.save(buffer, value, allow_pickle=False)
        return "npy", buffer.getvalue()
    return ("cls" if is_class else "json"), plain_text(value).encode()


def suffix_of(data: bytes) -> str:
    """Return the suffix of a picture's or a sound's file by its first bytes."""
    if data[:4] == b"RIFF":
        return "webp" if data[8:12] == b"WEBP" else "wav"
    return next((suffix for magic, suffix in _MAGIC if data.startswith(magic)), "bin")


def plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, Member):
        return value.name
    return json.loads(text_of(value))


def plain_text(value: Any) -> str:
    """Return a value as JSON text."""
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False)
