"""Stored experiments collected, measured, verified and copied, by their keys alone.

They are named `experiments/NAME`. The objects of runs list the values that they need; nothing else in them is read.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import time
from typing import Iterable

from dataset_assets.core.commands import command
from dataset_assets.core.files import sha256_in
from dataset_assets.core.names import check_identifier
from dataset_assets.core.progress import report
from dataset_assets.errors import Conflict, DatasetAssetsError, IntegrityError, NotFound, StoredFileDamaged, UsageError
from dataset_assets.moving.copy import Copied, fetched, workplace
from dataset_assets.moving.gc import Collected
from dataset_assets.moving.parcel import Piece
from dataset_assets.moving.usage import Usage
from dataset_assets.moving.verify import DAMAGED, Damage, Verified
from dataset_assets.storage import Storage, open_storage, size_of
from dataset_assets.storage.keys import ExperimentPlace, experiment_key, experiment_place, own_value
from dataset_assets.storage.storage import open_object
from dataset_assets.storage.stored_experiment import Pointer, StoredExperiment

FOLDER = "experiments/"


@dataclass
class Needed:
    """What an experiment needs: its pointer, the objects of its runs, and their values; sizes where they are stored."""

    pointer: Pointer | None
    runs: list[str] = field(default_factory=list)
    values: set[str] = field(default_factory=set)

    @property
    def keys(self) -> set[str]:
        """The keys of all of them."""
        return {*self.runs, *self.values}


def experiment_names(storage: Storage) -> list[str]:
    """Return the names of the stored experiments, without `experiments/`."""
    return sorted({place.experiment for place in _places(storage) if place.kind == "pointer"})


def _chosen(storage: Storage, names: Iterable[str]) -> list[str]:
    """Return the experiments among some names; without names, all that have an object in the storage."""
    if chosen := [*names]:
        return [named(name) for name in chosen if is_experiment(name)]
    return sorted({place.experiment for place in _places(storage)})


def _places(storage: Storage) -> list[ExperimentPlace]:
    return [place for place in map(experiment_place, storage.list("experiments")) if place]


def named(name: str) -> str:
    """Return the name of an experiment without `experiments/`. Raises `NameNotAllowed`."""
    return check_identifier(name.removeprefix(FOLDER), "experiment")


def is_experiment(name: str) -> bool:
    """Say whether a name is that of an experiment: `experiments/NAME`."""
    return name.startswith(FOLDER)


def needed_by(stored: StoredExperiment) -> Needed:
    """Return what an experiment needs. Raises the errors of a damaged pointer, or of a damaged object of runs."""
    pointer = stored.pointer()
    if pointer is None or pointer.deleting:
        return Needed(pointer)
    runs = stored.run_keys(pointer.generation)
    # A listing that ends early must not make values look unused, so what another listing shows counts too.
    everything = map(experiment_place, stored.storage.list(experiment_key(stored.name)))
    others = {place.key for place in everything if place and place.generation == pointer.generation}
    found = Needed(pointer, sorted({*runs, *others}))
    for key in found.runs:
        found.values |= {f"{stored.values}/{name}" for name in stored.document(key)["values"]}
    return found


def collect(
    storage: Storage, names: Iterable[str] = (), *, grace_seconds: float, dry_run: bool = False
) -> list[Collected]:
    """Remove what no run of an experiment needs and is older than the grace period; with `dry_run` only report it.

    That is what was replaced, and what killed processes left. If an experiment is damaged, nothing of it is removed.
    """
    return [_collected(StoredExperiment(storage, name), grace_seconds, dry_run) for name in _chosen(storage, names)]


def _collected(stored: StoredExperiment, grace_seconds: float, dry_run: bool) -> Collected:
    found = Collected(FOLDER + stored.name)
    listed = sorted(key for key in stored.storage.list(experiment_key(stored.name)) if _is_of(key, stored.name))
    try:
        # After the listing: what is added meanwhile is not in it.
        needed = needed_by(stored)
    except (IntegrityError, NotFound, Conflict) as error:
        found.problem = str(error)
        return found
    found.kept = [needed.pointer.generation] if needed.pointer and not needed.pointer.deleting else []
    for key in (key for key in listed if key not in needed.keys):
        # Whoever stores it again renews its time.
        with suppress(FileNotFoundError):
            info = stored.storage.stat(key)
            if time() - info.modified >= grace_seconds:
                found.removed.append(key)
                found.bytes += info.bytes
                if not dry_run:
                    stored.storage.delete(key)
    return found


def remove(name: str, storage: Storage, *, dry_run: bool = False) -> Collected:
    """Remove an experiment with its values, and nothing else; with `dry_run` only report it. Raises `NotFound`."""
    stored = StoredExperiment(storage, named(name))
    keys = [place.key for place in _places(storage) if place.experiment == stored.name]
    found = Collected(FOLDER + stored.name, removed=sorted(keys), bytes=sum(size_of(storage, key) or 0 for key in keys))
    if dry_run:
        stored.pointer_or_damage()
    else:
        stored.delete()
    return found


def _is_of(key: str, name: str) -> bool:
    place = experiment_place(key)
    return place is not None and place.experiment == name and place.kind != "pointer"


def usage(storage: Storage, names: Iterable[str] = (), *, grace_seconds: float) -> list[Usage]:
    """Return what each experiment uses and garbage collection would free, then what own values use, by prefix."""
    chosen = [*names]
    plans = collect(storage, chosen, grace_seconds=grace_seconds, dry_run=True)
    found = [_usage(storage, plan) for plan in plans]
    return found if chosen else found + _own_values(storage)


def _usage(storage: Storage, plan: Collected) -> Usage:
    found = Usage(plan.dataset, free=plan.bytes)
    for place in map(experiment_place, storage.list(plan.dataset)):
        size = size_of(storage, place.key) if place else None
        found.bytes += size or 0
        found.documents += size or 0 if place and place.kind != "value" else 0
    return found


def _own_values(storage: Storage) -> list[Usage]:
    found: dict[str, Usage] = {}
    for key in storage.list("values"):
        if prefix := own_value(key):
            one = found.setdefault(prefix, Usage(f"values/{prefix}"))
            one.bytes += size_of(storage, key) or 0
    return [found[prefix] for prefix in sorted(found)]


def verify(name: str, storage: Storage) -> Verified:
    """Hash all that an experiment needs. Raises `NotFound` if it is not stored."""
    stored = StoredExperiment(storage, named(name))
    found = Verified(FOLDER + stored.name)
    pointer = _seen(found, stored.key, stored)
    if pointer is None:
        return found
    found.versions, found.released = [pointer.generation], pointer.generation
    pieces = _pieces(found, stored, pointer)
    for done, piece in enumerate(pieces):
        problem, size = _problem(piece, storage)
        found.bytes += size
        found.files += 1
        if problem:
            found.damaged.append(Damage(piece.key, problem, piece))
        report(found.name, done + 1, len(pieces))
    return found


def _seen(found: Verified, key: str, stored: StoredExperiment) -> Pointer | None:
    try:
        return stored.present()
    except (IntegrityError, Conflict) as error:
        found.damaged.append(Damage(key, str(error)))
        return None


def _pieces(found: Verified, stored: StoredExperiment, pointer: Pointer) -> list[Piece]:
    keys: set[str] = set()
    for key in stored.run_keys(pointer.generation):
        keys.add(key)
        # A damaged one is found when it is hashed.
        with suppress(*DAMAGED):
            keys |= {f"{stored.values}/{name}" for name in stored.document(key)["values"]}
    return [piece_at(key, stored.storage) for key in sorted(keys)]


def piece_at(key: str, storage: Storage) -> Piece:
    """Return the piece at a key of an experiment, or of a user's own value."""
    return Piece(key, size_of(storage, key) or 0, key.rpartition("/")[2].partition(".")[0])


def _problem(piece: Piece, storage: Storage) -> tuple[str | None, int]:
    try:
        with open_object(storage, piece.key) as file:
            digest = sha256_in(file)
    except FileNotFoundError:
        return f"{piece.key} is gone from {storage.url}.", 0
    if digest == piece.sha256:
        return None, piece.bytes
    return f"{piece.key} in {storage.url} has sha256 {digest}, not that of its name.", piece.bytes


def repair(found: Verified, storage: Storage, source: Storage) -> Verified:
    """Fetch what is damaged from another storage that has it whole."""
    with workplace(storage) as folder:
        for damage in found.left:
            if damage.piece is None:
                damage.reason = f"Remove it with: {command(f'experiments rm {found.name[len(FOLDER) :]}', storage.url)}"
                continue
            try:
                storage.put(damage.key, fetched(source, damage.piece, folder))
                damage.repaired = f"fetched from {source.url}"
            except DAMAGED as error:
                damage.reason = str(error)
    return found


def copy(name: str, source: "str | Storage", to: "str | Storage", *, make_current: bool = False) -> Copied:
    """Copy an experiment, `experiments/NAME`, or a user's own values, `values/PREFIX`: only what is missing.

    Runs that were added since are copied too. Another experiment of that name stays, with `Conflict`, unless
    `make_current` replaces it. Every object that is moved is hashed.
    """
    here, there = open_storage(source), open_storage(to)
    if here.url == there.url:
        raise UsageError(f"{here.url} is both where to copy from and where to. Name two storages.")
    if not is_experiment(name):
        return _copied(name, sorted(key for key in here.list(name) if own_value(key)), here, there)
    return deliver(StoredExperiment(here, named(name)), there, make_current)


def deliver(stored: StoredExperiment, there: Storage, make_current: bool = False) -> Copied:
    """Store what another storage lacks of an experiment, and make its runs current there. Raises `Conflict`.

    An object that the current runs there do not need is stored again, because garbage collection may remove it.
    """
    needed, target = needed_by(stored), StoredExperiment(there, stored.name)
    if needed.pointer is None or needed.pointer.deleting:
        raise stored.absent()
    before = target.pointer()
    if before and before.deleting:
        raise target.in_deletion()
    if before and before.generation != needed.pointer.generation and not make_current:
        raise Conflict(
            f"{there.url} holds another experiment {stored.name}, or a state of it that was replaced here. To replace "
            "it, run the command again with --make-current."
        )
    # Values before the runs that need them.
    keys = [*sorted(needed.values), *needed.runs]
    done = _copied(FOLDER + stored.name, keys, stored.storage, there, _protected(target))
    target.become(needed.pointer, before)
    return done._replace(versions=(needed.pointer.generation,), current=needed.pointer.generation)


def _protected(target: StoredExperiment) -> set[str]:
    """Return the keys that garbage collection keeps, because the current runs need them."""
    # If the target is damaged, all is stored again.
    with suppress(IntegrityError, NotFound):
        return needed_by(target).keys
    return set()


def _copied(
    name: str, keys: list[str], source: Storage, target: Storage, protected: "set[str] | None" = None
) -> Copied:
    if not keys and not is_experiment(name):
        raise NotFound(
            f"Nothing is stored below {name} in {source.url}. List values with: {command('store ls', source.url)}"
        )
    done = Copied(name, (), None, 0, 0, 0)
    with workplace(target) as folder:
        fetch = partial(_fetched, source, folder=folder)
        for count, key in enumerate(keys):
            piece = piece_at(key, source)
            if (protected is None or key in protected) and size_of(target, key) == piece.bytes:
                done = done._replace(present=done.present + 1)
            else:
                target.put(key, fetch(piece))
                done = done._replace(files=done.files + 1, bytes=done.bytes + piece.bytes)
            report(name, count + 1, len(keys))
    return done


def _fetched(source: Storage, piece: Piece, folder: Path) -> Path:
    try:
        return fetched(source, piece, folder)
    except (StoredFileDamaged, IntegrityError) as error:
        raise type(error)(f"{piece.key} in {source.url} is gone or damaged. Copy it from where it is whole.") from error


def copy_all(
    source: Storage, to: Storage, broken: list[DatasetAssetsError], make_current: bool = False
) -> list[Copied]:
    """Copy all experiments and own values; the errors of those that are broken are added to `broken`."""
    done = []
    own = sorted({f"values/{prefix}" for prefix in map(own_value, source.list("values")) if prefix})
    for name in [*(FOLDER + one for one in experiment_names(source)), *own]:
        try:
            done.append(copy(name, source, to, make_current=make_current))
        except (IntegrityError, NotFound, Conflict) as error:
            broken.append(error)
    return done
