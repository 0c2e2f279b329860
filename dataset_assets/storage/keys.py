"""What each key of a storage is: the layout of a storage read backwards, so that nobody else takes keys apart."""

import re
from dataclasses import dataclass, field
from typing import Iterable, Literal

from dataset_assets.core.names import RESERVED, check_dataset_name, storage_key
from dataset_assets.errors import NameNotAllowed

Kind = Literal["pointer", "version", "pin", "collector", "source", "raw", "index", "stream"]

_HEX = "[0-9a-f]{64}"
_PART = r"[A-Za-z0-9_]+"
# `raw`, `versions`, `index` and `meta` are no names of splits or streams.
_SPLIT = rf"(?!(?:{'|'.join(sorted(RESERVED))})/){_PART}"
_PATTERNS: dict[Kind, str] = {
    "pointer": r"current\.json",
    "version": rf"versions/(?P<digest>{_HEX})\.json",
    "pin": rf"meta/pins/(?P<digest>{_HEX})\.json",
    "collector": r"meta/collector\.json",
    "source": rf"raw/(?P<name>{_PART})/source\.json",
    "raw": rf"raw/(?P<name>{_PART})/(?P<digest>{_HEX})",
    "index": rf"(?P<name>{_SPLIT})/index/(?P<digest>{_HEX})\.json",
    "stream": rf"(?P<name>{_SPLIT})/{_SPLIT}/(?P<digest>{_HEX})(\.\w+)*",
}
_RULES = {kind: re.compile(f"(?P<dataset>.+)/{rest}") for kind, rest in _PATTERNS.items()}


@dataclass(frozen=True)
class Place:
    """What is at a key: of which dataset, of which kind, and as far as the kind has them its name and its digest.

    The name is that of a raw file, or of a split.
    """

    key: str
    dataset: str
    kind: Kind
    name: str = ""
    digest: str = ""


@dataclass
class Contents:
    """The keys of one dataset, by their kind."""

    dataset: str
    places: list[Place] = field(default_factory=list)

    def of(self, kind: Kind) -> list[Place]:
        """Return the places of a kind."""
        return [place for place in self.places if place.kind == kind]


def place_of(key: str) -> Place | None:
    """Return what is at a key, or None if the layout has no such key.

    >>> place_of("com/lecun/mnist/current.json").kind
    'pointer'
    """
    for kind, rule in _RULES.items():
        if found := rule.fullmatch(key):
            parts = found.groupdict()
            try:
                dataset = check_dataset_name(parts.pop("dataset").replace("/", "."))
            except NameNotAllowed:
                return None
            return Place(key, dataset, kind, **parts)
    return None


def contents(keys: Iterable[str]) -> tuple[dict[str, Contents], list[str]]:
    """Sort keys by their dataset, each once; return also those that the layout does not know."""
    found: dict[str, Contents] = {}
    strange = []
    for key in sorted({*keys}):
        place = place_of(key)
        if place is None:
            strange.append(key)
        else:
            found.setdefault(place.dataset, Contents(place.dataset)).places.append(place)
    return found, strange


def raw_key(dataset: str, file: str, sha256: str) -> str:
    """Return where a raw file's bytes are."""
    return storage_key(dataset, "raw", file, sha256)


def source_key(dataset: str, file: str) -> str:
    """Return where is written what is known of a raw file's source."""
    return storage_key(dataset, "raw", file, "source.json")


def stream_key(dataset: str, split: str, stream: str, sha256: str, suffix: str) -> str:
    """Return where a file of a stream is."""
    return storage_key(dataset, split, stream, sha256 + suffix)


def index_key(dataset: str, split: str, digest: str) -> str:
    """Return where a split's index is."""
    return storage_key(dataset, split, "index", f"{digest}.json")


def version_key(dataset: str, digest: str) -> str:
    """Return where a version is."""
    return storage_key(dataset, "versions", f"{digest}.json")


def pointer_key(dataset: str) -> str:
    """Return where the pointer to the current version is."""
    return storage_key(dataset, "current.json")


def pin_key(dataset: str, digest: str) -> str:
    """Return where it is noted that a version is pinned."""
    return storage_key(dataset, "meta", "pins", f"{digest}.json")


def collector_key(dataset: str) -> str:
    """Return where a collector says that it is at work."""
    return storage_key(dataset, "meta", "collector.json")
