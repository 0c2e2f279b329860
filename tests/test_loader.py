"""The loader gives each sample of an epoch once, in an order that a state finds again on any number of ranks."""

import gc
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.errors import Conflict, UsageError
from dataset_assets.loader import Last, Loader, ranks
from dataset_assets.pool import Pool
from dataset_assets.views import View, view_of


def numbers(n: int) -> View:
    return view_of(x=np.arange(n * 3).reshape(n, 3), i=np.arange(n), name=[str(k) for k in range(n)])


def read(batches) -> list[int]:
    return [int(i) for batch in batches for i in batch["i"]]


@given(st.integers(0, 300), st.integers(1, 40), st.booleans(), st.integers(0, 3))
@settings(deadline=None)
def test_an_epoch_is_each_sample_once_with_its_streams_together(
    n: int, size: int, shuffle: bool, threads: int
) -> None:
    loader = Loader(numbers(n), size, shuffle=shuffle, seed=4, threads=threads)
    batches = list(loader.epoch(0))
    assert len(batches) == len(loader)
    assert sorted(read(batches)) == list(range(n))
    for batch in batches:
        assert np.array_equal(batch["x"][:, 0], 3 * batch["i"])
        assert batch["name"] == [str(i) for i in batch["i"]]


def test_epochs_differ_and_are_the_same_again() -> None:
    loader = Loader(numbers(500), 32, shuffle=True, seed=1)
    assert read(loader.epoch(0)) != read(loader.epoch(1))
    assert read(loader.epoch(1)) == read(Loader(numbers(500), 32, shuffle=True, seed=1, threads=0).epoch(1))


@given(st.integers(1, 200), st.integers(1, 16), st.integers(1, 5), st.sampled_from(["keep", "drop", "pad"]))
@settings(deadline=None)
def test_ranks_take_equally_many_steps_and_share_the_samples(n: int, size: int, world: int, last: Last) -> None:
    view = numbers(n)
    loaders = [Loader(view, size, shuffle=True, seed=2, rank=r, world=world, last=last) for r in range(world)]
    steps = [list(loader.epoch(0)) for loader in loaders]
    assert {len(batches) for batches in steps} == {len(loaders[0])}
    seen = sorted(i for batches in steps for i in read(batches))
    if last == "keep":
        assert seen == list(range(n))
    elif last == "drop":
        assert len(seen) == len(set(seen)) == n - n % (size * world)
    else:
        assert set(seen) == set(range(n))
        assert all(len(batch["i"]) == size for batches in steps for batch in batches)


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_a_state_goes_on_at_the_next_sample_at_every_position(threads: int) -> None:
    def fresh() -> Loader:
        return Loader(numbers(103), 10, shuffle=True, seed=3, threads=threads)

    whole = [i for epoch in range(3) for i in read(Loader(numbers(103), 10, shuffle=True, seed=3).epoch(epoch))]
    loader, consumed, states = fresh(), 0, [fresh().state_dict()]
    counts = [0]
    for _ in range(2):
        for batch in loader:
            consumed += len(batch["i"])
            counts.append(consumed)
            states.append(json.loads(json.dumps(loader.state_dict())))
    for count, state in zip(counts, states, strict=True):
        again = fresh()
        again.load_state_dict(state)
        assert read(again) == whole[count : (count // 103 + 1) * 103]


@given(st.integers(20, 300), st.integers(1, 8), st.integers(1, 4), st.integers(1, 4), st.integers(0, 10))
@settings(deadline=None)
def test_a_state_of_some_ranks_is_exact_on_others(n: int, size: int, before: int, after: int, steps: int) -> None:
    seen: list[int] = []
    state: dict = {}
    for rank in range(before):
        loader = Loader(numbers(n), size, shuffle=True, seed=6, rank=rank, world=before)
        iterator = loader.epoch(0)
        for _ in range(min(steps, len(loader) - 1)):
            seen += read([next(iterator)])
        state = loader.state_dict()
    for rank in range(after):
        loader = Loader(numbers(n), size, shuffle=True, seed=6, rank=rank, world=after)
        loader.load_state_dict(state)
        seen += read(loader)
    assert sorted(seen) == list(range(n))


def test_a_state_of_another_stack_or_seed_is_refused_by_the_field_that_differs() -> None:
    state = Loader(numbers(50), 10, shuffle=True, seed=1).state_dict()
    for field, other in {
        "stack": Loader(numbers(50)[::-1], 10, shuffle=True, seed=1),
        "seed": Loader(numbers(50), 10, shuffle=True, seed=2),
    }.items():
        with pytest.raises(Conflict, match=field):
            other.load_state_dict(state)


def test_batches_are_the_callers_own() -> None:
    view = numbers(64)
    kept = []
    for batch in Loader(view, 8, shuffle=True, seed=0).epoch(0):
        kept.append((batch, batch["i"].copy()))
        batch["x"][:] = -1
    assert all(np.array_equal(batch["i"], copy) for batch, copy in kept)
    assert np.array_equal(view.to_numpy()["x"], np.arange(64 * 3).reshape(64, 3))
    assert all((batch["x"] >= 0).all() for batch in Loader(view, 8, shuffle=True, seed=0).epoch(0))


def test_a_buffer_comes_back_when_its_last_slice_is_gone_and_not_before() -> None:
    pool = Pool()
    first = pool.array((4, 4), np.dtype("f8"))
    address = first.ctypes.data
    part = first[1:2, :2]
    del first
    gc.collect()
    assert pool.array((4, 4), np.dtype("f8")).ctypes.data != address
    del part
    gc.collect()
    assert pool.array((4, 4), np.dtype("f8")).ctypes.data == address


def test_an_error_in_a_thread_reaches_the_caller() -> None:
    def broken(sample):
        raise KeyError("no such field")

    with pytest.raises(KeyError, match="no such field"):
        list(Loader(numbers(10).map(broken), 2, threads=2).epoch(0))


def test_a_stack_of_views_is_loaded_as_it_reads() -> None:
    view = numbers(90)[10:80][::-2].only("i").concat(numbers(20).only("i"))
    assert read(Loader(view, 7, threads=0).epoch(0)) == [sample["i"] for sample in view]


def test_batches_can_be_tensors_and_what_collate_makes_of_them() -> None:
    torch = pytest.importorskip("torch")
    batch = next(Loader(numbers(10), 4, output="torch").epoch(0))
    assert isinstance(batch["x"], torch.Tensor)
    assert batch["x"].shape == (4, 3)
    assert batch["name"] == ["0", "1", "2", "3"]
    assert next(Loader(numbers(10), 4, collate=lambda b: b["i"].sum()).epoch(0)) == 6


def test_impossible_arguments_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="at least one sample"):
        Loader(numbers(3), 0)
    with pytest.raises(UsageError, match="no rule"):
        Loader(numbers(3), 1, last="dorp")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="both rank and world"):
        ranks(1, None)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert ranks(None, None) == (1, 2)
