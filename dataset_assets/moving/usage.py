"""Usage: how many bytes a storage holds, by dataset and kind, and how many garbage collection would free."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Iterable

from dataset_assets.errors import IntegrityError
from dataset_assets.moving.gc import collect, contents_of
from dataset_assets.moving.parcel import pieces_of
from dataset_assets.storage import Storage, size_of
from dataset_assets.storage.keys import Contents, Place
from dataset_assets.storage.listing import known_versions, relisted
from dataset_assets.storage.stored_dataset import UNUSABLE, StoredDataset


@dataclass
class VersionUsage:
    """The files of a version: all their bytes, and those that no other version shares."""

    version: str
    current: bool
    bytes: int = 0
    own: int = 0
    problem: str | None = None


@dataclass
class Usage:
    """The bytes of a dataset; `shared`: of files that several versions name; `free`: what gc would free."""

    dataset: str
    bytes: int = 0
    streams: int = 0
    raw: int = 0
    documents: int = 0
    shared: int = 0
    free: int = 0
    versions: list[VersionUsage] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


def usage(storage: Storage, names: Iterable[str] = (), *, keep_versions: int, grace_seconds: float) -> list[Usage]:
    """Return what some datasets use, or all. The two settings decide what gc would free."""
    chosen = [*names]
    found = contents_of(storage, chosen)
    plans = collect(storage, chosen, keep_versions=keep_versions, grace_seconds=grace_seconds, dry_run=True)
    free = {plan.dataset: plan.bytes for plan in plans}
    return [
        _usage(StoredDataset(storage, name).remembering(), there, free.get(name, 0)) for name, there in found.items()
    ]


def _usage(stored: StoredDataset, there: Contents, free: int) -> Usage:
    versions, named = _versions(stored, there)
    # Indexes hold the sizes of the files that they name; only the other sizes are asked for.
    known = {key: size for files in named.values() for key, size in files.items()}
    there = relisted(stored, there, known) or there
    sizes = {place.key: known.get(place.key) or _size(stored, place) for place in there.places}
    found = Usage(there.dataset, bytes=sum(sizes.values()), free=free, versions=versions)
    found.streams = sum(sizes[place.key] for place in there.of("stream"))
    found.raw = sum(sizes[place.key] for place in there.of("raw"))
    found.documents = found.bytes - found.streams - found.raw
    often = Counter(key for files in named.values() for key in files)
    for version in versions:
        version.own = sum(size for key, size in named[version.version].items() if often[key] == 1)
    found.shared = sum(size for key, size in known.items() if often[key] > 1)
    return found


def _size(stored: StoredDataset, place: Place) -> int:
    return place.stat.bytes if place.stat else size_of(stored.storage, place.key) or 0


def _versions(stored: StoredDataset, there: Contents) -> tuple[list[VersionUsage], dict[str, dict[str, int]]]:
    # The versions are shown even if the pointer is damaged.
    try:
        current = stored.pointer().version
    except IntegrityError:
        current = None
    versions: list[VersionUsage] = []
    named: dict[str, dict[str, int]] = {}
    # Versions that a pointer or a pin names, and that are gone, are broken.
    for version in sorted(known_versions(stored, there)):
        one = VersionUsage(version, version == current)
        named[version] = {}
        try:
            for split, digest in stored.version(version).splits.items():
                named[version] |= {piece.key: piece.bytes for piece in pieces_of(stored.index(split, digest))}
        except UNUSABLE as error:
            one.problem = str(error)
        one.bytes = sum(named[version].values())
        versions.append(one)
    return sorted(versions, key=lambda version: not version.current), named
