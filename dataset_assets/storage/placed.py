"""What an index says of values that lie in objects outside of the storage."""

from dataclasses import dataclass
from typing import Annotated, Any, Mapping

from dataset_assets.core.canonical import restored
from dataset_assets.core.documents import Count


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


@dataclass(frozen=True)
class Placed:
    """Values that lie in objects outside of the storage: how these are read, and which column each stream is."""

    read: str
    columns: Annotated[Mapping[str, Any], restored]
    objects: tuple[PlacedObject, ...]
