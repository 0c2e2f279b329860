"""Experiments: runs with their fields, persisted whole, added to from many processes, compared as a table."""

import re
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Callable, Iterator, Literal, get_args

from dataset_assets.core.names import check_identifier
from dataset_assets.errors import (
    Conflict,
    DatasetAssetsError,
    IntegrityError,
    NotFound,
    StoredFileDamaged,
    UsageError,
    nearest,
)
from dataset_assets.experiments import comparison
from dataset_assets.experiments.bunch import Unread
from dataset_assets.experiments.place import chosen_compression, chosen_storage
from dataset_assets.experiments.records import RecordWriter, StoredValue, objects_of, run_from
from dataset_assets.experiments.run import Run, Runs
from dataset_assets.experiments.used import uses_version
from dataset_assets.experiments.value_store import StoredValues, ValueWriter
from dataset_assets.storage import Storage
from dataset_assets.storage.aliases import own_name
from dataset_assets.storage.keys import experiment_place
from dataset_assets.storage.stored_experiment import Pointer, StoredExperiment, document_of

IfExists = Literal["fail", "add", "replace"]
Broken = dict[str, DatasetAssetsError]
_ID = re.compile("[0-9a-f]{32}")


class Experiment:
    """Runs under one name, in one storage; `create_experiment` and `load_experiment` return one.

    >>> experiment = create_experiment("mnist_cnn")
    >>> with experiment.run(lr=0.1) as run:
    ...     run.fields.accuracy = 0.97
    >>> experiment.persist()
    """

    def __init__(self, name: str, storage: Storage, id_experiment: str | None = None) -> None:
        self.name, self.storage = check_identifier(name, "experiment"), storage
        self.id_experiment = id_experiment or uuid.uuid4().hex
        self.runs = Runs()
        self._persisted = False
        # The generation that needs all values of these runs; "" if there may be none.
        self._generation = ""

    @contextmanager
    def run(self, **fields: Any) -> Iterator[Run]:
        """Add a run with these fields. A run that raises is kept, with its error.

        >>> with experiment.run(lr=0.1) as run:
        ...     run.fields.accuracy = 0.97
        """
        run = Run(self.id_experiment, fields)
        self.runs.add(run)
        try:
            yield run
        except BaseException as error:
            run.end(error)
            raise
        run.end()

    def persist(
        self, if_exists: IfExists = "fail", *, compression: str | None = None, allow_pickle: bool = False
    ) -> "Experiment":
        """Store the runs: all of them or nothing. A run that is stored is final.

        An experiment that was loaded or persisted gets the runs that are new. Otherwise `if_exists` decides what to do
        if the storage has an experiment of this name: "fail" raises `Conflict`, "add" adds the runs to those of other
        processes, and "replace" stores the runs of this experiment instead of all that were there. `compression` is
        "none" or "zstd". A value that no codec writes raises `SchemaError` before anything is written; `allow_pickle`
        pickles it.
        """
        if if_exists not in get_args(IfExists):
            raise UsageError(f"if_exists={if_exists!r} is not known.{nearest(str(if_exists), get_args(IfExists))}")
        stored = StoredExperiment(self.storage, self.name)
        adding = if_exists == "add" or (self._persisted and if_exists == "fail")
        runs = [(k, run) for k, run in enumerate(self.runs) if not (adding and self._is_stored(k, run))]
        values = ValueWriter(self.storage, stored.values, chosen_compression(compression))
        writer = RecordWriter(values, allow_pickle, self._kept)
        records = [writer.record(run, f"run {k}") for k, run in runs]
        before = stored.pointer()
        if before and before.deleting:
            raise stored.in_deletion()
        if before is None and self._persisted and adding:
            raise stored.absent()
        if before and if_exists == "fail" and not adding:
            raise Conflict(
                f"An experiment {self.name} is in {self.storage.url} already. Persist with if_exists='add' or "
                "'replace', or choose another name."
            )
        objects = values.write() | writer.named
        if before and before.generation == self._generation:
            self._check(stored, writer.named)
        else:
            self._renew(stored, writer.named)
        data = document_of(self.name, records, objects) if records else None

        def write_again() -> None:
            values.write()
            self._renew(stored, writer.named)

        self._settle(self._stored(stored, data, before, write_again, adding), [run for _, run in runs])
        return self

    def _stored(
        self,
        stored: StoredExperiment,
        data: bytes | None,
        before: Pointer | None,
        write_again: Callable[[], None],
        adding: bool,
    ) -> Pointer:
        if not (before and adding):
            try:
                return stored.replace(self.id_experiment, data, before)
            except Conflict:
                # Another process that adds may have been first.
                if not adding:
                    raise
        before = before or stored.present()
        return before if data is None else stored.add(data, write_again, before)

    def _is_stored(self, k: int, run: Run) -> bool:
        if run.id_experiment != self.id_experiment:
            # It was added here from another experiment.
            return False
        if run.was_changed:
            raise Conflict(
                f"run {k} of {self.name} was changed after it was persisted, and a persisted run is final. Store all "
                "runs as they are now with persist(if_exists='replace')."
            )
        return run.is_stored

    def _kept(self, value: Unread) -> dict[str, Any] | None:
        """Return the document of a value that lies below this experiment already."""
        folder = StoredExperiment(self.storage, self.name).values
        at = value.values if isinstance(value, StoredValue) else None
        here = at is not None and at.storage.url == self.storage.url and at.folder == folder
        return value.document if here or not objects_of(value.document) else None

    def _check(self, stored: StoredExperiment, names: set[str]) -> None:
        for name in sorted(names):
            if not self.storage.exists(f"{stored.values}/{name}"):
                raise StoredFileDamaged(
                    f"{stored.values}/{name} is gone from {self.storage.url}. Nothing was replaced."
                )

    def _renew(self, stored: StoredExperiment, names: set[str]) -> None:
        """Store values again that the current runs may not need: garbage collection may be about to remove them."""
        values = StoredValues(self.storage, stored.values)
        for name in sorted(names):
            values.renew(name)

    def _settle(self, now: Pointer, runs: list[Run]) -> None:
        if len(runs) == len(self.runs):
            self._generation = now.generation
        elif self._generation != now.generation:
            self._generation = ""
        self._persisted, self.id_experiment = True, now.id
        for run in self.runs:
            run.id_experiment = now.id
        for run in runs:
            run.settle()

    def reload(self, *, allow_pickle: bool = False) -> "Experiment":
        """Read the stored runs again; runs that were not persisted are dropped. Raises `NotFound`.

        Values are read when they are touched. `allow_pickle` reads those that were pickled, which may run code.
        """
        return self._read(StoredExperiment(self.storage, self.name).present(), allow_pickle)

    def _read(self, pointer: Pointer, allow_pickle: bool = False) -> "Experiment":
        stored = StoredExperiment(self.storage, self.name)
        values = StoredValues(self.storage, stored.values)
        runs = [run_from(record, pointer.id, values, allow_pickle) for record in stored.runs(pointer.generation)]
        # One run may be there twice: added again when the generation changed.
        unique = {run.id_run: run for run in runs}
        self.runs = Runs(sorted(unique.values(), key=lambda run: (run.started, run.id_run)))
        self.id_experiment, self._persisted, self._generation = pointer.id, True, pointer.generation
        return self

    def delete(self) -> None:
        """Remove the experiment from its storage, with all its values. Raises `NotFound` if it is not stored."""
        StoredExperiment(self.storage, self.name).delete()
        self._persisted, self._generation = False, ""
        for run in self.runs:
            run.settle(False)

    def df(self) -> Any:
        """Return the runs as a pandas DataFrame, a row for each. Values in a `DataStore` are left out."""
        return comparison.frame(self.runs)

    def to_arrow(self) -> Any:
        """Return the runs as an Arrow table, a row for each, for polars, DuckDB and others."""
        return comparison.table(self.runs)

    def __repr__(self) -> str:
        return f"Experiment({self.name!r}, {len(self.runs)} runs, {self.storage.url})"


def create_experiment(name: str | None = None, *, storage: "str | Path | Storage | None" = None) -> Experiment:
    """Return a new experiment. `persist` stores it. Without a name, it gets a random one."""
    return Experiment(f"experiment_{uuid.uuid4().hex[:12]}" if name is None else name, chosen_storage(storage))


def load_experiment(
    name_or_id: str, *, storage: "str | Path | Storage | None" = None, allow_pickle: bool = False
) -> Experiment:
    """Return a stored experiment, by its name or its `id_experiment`. Raises `NotFound`."""
    store = chosen_storage(storage)
    name = name_or_id
    if isinstance(name, str) and _ID.fullmatch(name):
        name = next((one for one in experiments(storage=store) if _id_of(store, one) == name), name)
    return Experiment(name, store).reload(allow_pickle=allow_pickle)


def _id_of(store: Storage, name: str) -> str | None:
    # Another experiment that is damaged does not matter here.
    with suppress(IntegrityError, Conflict):
        found = StoredExperiment(store, name).pointer()
        return found.id if found else None
    return None


def who_used(
    name: str, *, storage: "str | Path | Storage | None" = None, broken: Broken | None = None
) -> list[tuple[str, Run]]:
    """Return the runs that used a version, `name@digest`, or any version of a dataset; each with its experiment.

    The name may be an alias that is stored. Raises `NameNotAllowed` for what is no name of a dataset.
    If an experiment cannot be read, its error is added to `broken`, by its name; without `broken` it is raised.
    """
    errors: Broken = {} if broken is None else broken
    wanted = own_name(chosen_storage(storage), name)
    loaded = readable(storage, errors)
    if broken is None and errors:
        raise [*errors.values()][0]
    return [(one.name, run) for one in loaded for run in one.runs if uses_version(run.used, wanted)]


def readable(storage: "str | Path | Storage | None", broken: Broken) -> list[Experiment]:
    """Return the stored experiments; the errors of those that cannot be read are added to `broken`, by their names.

    Those that are being deleted are left out.
    """
    store, found = chosen_storage(storage), []
    for name in experiments(storage=store):
        try:
            pointer = StoredExperiment(store, name).pointer()
            if pointer and not pointer.deleting:
                found.append(Experiment(name, store)._read(pointer))
        except (IntegrityError, NotFound, Conflict) as error:
            broken[name] = error
    return found


def experiments(*, storage: "str | Path | Storage | None" = None) -> list[str]:
    """Return the names of the stored experiments, sorted."""
    store = chosen_storage(storage)
    places = map(experiment_place, store.list("experiments"))
    return sorted({place.experiment for place in places if place and place.kind == "pointer"})
