"""Experiments lie in buckets and databases on servers as they lie in folders."""

import numpy as np

from dataset_assets.experiments import DataStore, DataStoreIO, create_experiment, load_experiment
from dataset_assets.moving.experiments import collect, copy
from dataset_assets.storage import MemoryStorage, Storage


def test_an_experiment_lives_on_a_server(remote: Storage) -> None:
    for value in (1.0, 2.0):
        experiment = create_experiment("x", storage=remote)
        with experiment.run(value=value) as run:
            run.fields.ds = DataStore(large=np.full(200_000, value), small=value)
        experiment.persist(if_exists="replace")
    late = create_experiment("x", storage=remote)
    with late.run(value=3.0):
        pass
    late.persist(if_exists="add")
    mine = DataStoreIO.write(b"mine", "a/b", storage=remote)
    (done,) = collect(remote, grace_seconds=0)
    assert len(done.removed) == 3
    there = MemoryStorage()
    copy("experiments/x", remote, there)
    for storage in (remote, there):
        first, last = load_experiment("x", storage=storage).runs
        assert (first.fields.ds.large == 2.0).all() and first.fields.ds.small == 2.0 and last.fields.value == 3.0
    experiment.delete()
    assert (
        [*remote.list("")] == [mine.url[6:]] and mine.read() == b"mine" and DataStoreIO.delete("a", storage=remote) == 1
    )
