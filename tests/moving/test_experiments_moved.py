"""Experiments are collected, measured, verified and copied by their keys, as datasets are."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import CommandLine

from dataset_assets.errors import Conflict, DatasetAssetsError, NotFound, Refused, UsageError
from dataset_assets.experiments import DataStore, DataStoreIO, create_experiment, datastore, load_experiment
from dataset_assets.moving.bundle import bundle
from dataset_assets.moving.experiments import collect, copy, copy_all, experiment_names, repair, usage, verify
from dataset_assets.moving.unbundle import unbundle
from dataset_assets.storage import MemoryStorage, Storage, open_storage
from dataset_assets.storage.stored_experiment import StoredExperiment


def made(storage: Any, name: str = "x", value: float = 0.0, **how: Any) -> Any:
    experiment = create_experiment(name, storage=storage)
    with experiment.run(value=value) as run:
        run.fields.ds = DataStore(large=np.full(200_000, value), small=value)
    return experiment.persist(**how)


def keys(storage: Storage) -> set[str]:
    return {*storage.list("")}


def is_whole(storage: Storage, value: float) -> bool:
    (run,) = load_experiment("x", storage=storage).runs
    return bool(run.fields.ds.small == value and (run.fields.ds.large == value).all())


def test_what_was_replaced_or_left_is_collected_after_the_grace_and_nothing_else(another: Storage) -> None:
    fresh = keys(another) or {*made(another).storage.list("")}
    made(another, value=1.0, if_exists="replace")
    left = f"experiments/x/values/{'0' * 64}.npy"
    another.put(left, b"left by a killed process")
    with datastore(another):
        DataStoreIO.write(b"mine", "mine")
    before = keys(another)
    (plan,) = collect(another, grace_seconds=0, dry_run=True)
    assert plan.dataset == "experiments/x" and {*plan.removed} == (fresh - {"experiments/x/current.json"}) | {left}
    assert [one.removed for one in collect(another, grace_seconds=3600)] == [[]] and keys(another) == before
    assert {row.dataset: row.free for row in usage(another, grace_seconds=0)} == {
        "experiments/x": plan.bytes, "values/mine": 0,
    }  # fmt: skip
    (done,) = collect(another, ["experiments/x"], grace_seconds=0)
    assert keys(another) == before - {*plan.removed} and done.bytes == plan.bytes and is_whole(another, 1.0)


def test_a_half_deleted_experiment_is_collected(another: Storage) -> None:
    made(another)
    another.delete("experiments/x/current.json")
    collect(another, grace_seconds=0)
    assert keys(another) == set() and experiment_names(another) == []


def test_nothing_of_a_damaged_experiment_is_collected(another: Storage) -> None:
    made(another)
    (runs,) = [key for key in keys(another) if "/runs/" in key]
    another.put(runs, b"{}")
    before = keys(another)
    (found,) = collect(another, grace_seconds=0)
    assert found.problem and "damaged" in found.problem and keys(another) == before


class Racing(MemoryStorage):
    """A storage whose objects are old; another process acts while a collection reads what is needed."""

    act: Any = None

    def age(self) -> None:
        self.old = {key: super(Racing, self).stat(key).modified for key in self.list("")}

    def stat(self, key: str) -> Any:
        found = super().stat(key)
        return found._replace(modified=0.0) if self.old.get(key) == found.modified else found

    def get(self, key: str) -> Any:
        found = super().get(key)
        if self.act and "/runs/" in key:
            act, self.act = self.act, None
            act()
        return found


def collected(storage: Racing, act: Any) -> None:
    storage.age()
    storage.act = act
    collect(storage, grace_seconds=3600)
    assert storage.act is None


def test_what_a_copy_makes_current_again_is_not_collected(another: Storage) -> None:
    made(another)
    storage = Racing()
    copy("experiments/x", another, storage)
    made(storage, value=1.0, if_exists="replace")
    collected(storage, lambda: copy("experiments/x", another, storage, make_current=True))
    assert is_whole(storage, 0.0)


@pytest.mark.parametrize("how", ["replace", "add"])
def test_what_a_persist_needs_again_is_not_collected(how: Any) -> None:
    storage = Racing()
    made(storage)
    loaded = load_experiment("x", storage=storage)
    made(storage, value=1.0, if_exists="replace")
    with loaded.run(ds=loaded.runs[0].fields.ds):
        pass
    collected(storage, lambda: loaded.persist(if_exists=how))
    last = load_experiment("x", storage=storage).runs.last()
    assert last.fields.ds.small == 0.0 and not last.fields.ds.large.any()


def test_an_experiment_that_is_being_deleted_is_not_copied_into(another: Storage) -> None:
    made(another)
    there = MemoryStorage()
    made(there)
    stored = StoredExperiment(there, "x")
    stored._swap(stored.pointer(), experiment="x", id="0", generation="0" * 32, deleting=True)
    before = keys(there)
    with pytest.raises(Conflict, match="is being deleted. Finish that with"):
        copy("experiments/x", another, there, make_current=True)
    assert keys(there) == before


def test_an_experiment_is_not_removed_through_a_link(fast_path: Path) -> None:
    storage = open_storage(fast_path)
    made(storage)
    (fast_path / "experiments/y").symlink_to("x")
    storage.put("experiments/x/current.json", b"damaged")
    before = keys(storage)
    with pytest.raises(Refused, match="is a symbolic link"):
        create_experiment("y", storage=storage).delete()
    assert keys(storage) == before


class Blind(MemoryStorage):
    """A storage whose listing of the runs ends early."""

    def list(self, prefix: str) -> Any:
        return iter([key for key in super().list(prefix) if "/runs/" not in prefix or prefix.endswith("x")])


def test_a_listing_that_ends_early_makes_no_value_unused() -> None:
    storage = Blind()
    made(storage)
    before = keys(storage)
    collect(storage, grace_seconds=0)
    assert keys(storage) == before


def test_all_that_an_experiment_needs_is_verified_and_fetched_anew(another: Storage) -> None:
    made(another)
    source = MemoryStorage()
    copy("experiments/x", another, source)
    found = verify("experiments/x", another)
    assert not found.damaged and found.files == 3 and found.bytes > 1_600_000
    large, pack = (next(key for key in keys(another) if key.endswith(end)) for end in (".npy", ".pack"))
    another.put(large, b"other bytes")
    another.delete(pack)
    found = verify("experiments/x", another)
    assert {damage.key for damage in found.damaged} == {large, pack}
    assert not repair(found, another, source).left and is_whole(another, 0.0)
    another.put("experiments/x/current.json", b"{}")
    assert [damage.key for damage in repair(verify("experiments/x", another), another, source).left] == [
        "experiments/x/current.json"
    ]
    with pytest.raises(NotFound, match="The experiment y is not in"):
        verify("experiments/y", another)


def test_an_experiment_is_copied_with_what_is_missing_only(another: Storage) -> None:
    first, there = made(another), MemoryStorage()
    done = copy("experiments/x", another, there)
    assert (done.files, done.present) == (3, 0) and is_whole(there, 0.0)
    with first.run(value=5.0):
        pass
    first.persist()
    done = copy("experiments/x", another, there)
    assert (done.files, done.present) == (1, 3) and len(load_experiment("x", storage=there).runs) == 2
    assert load_experiment("x", storage=there).id_experiment == first.id_experiment
    made(another, value=1.0, if_exists="replace")
    with pytest.raises(Conflict, match="--make-current"):
        copy("experiments/x", another, there)
    copy("experiments/x", another, there, make_current=True)
    assert is_whole(there, 1.0)
    for name, kind in (("experiments/y", NotFound), ("values/y", NotFound)):
        with pytest.raises(kind):
            copy(name, another, there)
    with pytest.raises(UsageError, match="Name two storages"):
        copy("experiments/x", another, another)


def test_a_damaged_value_is_not_copied(another: Storage) -> None:
    made(another)
    made(another, "y")
    large = next(key for key in keys(another) if key.startswith("experiments/x") and key.endswith(".npy"))
    another.put(large, b"other bytes")
    there, broken = MemoryStorage(), []  # type: ignore[var-annotated]
    with datastore(another):
        DataStoreIO.write(b"mine", "a/b")
    assert [one.dataset for one in copy_all(another, there, broken)] == ["experiments/y", "values/a/b"]
    assert len(broken) == 1 and large in str(broken[0])
    assert experiment_names(there) == ["y"] and not [key for key in keys(there) if "x/runs/" in key]


def bundled(storage: Storage, *names: str) -> bytes:
    out = io.BytesIO()
    bundle(names, storage, out)
    return out.getvalue()


def test_an_experiment_is_bundled_and_stored_again(another: Storage) -> None:
    made(another)
    there, data = MemoryStorage(), bundled(another)
    assert data == bundled(another, "experiments/x")
    (done,) = unbundle(io.BytesIO(data), there)
    assert (done.dataset, done.files) == ("experiments/x", 3) and is_whole(there, 0.0)
    assert unbundle(io.BytesIO(data), there)[0].present == 3
    made(there, value=1.0, if_exists="replace")
    with pytest.raises(Conflict, match="--make-current"):
        unbundle(io.BytesIO(data), there)
    unbundle(io.BytesIO(data), there, make_current=True)
    assert is_whole(there, 0.0)


def test_a_forged_bundle_of_an_experiment_stores_nothing(another: Storage) -> None:
    made(another)
    data, there = bundled(another), MemoryStorage()
    for old, new in (
        (b"experiments/x/values/", b"experiments/y/values/"), (b'"experiment":"x"', b'"experiment":"."'),
        (b'"generation":"', b'"generation":"/'), (b'"bundle":2', b'"bundle":3'), (b'"bundle":2', b'"bundle":1'),
        (b'"plain":0.0', b'"plain":0.1'), (b".npy", b".nnn"),
    ):  # fmt: skip
        assert old in data
        with pytest.raises(DatasetAssetsError):
            unbundle(io.BytesIO(data.replace(old, new)), there)
        assert keys(there) == set()


def test_the_verbs_know_experiments(fast_path: Path) -> None:
    line, there = CommandLine(fast_path), (fast_path / "there").as_uri()
    made(line.home / "storage")
    made(line.home / "storage", value=1.0, if_exists="replace")
    assert line.json("du")[0]["dataset"] == "experiments/x"
    assert "experiments/x" in line.run("verify").stdout and "whole" in line.run("verify", "experiments/x").stdout
    assert line.json("copy", "--all", "--to", there)[0]["files"] == 3
    assert line.json("copy", "experiments/x", "--to", there)[0]["present"] == 3
    assert "removed 3 objects" in line.run("gc", "experiments/x", DATASET_ASSETS_GRACE_DAYS="0").stdout
    assert is_whole(open_storage(line.home / "storage"), 1.0)
    assert line.json("rm", "experiments/x", "--dry-run")["removed"] == line.json("rm", "experiments/x")["removed"]
    assert "experiments ls" in line.run("rm", "experiments/x", code=3).stderr
