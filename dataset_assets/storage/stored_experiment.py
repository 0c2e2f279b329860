"""An experiment in a storage: a pointer that names a generation, and the runs of that generation.

Runs are added as objects of their own, so many processes add at once. Only replacing and deleting swap the pointer.
"""

import json
import uuid
from dataclasses import dataclass
from itertools import islice
from typing import Any, Callable, Iterator, NamedTuple

from dataset_assets.core import files
from dataset_assets.core.canonical import sha256_hex
from dataset_assets.core.commands import command
from dataset_assets.core.names import check_identifier
from dataset_assets.errors import (
    Conflict,
    DecodeError,
    DigestMismatch,
    IntegrityError,
    NewerFormat,
    NotFound,
    UsageError,
)
from dataset_assets.storage.keys import experiment_key, experiment_place
from dataset_assets.storage.links import see_no_link
from dataset_assets.storage.manifest import bounded, sealed, unsealed
from dataset_assets.storage.storage import Storage, open_object

FORMAT = 1
ATTEMPTS = 20
MOST_BYTES = 1 << 30
"""The size limit of the runs of one persist."""


class Pointer(NamedTuple):
    """What the pointer says: the experiment's id and its generation; the digest is what `swap` expects."""

    id: str
    generation: str
    digest: str
    deleting: bool = False


@dataclass(frozen=True)
class StoredExperiment:
    """An experiment in a storage; nothing of it need be stored yet. Raises `NameNotAllowed`."""

    storage: Storage
    name: str

    def __post_init__(self) -> None:
        check_identifier(self.name, "experiment")

    @property
    def key(self) -> str:
        """The key of the pointer."""
        return experiment_key(self.name, "current.json")

    @property
    def values(self) -> str:
        """The folder of the values."""
        return experiment_key(self.name, "values")

    def pointer(self) -> Pointer | None:
        """Read the pointer; None if the experiment is not stored. Raises `DecodeError`, `NewerFormat`, `Conflict`."""
        try:
            with open_object(self.storage, self.key) as file:
                data = bounded(file)
        except FileNotFoundError:
            return None
        try:
            found = unsealed(data, self.key, self.name)
            name, pointer = found["experiment"], Pointer(found["id"], found["generation"], sha256_hex(data))
        except NewerFormat:
            raise
        except (IntegrityError, LookupError, TypeError) as error:
            raise DecodeError(
                f"{self.key} in {self.storage.url} is damaged. Copy the experiment again from where it is whole, or "
                f"remove it with: {command(f'experiments rm {self.name}', self.storage.url)}"
            ) from error
        if name != self.name:
            # On a disk that does not tell cases apart.
            raise Conflict(
                f"{self.storage.url} holds the experiment {name} under this name. Use that name, or another."
            )
        return pointer._replace(deleting=bool(found.get("deleting")))

    def present(self) -> Pointer:
        """Read the pointer. Raises `NotFound` if the experiment is not stored, or is being deleted."""
        found = self.pointer()
        if found is None or found.deleting:
            raise self.absent()
        return found

    def absent(self) -> NotFound:
        """Return the error for an experiment that is not stored."""
        return NotFound(
            f"The experiment {self.name} is not in {self.storage.url}. List what is there with: "
            f"{command('experiments ls', self.storage.url)}"
        )

    def in_deletion(self) -> Conflict:
        """Return the error for an experiment that another process deletes, or stopped deleting."""
        finish = command(f"experiments rm {self.name}", self.storage.url)
        return Conflict(f"{self.name} in {self.storage.url} is being deleted. Finish that with: {finish}")

    def become(self, pointer: Pointer, before: Pointer | None) -> None:
        """Make a generation current whose runs were copied here. Raises `Conflict`."""
        if before is None or before.generation != pointer.generation:
            self._swap(before, experiment=self.name, id=pointer.id, generation=pointer.generation)

    def runs(self, generation: str) -> Iterator[dict[str, Any]]:
        """Yield the records of the runs of a generation. Raises `DigestMismatch` and `DecodeError`."""
        for key in self.run_keys(generation):
            yield from self.document(key)["runs"]

    def run_keys(self, generation: str) -> list[str]:
        """Return the keys of the objects of runs of a generation."""
        places = map(experiment_place, self.storage.list(experiment_key(self.name, "runs", generation)))
        return sorted(place.key for place in places if place and place.kind == "runs")

    def document(self, key: str) -> dict[str, Any]:
        """Return an object of runs: their records, and the names of the values that they need.

        Raises `NotFound`, `DigestMismatch`, `DecodeError` and `NewerFormat`.
        """
        place = experiment_place(key)
        assert place is not None
        return parsed_runs(self._document(key, place.digest), key, self.storage.url)

    def _document(self, key: str, digest: str) -> bytes:
        try:
            with open_object(self.storage, key) as file:
                # `read` may allocate all that it is asked for.
                data = b"".join(islice(files.chunks_of(file), MOST_BYTES // files.CHUNK + 1))
        except FileNotFoundError:
            raise NotFound(f"{key} was removed from {self.storage.url} while it was read. Read it again.") from None
        if sha256_hex(data) != digest:
            raise DigestMismatch(
                f"{key} in {self.storage.url} has sha256 {sha256_hex(data)}, not that of its name: it is damaged. Copy "
                "the experiment again from where it is whole."
            )
        return data

    def add(self, data: bytes, write_values: Callable[[], object], pointer: Pointer) -> Pointer:
        """Add runs to the generation of a pointer: again if another one became current meanwhile."""
        for _ in range(ATTEMPTS):
            self.storage.put(self._runs_key(pointer.generation, data), data)
            after = self.present()
            if after.generation == pointer.generation:
                return after
            pointer = after
            # What was written may be collected with the generation before.
            write_values()
        raise Conflict(f"{self.name} in {self.storage.url} is replaced again and again. Add the runs when that ends.")

    def replace(self, id_experiment: str, data: bytes | None, before: Pointer | None) -> Pointer:
        """Write a new generation, then make it current. Raises `Conflict` if another one became current meanwhile."""
        generation = uuid.uuid4().hex
        if data is not None:
            self.storage.put(self._runs_key(generation, data), data)
        return self._swap(before, experiment=self.name, id=id_experiment, generation=generation)

    def _swap(self, before: Pointer | None, **fields: Any) -> Pointer:
        new = sealed(fields)
        if not self.storage.swap(self.key, new, before and before.digest):
            raise Conflict(
                f"{self.name} in {self.storage.url} was stored, replaced or deleted by another process meanwhile. "
                "Nothing of it was changed; look at it with load_experiment, then persist again."
            )
        return Pointer(fields["id"], fields["generation"], sha256_hex(new), bool(fields.get("deleting")))

    def delete(self) -> int:
        """Remove all objects of the experiment and nothing else; return how many. Raises `NotFound` and `Refused`."""
        before = self.pointer_or_damage()
        see_no_link(self.storage, [self.key])
        mine = self._swap(before, experiment=self.name, id=uuid.uuid4().hex, generation="0" * 32, deleting=True)
        count = 0
        for key in [*self.storage.list(experiment_key(self.name))]:
            place = experiment_place(key)
            if place and place.experiment == self.name and place.kind != "pointer":
                self.storage.delete(key)
                count += 1
        # Another process may have finished this deletion, and a new experiment may have its name. A storage cannot
        # compare and delete at once: a second deletion and a new experiment between these two lines would lose its
        # pointer. Its runs would stay until garbage collection.
        if (after := self.pointer()) is not None and after.id == mine.id:
            self.storage.delete(self.key)
        return count + 1

    def pointer_or_damage(self) -> Pointer:
        """Read the pointer, for a deletion; a damaged one has only a digest. Raises `NotFound`."""
        try:
            found = self.pointer()
        except DecodeError:
            with open_object(self.storage, self.key) as file:
                return Pointer("", "", files.sha256_in(file))
        return found if found is not None else self.present()

    def _runs_key(self, generation: str, data: bytes) -> str:
        return experiment_key(self.name, "runs", generation, f"{sha256_hex(data)}.json")


def document_of(name: str, records: list[dict[str, Any]], objects: set[str]) -> bytes:
    """Return the object of some runs; it lists the values that they need, so that nothing else need be read."""
    whole = {"format": FORMAT, "experiment": name, "values": sorted(objects), "runs": records}
    data = json.dumps(whole, separators=(",", ":")).encode()
    if len(data) > MOST_BYTES:
        raise UsageError(
            f"The runs have {len(data)} bytes, more than the limit of {MOST_BYTES}. Persist fewer at once."
        )
    return data


def parsed_runs(data: bytes, key: str, url: str) -> dict[str, Any]:
    """Return an object of runs from its bytes. Raises `DecodeError` and `NewerFormat`."""
    try:
        found: dict[str, Any] = json.loads(data)
        if type(found["format"]) is int and found["format"] > FORMAT:
            raise NewerFormat(f"{key} in {url} has format {found['format']}. Read it with a newer release.")
        if not isinstance(found["runs"], list) or not all(map(is_value_name, found["values"])):
            raise TypeError("its runs or values are not listed")
        place = experiment_place(key)
        if place is None or found["experiment"] != place.experiment:
            raise ValueError("it is of another experiment")
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        if isinstance(error, NewerFormat):
            raise
        raise DecodeError(f"{key} in {url} is not an object of runs: {type(error).__name__}.") from error
    return found


def is_value_name(name: Any) -> bool:
    """Say whether this is the name of a value below an experiment."""
    place = experiment_place(experiment_key("x", "values", name)) if isinstance(name, str) else None
    return place is not None and place.kind == "value"
