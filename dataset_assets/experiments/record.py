"""The record of a stored run, checked before anything of it is used: it may be damaged or forged."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Mapping, Sequence

from dataset_assets.core.documents import Count, Digest, read_as, reader_of
from dataset_assets.experiments.value_store import FURTHEST, PACK_BYTES
from dataset_assets.storage.stored_experiment import is_value_name

Document = dict[str, Any]


def _object(name: str) -> str:
    if not is_value_name(name):
        raise ValueError(f"{name!r:.80} does not name a value")
    return name


def _place(at: int) -> int:
    if at > FURTHEST:
        raise ValueError(f"byte {at} lies outside of any object")
    return at


def _size(size: int) -> int:
    if size > PACK_BYTES:
        raise ValueError(f"{size} bytes are more than a small value has")
    return size


@dataclass(frozen=True)
class _Value:
    """A reference to a value: an object, or a part of one with a digest of its own."""

    object: Annotated[str, _object]
    codec: str
    compression: Literal["none", "zstd"] = "none"
    at: Annotated[Count, _place] | None = None
    bytes: Annotated[Count, _size] | None = None
    sha256: Digest | None = None

    def __post_init__(self) -> None:
        if len({part is None for part in (self.at, self.bytes, self.sha256)}) > 1:
            raise ValueError("names a part of an object without its place, size or digest")


@dataclass(frozen=True)
class _Inline:
    codec: str
    base64: str


def field(document: Document) -> Document:
    """Return the document of a field. Raises ValueError if it has no form that is ever written."""
    if "plain" in document and len(document) == 1:
        # By far the most fields are such.
        return document
    below: Mapping[Any, Any] = {}
    match document:
        case {"value": reference} if len(document) == 1:
            read_as(_Value, reference)
        case {"store": dict(below)} | {"entries": dict(below)} if len(document) == 1:
            pass
        case {"items": list(items), "kind": "list" | "tuple"} if len(document) == 2:
            below = dict(enumerate(items))
        case _:
            read_as(_Inline, document)
    for one in below.values():
        _FIELD(one)
    return document


_FIELD = reader_of(Annotated[dict, field])


@dataclass(frozen=True)
class _Data:
    dataset: str
    split: str
    index: str
    version: str | None
    share: float


def _use(entry: dict[str, Any]) -> dict[str, Any]:
    read_as(Sequence[_Data], entry.get("data", []))
    return entry


def _moment(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return text


@dataclass(frozen=True)
class _Error:
    type: str
    message: str


def _error(error: dict[str, Any]) -> dict[str, Any]:
    read_as(_Error, error)
    return error


@dataclass(frozen=True)
class Record:
    """What is stored of a run; each field as a document of its own."""

    id: str
    started: Annotated[str, _moment]
    seconds: float | None
    error: Annotated[dict[str, Any], _error] | None
    used: Sequence[Annotated[dict[str, Any], _use]]
    fields: Mapping[str, Annotated[dict[str, Any], field]]
