"""Experiments: persisted whole, added to by many processes, replaced and deleted without harm to anything else."""

import itertools
import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from children import in_child
from exactly import same

from dataset_assets.errors import (
    Conflict,
    DecodeError,
    DigestMismatch,
    NameNotAllowed,
    NotFound,
    Refused,
    SchemaError,
    StorageError,
    StoredFileDamaged,
    UsageError,
)
from dataset_assets.experiments import (
    Bunch,
    DataStore,
    Experiment,
    create_experiment,
    datastore,
    experiments,
    load_experiment,
)
from dataset_assets.storage import MemoryStorage, Storage, open_storage
from dataset_assets.testing import failing


def made(name: str, storage: Any, count: int = 2, value: float = 0.0) -> Experiment:
    experiment = create_experiment(name, storage=storage)
    for k in range(count):
        with experiment.run(k=k, value=value) as run:
            run.fields.ds = DataStore(a=np.full(10, value + k), text="x")
    return experiment


def keys(storage: Storage) -> set[str]:
    return {*storage.list("")}


def content(experiment: Experiment) -> list[Any]:
    return [(run.fields.k, run.fields.value, run.fields.ds.a.tolist()) for run in experiment.runs]


def test_runs_come_back_as_they_were(another: Storage) -> None:
    experiment = create_experiment("mnist_cnn", storage=another)
    with experiment.run(lr=0.1) as run:
        run.fields.accuracy = np.float64(0.97)
        run.fields.large = np.arange(100_000)
        run.fields.history = [{"loss": [0.5, float("nan")]}, (1, 2)]
        run.fields.ds = DataStore(a=np.zeros(10), below=DataStore(b=pandas.Series([1.5], name="x")))
        run.fields.parts = [DataStore(c=1), {"d": DataStore(e=b"e")}]
    fields = dict(run.fields)
    assert experiment.persist() is experiment
    for found in (experiment.reload(), load_experiment("mnist_cnn", storage=another)):
        again = found.runs.first()
        assert (again.id_run, again.started, again.seconds) == (run.id_run, run.started, run.seconds)
        assert again.id_experiment == found.id_experiment == experiment.id_experiment
        for name in ("lr", "accuracy", "large", "history"):
            assert same(again.fields[name], fields[name]), name
        assert same(again.fields.ds.a, np.zeros(10)) and same(again.fields.ds.below.b, fields["ds"].below.b)
        assert again.fields.parts[0].c == 1 and again.fields.parts[1]["d"].e == b"e"
    assert load_experiment(experiment.id_experiment, storage=another).name == "mnist_cnn"
    assert experiments(storage=another) == ["mnist_cnn"]


def test_a_run_that_raised_is_kept_with_its_error(another: Storage) -> None:
    experiment = create_experiment("fails", storage=another)
    with pytest.raises(KeyError), experiment.run(lr=1) as run:
        run.fields.before = 1
        raise KeyError("postgresql://me:secret@host/db")
    experiment.persist().reload()
    (found,) = experiment.runs
    assert found.error and found.error["type"] == "builtins.KeyError" and "secret" not in found.error["message"]
    assert found.fields.before == 1 and found.seconds is not None


def test_persisting_twice_is_a_conflict_for_another_and_an_addition_for_the_same(another: Storage) -> None:
    first = made("x", another).persist()
    with pytest.raises(Conflict, match="if_exists='add' or 'replace'"):
        made("x", another).persist()
    with first.run(k=9, value=9.0) as run:
        run.fields.ds = DataStore(a=np.zeros(1))
    before = keys(another)
    first.persist()
    assert len(load_experiment("x", storage=another).runs) == 3 and keys(another) > before
    before = keys(another)
    first.persist()
    assert keys(another) == before
    made("x", another).persist(if_exists="add")
    assert len(first.reload().runs) == 5
    with pytest.raises(UsageError, match="Did you mean 'replace'"):
        first.persist(if_exists="replaced")  # type: ignore[arg-type]


def test_a_persisted_run_is_final(another: Storage) -> None:
    experiment = made("x", another).persist()
    experiment.runs[1].fields.ds.a = np.ones(3)
    with pytest.raises(Conflict, match="run 1 of x was changed"):
        experiment.persist()
    experiment.persist(if_exists="replace")
    assert same(load_experiment("x", storage=another).runs[1].fields.ds.a, np.ones(3))


def test_a_change_below_a_list_is_noticed(another: Storage) -> None:
    experiment = create_experiment("x", storage=another)
    with experiment.run() as run:
        run.fields.parts = [DataStore(a=1), ({"b": Bunch(c=1)},)]
    for loaded in (experiment.persist(), load_experiment("x", storage=another)):
        parts = loaded.runs[0].fields.parts
        loaded.persist()
        for bunch, name in ((parts[0], "a"), (parts[1][0]["b"], "c")):
            bunch[name] = 5
            with pytest.raises(Conflict, match="run 0 of x was changed"):
                loaded.persist()
            loaded.persist(if_exists="replace")
            loaded.persist()
    fields = load_experiment("x", storage=another).runs[0].fields
    assert fields.parts[0].a == fields.parts[1][0]["b"].c == 5


def test_a_run_that_is_persisted_before_it_ends_is_not_final(another: Storage) -> None:
    experiment = create_experiment("x", storage=another)
    with pytest.raises(ValueError), experiment.run() as run:
        experiment.persist()
        assert load_experiment("x", storage=another).runs[0].seconds is None
        raise ValueError("late")
    with pytest.raises(Conflict, match="run 0 of x was changed"):
        experiment.persist()
    (found,) = experiment.persist(if_exists="replace").reload().runs
    assert found.error == {"type": "builtins.ValueError", "message": "late"} and found.seconds == run.seconds


def test_replacing_keeps_what_was_not_read_and_what_others_hold(another: Storage) -> None:
    made("x", another, value=1.5).persist()
    reader, writer = load_experiment("x", storage=another), load_experiment("x", storage=another)
    writer.persist(if_exists="replace")
    made("x", another, 3, value=7.0).persist(if_exists="replace")
    assert content(reader) == [(0, 1.5, [1.5] * 10), (1, 1.5, [2.5] * 10)]
    assert len(load_experiment("x", storage=another).runs) == 3


def test_an_experiment_is_stored_elsewhere_with_what_was_not_read(another: Storage) -> None:
    made("x", another, value=1.5).persist()
    loaded = load_experiment("x", storage=another)
    elsewhere = MemoryStorage()
    loaded.storage, loaded.name = elsewhere, "y"
    loaded.persist(if_exists="replace")
    made("x", another).delete()
    assert content(load_experiment("y", storage=elsewhere))[1] == (1, 1.5, [2.5] * 10)


@pytest.mark.parametrize("how", ["add", "fail"])
def test_a_run_of_another_experiment_is_added_with_its_values(another: Storage, how: Any) -> None:
    first = create_experiment("x", storage=another)
    with first.run(k=1) as run:
        run.fields.parts = [DataStore(a=np.arange(3))]
    first.persist()
    second = create_experiment("y", storage=another)
    second.runs.add(load_experiment("x", storage=another).runs[0])
    second.persist(how)
    first.delete()
    assert same(load_experiment("y", storage=another).runs[0].fields.parts[0].a, np.arange(3))
    second.persist()
    assert len(second.reload().runs) == 1


def test_deleting_removes_its_objects_and_no_others(another: Storage) -> None:
    made("kept", another).persist()
    another.put("com/example/data/current.json", b"{}")
    before = keys(another)
    gone = made("kept_too", another).persist()
    made("kept_too", another).persist(if_exists="replace")
    gone.delete()
    assert keys(another) == before
    assert content(load_experiment("kept", storage=another)) == content(made("kept", another))
    for act in (gone.delete, gone.reload):
        with pytest.raises(NotFound, match="experiments ls"):
            act()
    gone.persist(if_exists="add")
    assert content(gone.reload()) == content(made("kept", another))


def test_a_damaged_experiment_can_be_deleted_and_not_read(another: Storage) -> None:
    made("x", another).persist()
    another.put("experiments/x/current.json", b"{}")
    with pytest.raises(DecodeError, match="experiments rm x"):
        load_experiment("x", storage=another)
    load_again = create_experiment("x", storage=another)
    load_again.delete()
    assert keys(another) == set()


def test_a_value_is_read_when_it_is_touched_and_only_it(another: Storage) -> None:
    experiment = create_experiment("x", storage=another)
    with experiment.run() as run:
        run.fields.ds = DataStore(a=np.zeros(200_000), b=np.ones(200_000), c=1)
    experiment.persist()
    store = experiment.reload().runs.first().fields.ds
    large = [key for key in keys(another) if key.endswith(".npy")]
    assert len(large) == 2 and len(store) == 3 and {*store} == {"a", "b", "c"} and "a=..." in repr(store)
    for key in large:
        another.delete(key)
    assert store.c == 1
    with pytest.raises(StoredFileDamaged, match="is gone"):
        store.get("a")
    with pytest.raises(StoredFileDamaged, match="is gone"):
        experiment.persist(if_exists="replace")


def test_what_cannot_be_stored_is_refused_by_its_path_before_anything_is_touched(another: Storage) -> None:
    made("x", another, value=1.5).persist()
    before = keys(another)
    experiment = made("x", another, 4)
    experiment.runs[3].fields.ds.model = [lambda: 1]
    with pytest.raises(SchemaError, match=r"^run 3: ds.model\[0\] is a builtins.function"):
        experiment.persist(if_exists="replace")
    experiment.runs[3].fields.ds.model = 1
    experiment.runs[3].fields.id_run = 1
    with pytest.raises(UsageError, match="run 3: the field id_run is reserved"):
        experiment.persist(if_exists="replace")
    assert keys(another) == before and content(load_experiment("x", storage=another))[0][1] == 1.5


def test_pickles_are_marked_and_read_only_when_asked_for(another: Storage) -> None:
    experiment = create_experiment("x", storage=another)
    with experiment.run() as run:
        run.fields.ds = DataStore(p={"d": Path("/a")}, q=1)
    with pytest.raises(SchemaError, match=r"run 0: ds.p\['d'\] is a pathlib"):
        experiment.persist()
    experiment.persist(allow_pickle=True)
    assert [key for key in keys(another) if key.endswith(".pickle")]
    fields = load_experiment("x", storage=another).runs.first().fields
    assert fields.ds.q == 1
    with pytest.raises(Refused, match="allow_pickle=True"):
        fields.ds.get("p")
    assert load_experiment("x", storage=another, allow_pickle=True).runs.first().fields.ds.p == {"d": Path("/a")}


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_a_flipped_byte_anywhere_is_an_error(fast_path: Path, compression: str) -> None:
    storage = open_storage(fast_path)
    experiment = made("x", storage)
    experiment.runs[0].fields.ds.large = np.arange(300_000)
    experiment.persist(compression=compression)
    experiment.reload(), content(experiment)
    for path in [path for path in fast_path.rglob("*") if path.is_file() and path.name[0] != "."]:
        data = bytearray(path.read_bytes())
        for at in {0, 70, len(data) // 2, len(data) - 1}:
            flipped = bytearray(data)
            flipped[at] ^= 4
            path.write_bytes(flipped)
            # The bytes between the values of a pack are no value.
            if path.suffix != ".pack" or at in (0, 70):
                with pytest.raises((DigestMismatch, DecodeError)):
                    for run in load_experiment("x", storage=storage).runs:
                        [*run.fields.ds.values()]
        path.write_bytes(data)


def test_the_compression_of_a_value_is_recorded_with_it(another: Storage) -> None:
    zeros = np.zeros(400_000)
    for name, compression in (("plain", None), ("packed", "zstd")):
        with datastore(another, compression=compression):
            experiment = create_experiment(name)
            with experiment.run() as run:
                run.fields.ds = DataStore(small=zeros[:1000], large=zeros)
            experiment.persist()
    sizes = {key: another.stat(key).bytes for key in keys(another) if "values" in key}
    assert sum(size for key, size in sizes.items() if "packed" in key) < 10_000 < 3_000_000 < sum(sizes.values())
    assert {key.rpartition("/")[2].partition(".")[2] for key in sizes} == {"npy", "npy.zst", "pack"}
    for name in ("plain", "packed"):
        store = load_experiment(name, storage=another).runs.first().fields.ds
        assert same(store.small, zeros[:1000]) and same(store.large, zeros)
    with pytest.raises(UsageError, match="none or zstd"):
        experiment.persist(compression="lzma")


def test_large_arrays_of_a_folder_are_maps_that_writing_does_not_reach(fast_path: Path) -> None:
    experiment = create_experiment("x", storage=fast_path)
    with experiment.run() as run:
        run.fields.ds = DataStore(a=np.arange(200_000))
    found = experiment.persist().reload().runs.first().fields.ds.a
    base = found
    while isinstance(base, np.ndarray):
        base = base.base
    assert "mmap" in repr(getattr(base, "obj", base))
    found[:] = 0
    assert load_experiment("x", storage=fast_path).runs.first().fields.ds.a[-1] == 199_999


def test_names_are_checked(another: Storage) -> None:
    for name in ("", "a b", "../x", "a/b", "x.y", 3, "a__b"):
        with pytest.raises(NameNotAllowed):
            create_experiment(name, storage=another)  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="The experiment nothing is not in"):
        load_experiment("nothing", storage=another)
    with pytest.raises(NotFound):
        create_experiment("nothing", storage=another).runs.first()


def test_an_experiment_under_another_case_of_its_name_is_a_conflict(another: Storage) -> None:
    made("x", another).persist()
    with another.get("experiments/x/current.json") as file:
        another.put("experiments/X/current.json", file.read())
    with pytest.raises(Conflict, match="holds the experiment x under this name"):
        load_experiment("X", storage=another)


def added(place: tuple[str, int]) -> None:
    experiment = create_experiment("x", storage=place[0])
    for k in range(place[1]):
        with experiment.run(k=k, value=0.0) as run:
            run.fields.ds = DataStore(a=np.zeros(2) + k)
        experiment.persist(if_exists="add")


def test_many_processes_add_to_one_experiment(fast_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        pool.map(added, [(str(fast_path), 5)] * 8)
    found = load_experiment("x", storage=fast_path)
    assert len({run.id_run for run in found.runs}) == 40 and [run.started for run in found.runs] == sorted(
        run.started for run in found.runs
    )


class Replaced(MemoryStorage):
    """A storage in which another process acts just after the first object of runs is put."""

    act: Any = None

    def put(self, key: str, source: Any) -> None:
        super().put(key, source)
        if self.act and "/runs/" in key:
            act, self.act = self.act, None
            act()


def test_runs_that_are_added_while_others_replace_are_added_again() -> None:
    storage = Replaced()
    made("x", storage).persist()
    adder = load_experiment("x", storage=storage)
    with adder.run(k=7, value=7.0) as run:
        run.fields.ds = DataStore(a=np.zeros(1))
    storage.act = lambda: made("x", storage, 1).persist(if_exists="replace")
    adder.persist()
    assert [run.fields.k for run in load_experiment("x", storage=storage).runs] == [7, 0]
    with adder.run(k=8, value=7.0) as run:
        run.fields.ds = DataStore(a=np.zeros(1))
    storage.act = lambda: load_experiment("x", storage=storage).delete()
    with pytest.raises(NotFound):
        adder.persist()
    storage.act = lambda: made("x", storage).persist()
    with pytest.raises(Conflict, match="by another process meanwhile"):
        made("x", storage).persist()


def test_an_experiment_that_is_being_deleted_is_not_added_to() -> None:
    storage = MemoryStorage()
    experiment = made("x", storage).persist()
    from dataset_assets.storage.stored_experiment import StoredExperiment

    stored = StoredExperiment(storage, "x")
    stored._swap(stored.pointer(), experiment="x", id="0", generation="0" * 32, deleting=True)
    for name in ("fail", "add", "replace"):
        with pytest.raises((Conflict, NotFound)):
            experiment.persist(if_exists=name)  # type: ignore[arg-type]
    experiment.delete()
    assert keys(storage) == set()


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO", "kill"])
def test_replacing_leaves_the_old_or_the_new_whole(fast_path: Path, fault: Any) -> None:
    def replaced(n: int, value: float) -> bool:
        with failing(n, fault) as calls:
            made("x", fast_path, 3, value).persist(if_exists="replace")
        return calls.tripped

    made("x", fast_path, value=0.0).persist()
    seen = set()
    for n in itertools.count(1):
        if fault == "kill":
            tripped = in_child(lambda n=n: replaced(n, float(n))) != 0  # type: ignore[misc]
        else:
            try:
                tripped = replaced(n, float(n))
            except StorageError:
                tripped = True
        values = {run.fields.value for run in load_experiment("x", storage=fast_path).runs}
        every = content(load_experiment("x", storage=fast_path))
        assert len(values) == 1 and len(every) == (2 if values == {0.0} else 3)
        seen |= values
        if not tripped:
            break
    assert n > 8 and 0.0 in seen and float(n) in seen


def test_a_bunch_is_a_mapping_whose_values_are_attributes() -> None:
    bunch = Bunch({"a": 1}, b=Bunch(c=2))
    bunch.d = 3
    assert bunch == {"a": 1, "b": {"c": 2}, "d": 3} and bunch["b"].c == 2 and {**bunch}["d"] == 3
    del bunch.a
    assert "a" not in bunch and not hasattr(bunch, "a") and "d" in dir(bunch)
    for act in (lambda: bunch.a, lambda: delattr(bunch, "a")):
        with pytest.raises(AttributeError, match="holds no 'a'"):
            act()
    with pytest.raises(UsageError, match=r"items is a method of Bunch"):
        bunch.items = 3  # type: ignore[method-assign, assignment]
    with pytest.raises(UsageError, match="is not text"):
        bunch[3] = 4  # type: ignore[index]
    for made_of_numbers in (lambda: DataStore({1: 2}), lambda: Bunch([(None, 1)])):
        with pytest.raises(UsageError, match="is not text. Use text as the name"):
            made_of_numbers()
    copied = pickle.loads(pickle.dumps(DataStore(a=[1])))
    assert type(copied) is DataStore and copied == {"a": [1]}


def test_runs_are_compared_as_tables(another: Storage) -> None:
    import polars

    experiment = create_experiment("x", storage=another)
    for k in range(3):
        with experiment.run(k=k) as run:
            run.fields.loss = np.float64(k) / 2
            if k:
                run.fields.epochs = k
                run.fields.tags = ["a"] * k
            run.fields.mixed = [1, "a"] if k else {"b": 1}
            run.fields.ds = DataStore(a=1)
    frame = experiment.persist().reload().df()
    assert [*frame] == ["id_run", "run_started", "run_seconds", "run_error", "k", "loss", "mixed", "epochs", "tags"]
    assert frame["loss"].tolist() == [0.0, 0.5, 1.0] and str(frame["epochs"].dtype) == "Int64"
    table = experiment.to_arrow()
    assert table["epochs"].to_pylist() == [None, 1, 2] and table["tags"].to_pylist() == [None, ["a"], ["a", "a"]]
    assert table["mixed"].to_pylist() == ['{"b": 1}', '[1, "a"]', '[1, "a"]']
    assert polars.from_arrow(table).height == 3  # type: ignore[union-attr]
    assert create_experiment("empty", storage=another).df().empty


def test_whole_numbers_that_a_float_cannot_hold_stay_exact_in_tables() -> None:
    experiment = create_experiment("x", storage=MemoryStorage())
    for n, small in ((2**60 + 1, 1), (0.5, 0.5)):
        with experiment.run(n=n, small=small):
            pass
    frame, table = experiment.df(), experiment.to_arrow()
    assert same(frame["n"].tolist(), [2**60 + 1, 0.5]) and frame["small"].dtype == "f8"
    assert table["n"].to_pylist() == [str(2**60 + 1), "0.5"] and table["small"].to_pylist() == [1.0, 0.5]


def test_the_runs_are_a_sequence() -> None:
    experiment = made("x", MemoryStorage(), 3)
    first, last = experiment.runs.first(), experiment.runs.last()
    assert experiment.runs[0] is first and experiment.runs[first.id_run] is first and experiment.runs[-1] is last
    assert len(experiment.runs[1:]) == 2 and [*experiment.runs][2] is last and "x" in repr(experiment)
    with pytest.raises(NotFound, match="No run has the id"):
        experiment.runs["nothing"]
