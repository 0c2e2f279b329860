"""What a loader is given: ranks from three places, and what cannot be is refused at once, by its name."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_assets import View, view_of
from dataset_assets.errors import Conflict, NotInstalled, UnknownStream, UsageError
from dataset_assets.loader import Buckets, Budget, Loader, joined, padded, ranks

MISSING = "import sys; sys.modules['torch'] = None\n"


def numbers(n: int = 20) -> View:
    return view_of(i=np.arange(n), t=[np.arange(k % 4) for k in range(n)])


# Ranks


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    return monkeypatch


@pytest.fixture
def group(fast_path: Path) -> Iterator[None]:
    """A process group of this process alone."""
    distributed = pytest.importorskip("torch.distributed")
    store = distributed.FileStore(str(fast_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_ranks_that_are_given_come_first(environment: pytest.MonkeyPatch, group: None) -> None:
    assert ranks(1, 2) == (1, 2)
    plan = Loader(numbers(), 4, rank=1, world=2).plan
    assert (plan.rank, plan.world) == (1, 2)


def test_then_those_of_torch(environment: pytest.MonkeyPatch, group: None) -> None:
    plan = Loader(numbers(), 4).plan
    assert (plan.rank, plan.world) == ranks() == (0, 1)


def test_then_those_of_the_environment(environment: pytest.MonkeyPatch) -> None:
    plan = Loader(numbers(), 4).plan
    assert (plan.rank, plan.world) == ranks() == (3, 4)
    environment.delenv("RANK")
    environment.delenv("WORLD_SIZE")
    assert ranks() == (0, 1)


def test_half_of_them_and_what_is_no_number_is_refused(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="both rank and world"):
        ranks(1, None)
    environment.setenv("WORLD_SIZE", "many")
    with pytest.raises(UsageError, match="WORLD_SIZE=many"):
        ranks()
    environment.delenv("WORLD_SIZE")
    with pytest.raises(UsageError, match="RANK=3, WORLD_SIZE=None"):
        len(Loader(numbers(), 4))
    environment.setenv("WORLD_SIZE", "3")
    with pytest.raises(UsageError, match="rank is 3, but world is 3"):
        next(iter(Loader(numbers(), 4)))


# Everything else


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"batch_size": "8"}, "batch_size is '8'"),
        ({"batch_size": 8.0}, "batch_size is 8.0"),
        ({"batch_size": None}, "batch_size is None"),
        ({"batch_size": True}, "batch_size is True"),
        ({"batch_size": 0}, "batch_size is 0, .* Give 1 or more"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"rank": 3, "world": 2}, "rank is 3, but world is 2"),
        ({"rank": "0", "world": "2"}, "rank is '0'"),
        ({"rank": 0, "world": 0}, "world is 0"),
        ({"rank": -1, "world": 2}, "rank is -1"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"seed": None}, "seed is None"),
        ({"shuffle": "yes"}, "shuffle='yes'"),
        ({"last": "dorp"}, "is not known. Did you mean 'drop'"),
        ({"threads": -1}, "threads is -1"),
        ({"threads": "2"}, "threads is '2'"),
        ({"prefetch": 0}, "prefetch is 0"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": "1"}, "timeout is '1'"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"timeout": 1, "threads": 0}, "timeout needs a background thread"),
        ({"collate": 3}, "collate is 3"),
        ({"bucket": "t"}, "bucket is 't'"),
        ({"bucket": Buckets("t"), "batch_size": Budget(9, "t")}, r"Give one: Buckets\(stream, run="),
        ({"output": "jax"}, "output='jax'"),
        ({"output": "torch", "copy": False}, "Leave out copy=False"),
        ({"output": "arrow", "device": "cpu"}, "Leave out output='arrow'"),
        ({"device": "gpu"}, "torch does not know device='gpu'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_at_once(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Loader(numbers(), **{"batch_size": 4, **arguments})


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Budget(0, "t"), "budget is 0"),
        (lambda: Budget("3", "t"), "budget is '3'"),  # type: ignore[arg-type]
        (lambda: Buckets("t", window=0), "window of buckets is 0"),
        (lambda: Buckets("t", run=1.5), "run of buckets is 1.5"),  # type: ignore[arg-type]
    ],
)
def test_budgets_and_buckets_that_cannot_be_are_refused_when_they_are_made(made: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        made()


@pytest.mark.parametrize("more", [{"batch_size": Budget(9, "tt")}, {"bucket": Buckets("tt")}])
def test_lengths_of_a_stream_that_is_not_there_are_refused(more: Any) -> None:
    with pytest.raises(UnknownStream, match="memory all has no stream 'tt'. Did you mean 't'?"):
        Loader(numbers(), **{"batch_size": 4, **more})
    # Of what a function makes nobody knows the streams before it was called.
    computed = Loader(numbers().map(dict), **{"batch_size": 4, **more})
    with pytest.raises(UnknownStream, match="'tt'"):
        next(iter(computed))


@pytest.mark.parametrize("what", ["com.lecun.mnist", None, [1, 2], np.arange(3)])
def test_what_is_no_view_is_refused(what: Any) -> None:
    with pytest.raises(UsageError, match=f"got a {type(what).__name__}. Make one with view_of"):
        Loader(what, 4)


def test_of_all_splits_one_is_to_be_taken() -> None:
    with pytest.raises(UsageError, match="pass one of them"):
        Loader({"train": numbers()}, 4)  # type: ignore[arg-type]


def test_a_device_that_is_not_here_is_refused() -> None:
    torch = pytest.importorskip("torch")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    with pytest.raises(UsageError, match="is not available: torch finds"):
        Loader(numbers(), 4, device=f"cuda:{there}")


@pytest.mark.parametrize("more", ["output='torch'", "device='cpu'"])
def test_tensors_without_torch_name_the_extra(more: str) -> None:
    code = (
        f"{MISSING}from dataset_assets.loader import Loader; from dataset_assets import view_of\n"
        f"try: Loader(view_of(i=[1]), 1, {more})\nexcept Exception as error: print(type(error).__name__, error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=250).stdout
    assert said.startswith(NotInstalled.__name__) and "dataset_assets[torch]" in said


def test_the_door_lists_batches_and_names_the_extra_when_it_is_asked_for() -> None:
    code = (
        f"{MISSING}from dataset_assets import loader\nprint('Batches' in dir(loader))\n"
        "try: loader.Batches\nexcept Exception as error: print(type(error).__name__, error)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=250).stdout
    assert out.startswith(f"True\n{NotInstalled.__name__} ") and "dataset_assets[torch]" in out


@pytest.mark.parametrize("state", [None, "x", [], 3, {}, {"epoch": 0, "consumed": 0}])
def test_what_is_no_state_is_refused(state: Any) -> None:
    with pytest.raises(Conflict, match=r"(is not a loader state|^The state has )"):
        Loader(numbers(), 4).load_state_dict(state)


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (("a",), "epoch is 'a'"), ((-1,), "epoch is -1"), ((1.5,), "epoch is 1.5"),
        ((0, -3), "consumed is -3"), ((0, 21), "consumed is 21, but epoch 0 has 20 samples"),
    ],
)  # fmt: skip
def test_an_epoch_or_a_position_that_is_none_is_refused_when_it_is_asked_for(at: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Loader(numbers(), 4, shuffle=True).epoch(*at)
    with pytest.raises(UsageError, match="steps is -1"):
        Loader(numbers(), 4).state_at(0, -1)


def test_numbers_of_numpy_do_as_well() -> None:
    plain = Loader(numbers(), 4, shuffle=True, seed=3)
    other = Loader(numbers(), np.int64(4), shuffle=True, seed=np.int32(3), rank=np.int8(0), world=np.int8(1))  # type: ignore[arg-type]
    rows = [batch["i"].tolist() for batch in plain.epoch(1)]
    begun = other.epoch(np.int64(1))  # type: ignore[arg-type]
    assert next(begun)["i"].tolist() == rows[0]
    import json

    assert json.loads(json.dumps(other.state_dict())) == plain.state_at(1, 1)


@pytest.mark.parametrize("collate", [padded("t"), joined("t"), None])
@pytest.mark.parametrize("output", ["numpy", "torch"])
@pytest.mark.parametrize("n", [0, 1])
def test_views_of_no_and_one_sample_and_more_ranks_than_samples(n: int, output: Any, collate: Any) -> None:
    for last in ("keep", "drop", "pad"):
        made = [
            Loader(numbers(n), 4, shuffle=True, rank=rank, world=3, last=last, output=output, collate=collate)
            for rank in range(3)
        ]
        batches = [list(loader.epoch(0)) for loader in made]
        steps = n if last != "drop" else 0
        assert [len(each) for each in batches] == [len(loader) for loader in made] == [steps] * 3
        sizes = [len(batch["i"]) for each in batches for batch in each]
        assert sizes == ([] if not steps else [4, 4, 4] if last == "pad" else [0, 0, 1])
