"""Iterating begins an epoch: in this process, in workers of a DataLoader, and on the rank of the process then."""

import pickle
import warnings
from typing import Any

import numpy as np
import pytest

from dataset_assets import View, view_of
from dataset_assets.errors import UsageError
from dataset_assets.loader import Buckets, Loader

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

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


def test_workers_that_are_started_anew_are_refused_where_the_epoch_is_not_known() -> None:
    batches = Batches(loader())
    data = served(batches, num_workers=2)
    assert rows(data) == epoch(0)
    with pytest.raises(UsageError, match=r"set_epoch\(epoch\).*persistent_workers=True"):
        rows(data)
    batches.set_epoch(1)
    assert rows(data) == epoch(1)


def test_workers_that_are_started_anew_are_not_refused_where_all_epochs_are_the_same() -> None:
    data = served(Batches(loader(shuffle=False)), num_workers=1)
    assert rows(data) == rows(data) == list(range(23))
    data = served(Batches(Loader(numbers().shuffle(1), 4, output="torch")), num_workers=1)
    rows(data)
    with pytest.raises(UsageError, match="started anew"):
        rows(data)


def test_a_process_whose_workers_are_ahead_has_no_state() -> None:
    batches = Batches(loader())
    assert batches.state_dict()["consumed"] == 0
    next(iter(served(batches, num_workers=1)))
    with pytest.raises(UsageError, match=r"loader\.state_at\(epoch, steps\)"):
        batches.state_dict()
    batches.set_epoch(4)
    assert batches.state_dict()["epoch"] == 4


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
