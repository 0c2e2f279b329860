"""The record of a part of a split: what was made of a run of its files. It is stored after the part's stream files.

A run that was killed goes on with the parts that have no record. Nothing is read by it: the index names all files.
"""

from dataclasses import asdict, dataclass, field
from typing import Mapping

from dataset_assets.core.documents import Count, Digest, Unfit, read_as
from dataset_assets.errors import IntegrityError, NewerFormat
from dataset_assets.storage.keys import stream_key
from dataset_assets.storage.manifest import Skipped, SplitName, StoredStream, StreamName, sealed, unsealed


@dataclass(frozen=True)
class ClassesFound:
    """How often classes occur in a stream, as pairs of number and count, and how many values are of no class."""

    counts: tuple[tuple[Count, Count], ...]
    outside: Count = 0
    first: str = ""
    """The first value of no class, as Python writes it, and its sample."""
    at: Count = 0


@dataclass(frozen=True)
class PartRecord:
    """What was made in a part: `each` has the samples of each of its files; without samples it has no streams."""

    split: SplitName
    recipe: Digest
    samples: Count
    yielded: Count
    """How many its function yielded, with those that were left out."""
    each: tuple[Count, ...]
    streams: Mapping[StreamName, StoredStream]
    skipped: Count = 0
    bad: tuple[Skipped, ...] = ()
    classes: Mapping[StreamName, ClassesFound] = field(default_factory=dict)
    """What was found in the streams that have classes; a record of an earlier release has none."""

    def keys(self, dataset: str, stream: str) -> list[str]:
        """Return the keys of the files of a stream."""
        stored = self.streams[stream]
        return [stream_key(dataset, self.split, stream, file.sha256, stored.suffix) for file in stored.files]

    def sizes(self, dataset: str) -> dict[str, int]:
        """Return the keys of all its files, with their sizes."""
        return {
            key: file.bytes
            for name, stream in self.streams.items()
            for key, file in zip(self.keys(dataset, name), stream.files)
        }


def part_bytes(record: PartRecord) -> bytes:
    """Return a record as it is stored."""
    return sealed(asdict(record))


def part_in(data: bytes, key: str, dataset: str) -> PartRecord | None:
    """Read a record; None if it is damaged: the part is made again. Raises `NewerFormat`."""
    try:
        record: PartRecord = read_as(PartRecord, unsealed(data, key, dataset))
        return record
    except NewerFormat:
        raise
    except (IntegrityError, Unfit):
        return None
