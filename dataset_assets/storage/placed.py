"""What an index says of values that lie in objects outside of the storage."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Mapping

from dataset_assets.core.canonical import restored
from dataset_assets.core.documents import Count

FILES = "files"
"""How objects are read that are files of one sample each; all others are read by the decoder of this name."""
CONTENT, TEXT, FILE, FOLDER = "content", "text", "file", "folder"
"""What a stream of such files may be read from: the bytes, the text, the path with the bytes, the first folder."""


@dataclass(frozen=True)
class PlacedPart:
    """A part of an object that is read at once, such as a row group: where it begins, its bytes, and its samples."""

    offset: Count
    bytes: Count
    samples: Count


@dataclass(frozen=True)
class PlacedObject:
    """An object that stays where it is, as it was when the index was made."""

    url: str
    bytes: Count
    etag: str
    version: str
    sha256: str
    """Its digest if it was known then; else empty: the ETag says only that nobody replaced it."""
    parts: tuple[PlacedPart, ...]
    path: str = field(default="", metadata={"omitted": True})
    """Of a file that is one sample: its path below the folder of its split."""


@dataclass(frozen=True)
class Placed:
    """Values that lie in objects outside of the storage: how these are read, and which column each stream is."""

    read: str
    columns: Annotated[Mapping[str, Any], restored]
    objects: tuple[PlacedObject, ...]
