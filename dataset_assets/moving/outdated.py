"""Removes versions that were made before samples were taken out of their dataset, with all that only they use."""

from dataclasses import dataclass, field
from functools import partial
from typing import Callable, Iterator

from dataset_assets.core.commands import command
from dataset_assets.core.progress import report
from dataset_assets.errors import IntegrityError, NotPrepared, Refused
from dataset_assets.moving.gc import parts_of
from dataset_assets.reading.cache import drop, is_cached
from dataset_assets.storage.documents import OPENED
from dataset_assets.storage.exclusions import Exclusions, are_within, exclusions
from dataset_assets.storage.gc_lease import SECONDS, collecting, wait_for_collector
from dataset_assets.storage.keys import Contents, Place, folded, pin_key, version_key
from dataset_assets.storage.links import see_no_link
from dataset_assets.storage.listing import known_versions, whole
from dataset_assets.storage.manifest import SplitIndex, Version
from dataset_assets.storage.storage import size_of
from dataset_assets.storage.stored_dataset import StoredDataset


@dataclass
class Outdated:
    """What was removed: versions, as `name@digest`, and keys; `remaining` says what may still hold samples."""

    versions: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    bytes: int = 0
    remaining: list[str] = field(default_factory=list)


def excludes_more(there: StoredDataset, theirs: Exclusions, current: str | None, apply: bool) -> bool:
    """Say whether samples must be taken out of the dataset there before a copy with this record arrives.

    Raises `Refused` if the copy would bring samples back, or if they may not be taken out.
    """
    ours, url = exclusions(there, fresh=True), there.storage.url
    if not are_within(ours.every, theirs.every):
        raise Refused(
            f"Samples were taken out of {there.name} in {url} on request, and this copy may have them. Nothing was "
            "copied. Take them out of the source too, with the command forget, or by copying the other way."
        )
    if are_within(theirs.every, ours.every) or not there.exists():
        return False
    if not apply or current is None:
        how = "run the command again with --apply-exclusions" if current else "copy the current version, not a digest"
        raise Refused(
            f"Samples were taken out of {there.name} on request, which {url} still has. Nothing was copied. To take "
            f"them out there too, and to remove the versions that have them, {how}."
        )
    return True


def remove_outdated(stored: StoredDataset, *, raw: bool = False, lease_seconds: float = SECONDS) -> Outdated:
    """Remove the versions that may not be opened any more, their indexes, and the files that no other index names.

    With `raw` the retrieved files that they were made of are removed too. Raises `Conflict` if a garbage collection is
    running, and `Refused` for a folder that is a link.
    """
    wait_for_collector(stored)
    with collecting(stored, lease_seconds) as renew:
        return _Removal(stored.remembering(), raw).carry_out(renew)


class _Removal:
    def __init__(self, stored: StoredDataset, raw: bool) -> None:
        self.stored, self.storage, self.raw, self.found = stored, stored.storage, raw, Outdated()
        self.record = exclusions(stored, fresh=True)
        self.kept: set[str] = set()

    def carry_out(self, renew: Callable[[], None]) -> Outdated:
        places = {key: digest for key, digest in self._places(whole(self.stored))}
        see_no_link(self.storage, [*places])
        for k, (key, digest) in enumerate(places.items()):
            if (size := size_of(self.storage, key)) is not None:
                renew()
                self.storage.delete(key)
                OPENED.forget(self.storage, key)
                drop(self.storage, digest)
                self.found.keys.append(key)
                self.found.bytes += size
            report(self.stored.name, k + 1, len(places))
        if self.found.keys and is_cached(self.storage):
            where = self.storage.url
            self.found.remaining.append(f"The cache of every other machine that read {where} may hold removed files")
        return self.found

    def _places(self, there: Contents) -> Iterator[tuple[str, str]]:
        """Yield the key and the digest of what is to be removed: documents, then the files of streams."""
        for digest in sorted(known_versions(self.stored, there)):
            key = version_key(self.stored.name, digest)
            if self._is_outdated(key, partial(self.stored.version, digest)):
                self.found.versions.append(f"{self.stored.name}@{digest}")
                yield pin_key(self.stored.name, digest), ""
                yield key, digest
        indexes = {folded(place.key) for place in there.of("index") if self._is_outdated_index(place)}
        for place in (*there.of("recipe"), *there.of("index")):
            if folded(place.goes_with(self.stored.name)) in indexes:
                yield place.key, place.digest
        for place in there.of("part"):
            if folded(place.key) not in self.kept:
                yield place.key, ""
        for place in there.of("stream"):
            if folded(place.key) not in self.kept:
                yield place.key, place.digest
        yield from self._raw_places(there)

    def _is_outdated_index(self, place: Place) -> bool:
        return self._is_outdated(place.key, partial(self.stored.index, place.name, place.digest))

    def _is_outdated(self, key: str, read: Callable[[], Version | SplitIndex]) -> bool:
        """Say whether a version or an index may not be opened any more; note the files of an index."""
        try:
            document = read()
        except NotPrepared:
            return False
        except IntegrityError as error:
            self.found.remaining.append(f"{key} cannot be read, and stays ({error})")
            return False
        outdated = not self.record.permit(document.excluded)
        if isinstance(document, SplitIndex) and not outdated:
            self.kept |= {*map(folded, (*document.files, *parts_of(document)))}
        return outdated

    def _raw_places(self, there: Contents) -> Iterator[tuple[str, str]]:
        """Yield the retrieved files, of which some hold the samples, or note that they remain."""
        # An index names no file that was only read to derive another one.
        held = there.of("raw")
        if self.raw:
            yield from ((place.key, place.digest) for place in held)
            return
        for name in sorted({place.name for place in held}):
            remove = command(f"rm --force {self.stored.name}/raw/{name}", self.storage.url)
            self.found.remaining.append(f"{self.stored.name}/raw/{name} stays. Remove it with: {remove}")
