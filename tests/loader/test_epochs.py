"""Iterating begins an epoch: in this process, in workers of a DataLoader, and on the rank of the process then."""

import multiprocessing
import pickle
import sys
import time
import warnings
from threading import Thread
from typing import Any

import numpy as np
import pytest

from dataset_assets import View, view_of
from dataset_assets.core.turns import Turns
from dataset_assets.errors import UsageError
from dataset_assets.loader import Buckets, Loader

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader, IterableDataset, get_worker_info  # noqa: E402

from dataset_assets.loader import Batches  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


def numbers(n: int = 23) -> View:
    return view_of(i=np.arange(n))


def loader(**more: Any) -> Loader:
    return Loader(numbers(), 4, **{"shuffle": True, "seed": 3, "output": "torch", "threads": 0, **more})


def rows(batches: Any) -> list[int]:
    return [int(i) for batch in batches for i in batch["i"]]


def epoch(number: int) -> list[int]:
    return rows(loader().epoch(number))


def served(batches: Batches, **more: Any) -> Any:
    return DataLoader(batches, batch_size=None, **more)


def test_an_epoch_that_was_asked_for_is_followed_by_the_next_one() -> None:
    one = loader()
    assert rows(one.epoch(5)) == epoch(5) and rows(one) == epoch(6)
    one.set_epoch(2)
    assert one.position == (2, 0)
    assert rows(one) == epoch(2) and rows(one) == epoch(3)
    with pytest.raises(UsageError, match="epoch is -1, which is too small"):
        one.set_epoch(-1)


def test_the_epoch_of_a_loaded_state_is_continued_and_another_one_begins_anew() -> None:
    state = loader().state_at(2, 3)
    one = loader()
    one.load_state_dict(state)
    one.set_epoch(2)
    assert rows(one) == epoch(2)[12:] and rows(one) == epoch(3)
    one.load_state_dict(state)
    one.set_epoch(4)
    assert rows(one) == epoch(4)


def test_iterators_side_by_side_have_an_epoch_each() -> None:
    one = loader()
    assert [rows([a]) + rows([b]) for a, b in zip(one, one)] == [
        rows([a]) + rows([b]) for a, b in zip(loader().epoch(0), loader().epoch(1))
    ]


@pytest.mark.parametrize("workers", [{}, {"num_workers": 2, "persistent_workers": True}])
def test_who_takes_exactly_as_many_batches_as_there_are_has_all_of_each_epoch(workers: dict[str, Any]) -> None:
    data = served(Batches(loader()), **workers)
    for number in range(3):
        batches = iter(data)
        assert rows(next(batches) for _ in range(len(data))) == epoch(number)


def test_workers_that_are_kept_go_on_by_themselves_from_what_was_set() -> None:
    batches = Batches(loader())
    data = served(batches, num_workers=2, persistent_workers=True)
    assert [rows(data), rows(data)] == [epoch(0), epoch(1)]
    batches.set_epoch(7)
    assert [rows(data), rows(data)] == [epoch(7), epoch(8)]
    batches.loader.set_epoch(3)
    next(iter(data))
    assert rows(data) == epoch(4) and batches.epoch == 5
    assert rows(served(batches)) == epoch(5)
    assert rows(data) == epoch(6)


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "started anew"])
@pytest.mark.parametrize("workers", [1, 2])
def test_no_epoch_is_read_twice_whoever_reads(workers: int, kept: bool) -> None:
    batches = Batches(loader())
    torch.manual_seed(0)
    first = served(batches, num_workers=workers, persistent_workers=kept)
    read = [rows(first)]
    torch.manual_seed(0)  # the workers of both have the same seeds
    second = served(batches, num_workers=workers, persistent_workers=kept)
    read += [rows(data) for data in (second, first, second, batches.loader, served(batches), second, first)]
    assert read == [epoch(number) for number in range(8)]
    batches.set_epoch(3)
    assert [rows(data) for data in (second, first, batches)] == [epoch(3), epoch(4), epoch(5)]


def test_two_data_loaders_side_by_side_have_an_epoch_each() -> None:
    batches = Batches(loader())
    first, second = (served(batches, num_workers=2, persistent_workers=True) for _ in range(2))
    for number in (0, 2):
        pairs = list(zip(first, second))
        found = [rows(one[k] for one in pairs) for k in (0, 1)]
        assert sorted(found) == sorted([epoch(number), epoch(number + 1)])


class SecondIsLate(IterableDataset[Any]):
    """The second worker begins each iteration but the first one late."""

    def __init__(self, batches: Batches) -> None:
        self.batches, self.iterations = batches, 0

    def __iter__(self) -> Any:
        self.iterations += 1
        if get_worker_info().id == 1 and self.iterations > 1:
            time.sleep(0.3)
        return iter(self.batches)


def test_all_workers_read_the_epoch_that_the_first_one_began() -> None:
    batches = Batches(loader())
    data = served(SecondIsLate(batches), num_workers=2, persistent_workers=True)
    assert rows(data) == epoch(0)
    for number in (4, 2, 7):
        next(iter(data))
        batches.set_epoch(number)
        assert rows(data) == epoch(number)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_process_that_was_forked_follow_it(method: str) -> None:
    batches, context = Batches(loader()), multiprocessing.get_context("fork")
    rows(batches)
    queue = context.Queue()
    forked = context.Process(target=as_a_rank, args=(batches, queue, method))
    forked.start()
    batches.set_epoch(9)
    assert queue.get(timeout=250) == [epoch(number) for number in (1, 2, 6, 7)]
    forked.join()
    assert rows(served(batches, num_workers=1)) == epoch(9)


def as_a_rank(batches: Batches, queue: Any, method: str) -> None:
    data = served(batches, num_workers=1, persistent_workers=True, multiprocessing_context=method)
    found = [rows(batches), rows(data)]
    batches.set_epoch(6)
    queue.put([*found, rows(data), rows(data)])


def test_threads_begin_each_epoch_once() -> None:
    turns, begun = Turns(), list[int]()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [Thread(target=lambda: begun.extend(turns.begin()[0] for _ in range(50))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert sorted(begun) == list(range(200))


def test_a_process_whose_workers_are_ahead_has_no_state() -> None:
    batches = Batches(loader())
    assert batches.state_dict()["consumed"] == 0
    next(iter(served(batches, num_workers=1)))
    for state in (batches.state_dict, batches.loader.state_dict):
        with pytest.raises(UsageError, match=r"loader\.state_at\(epoch, steps\)"):
            state()
    batches.set_epoch(4)
    assert batches.state_dict()["epoch"] == 4


def test_the_state_after_the_last_batch_is_the_start_of_the_next_epoch() -> None:
    batches = Batches(loader())
    states = [batches.state_dict() for _ in served(batches)]
    assert states == [loader().state_at(0, steps) for steps in range(1, 7)]
    later = loader()
    later.load_state_dict(states[-1])
    assert rows(later) == epoch(1)


def test_a_set_of_batches_that_was_sent_elsewhere_follows_its_own_process() -> None:
    batches = Batches(loader())
    sent = pickle.loads(pickle.dumps(batches))
    batches.set_epoch(6)
    assert rows(served(sent)) == epoch(0)
    assert rows(served(sent, num_workers=1, persistent_workers=True)) == epoch(1)
    assert rows(served(batches, num_workers=1)) == epoch(6)


# Ranks


def test_the_rank_is_that_of_the_process_when_an_iteration_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    one, stays = loader(bucket=Buckets("i", 8)), loader(rank=1, world=2)
    both = rows(one.epoch(0))
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    first, steps = rows(one.epoch(0)), len(one)
    monkeypatch.setenv("RANK", "1")
    second = rows(one.epoch(0))
    assert sorted(first + second) == sorted(both) and not set(first) & set(second) and steps == 3
    assert one.plan.bucket == Buckets("i", 8, run=8)
    assert rows(loader().epoch(0)) == rows(stays.epoch(0))


def test_a_loader_from_one_of_several_ranks_needs_a_rank_where_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    sent, given = (pickle.dumps(one) for one in (loader(), loader(rank=1, world=2)))
    monkeypatch.setenv("RANK", "0")
    assert rows(pickle.loads(sent).epoch(0)) == rows(loader().epoch(0))
    monkeypatch.delenv("RANK")
    monkeypatch.delenv("WORLD_SIZE")
    assert "for no rank" in repr(pickle.loads(sent))
    with pytest.raises(UsageError, match="came from rank 1 of 2"):
        rows(pickle.loads(pickle.dumps(pickle.loads(sent))).epoch(0))
    assert rows(pickle.loads(given).epoch(0)) == rows(loader(rank=1, world=2).epoch(0))


# What is lost


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"last": "drop", "batch_size": 24}, r"leaves out all 23 samples: a step takes 24. .*batch_size=23 or less"),
        ({"last": "drop", "batch_size": 8, "rank": 0, "world": 3}, "a step takes 24"),
        ({"batch_size": 4, "rank": 0, "world": 24}, "some of the 24 ranks get none of the 23 samples"),
    ],
)
def test_a_setting_that_loses_samples_is_said_once(more: dict[str, Any], message: str) -> None:
    one = Loader(numbers(), **more)
    with pytest.warns(UserWarning, match=message):
        list(one)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(one)
        list(Loader(numbers(), 23, last="drop"))
        list(Loader(numbers(0), 4, last="drop", rank=0, world=2))


# What trainers do


def test_a_trainer_sets_the_epoch_and_skips_steps_as_with_a_data_loader_of_torch() -> None:
    one = loader()
    one.sampler.set_epoch(3)
    assert one.batch_sampler.sampler.set_epoch and len(one.dataset) == 23
    skipped = list(one.batch_sampler)[2:]
    assert len(one.batch_sampler) == 6 == len(skipped) + 2
    data = DataLoader(one.dataset, batch_sampler=skipped, collate_fn=one.collate_fn)
    assert rows(data) == epoch(3)[8:]
    assert rows(one) == epoch(4)


def test_a_data_loader_of_the_parts_of_a_loader_reads_each_epoch_whole() -> None:
    one = loader()
    data = DataLoader(one.dataset, batch_sampler=one.batch_sampler, collate_fn=one.collate_fn)
    assert [rows(data) for _ in range(4)] == [epoch(number) for number in range(4)]
    one.set_epoch(2)
    assert rows(data) == epoch(2)


def test_a_step_that_failed_can_be_read_again() -> None:
    failing: set[int] = set()

    def may_fail(sample: Any) -> Any:
        if sample["i"] in failing:
            failing.clear()
            raise OSError("once")
        return sample

    steps = Loader(numbers().map(may_fail), 4, output="torch", threads=0)
    places, read = [place for (place,) in steps.batch_sampler], steps.dataset
    assert rows(read[place] for place in places[:2]) == list(range(8))
    failing.add(9)
    with pytest.raises(OSError, match="once"):
        read[places[2]]
    assert rows(read[place] for place in places[2:]) == list(range(8, 23))
