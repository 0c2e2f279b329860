"""A loader's state is exact at every position of any stack, under any change; or refused by the field that differs."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets import Array, Columns, Dataset, Split, View, load, prepare, view_of
from dataset_assets.errors import Conflict, UsageError
from dataset_assets.loader import Buckets, Budget, Loader
from dataset_assets.loader.steps import Last
from dataset_assets.testing.loaders import copied, elsewhere

Steps = list[tuple[Any, ...]]

# Stacks are built from a description, so that another process builds the same.
operations = st.one_of(
    st.tuples(st.just("slice"), st.integers(0, 9), st.sampled_from([1, 2, -1])),
    st.tuples(st.just("select"), st.integers(0, 99)),
    st.tuples(st.just("map")),
    st.tuples(st.just("concat")),
    st.tuples(st.just("zip")),
    st.tuples(st.just("only")),
    st.tuples(st.just("batched")),
    st.tuples(st.just("shuffle"), st.integers(0, 3)),
    st.tuples(st.just("filter"), st.integers(2, 4)),
    st.tuples(st.just("repeat"), st.integers(1, 3)),
    st.tuples(st.just("interleave")),
    st.tuples(st.just("mix"), st.sampled_from(["first", "all", 17])),
    st.tuples(st.just("random"), st.integers(0, 3)),
    st.tuples(st.just("blocks")),
    st.tuples(st.just("shard"), st.integers(1, 3)),
    st.tuples(st.just("part"), st.integers(0, 3)),
    st.tuples(st.just("sort_by")),
)
stacks = st.lists(operations, max_size=4)


def doubled(sample: Any) -> Any:
    return {**sample, "i": sample["i"] + 100}


def divisible(by: int, sample: Any) -> bool:
    return bool(sample["i"] % by)


def shaken(sample: Any, chance: np.random.Generator) -> Any:
    return {**sample, "i": int(sample["i"]) * 1000 + int(chance.integers(1000))}


def shifted(block: Any) -> Any:
    return {**block, "i": np.asarray(block["i"]) + 7}


def summed(batch: Any) -> Any:
    return {"i": batch["i"].sum()}


def built(n: int, steps: Steps) -> View:
    view = view_of(i=np.arange(n), tokens=[np.full((5 * i) % 7, i) for i in range(n)])
    for number, (name, *arguments) in enumerate(steps):
        if name == "slice":
            view = view[arguments[0] :: arguments[1]]
        elif name == "select":
            rng = np.random.default_rng(arguments[0])
            view = view.select(rng.integers(0, len(view), len(view) // 2 + 2) if len(view) else [])
        elif name == "map":
            view = view.map(doubled)
        elif name == "concat":
            view = view.concat(view[:3])
        elif name == "zip":
            view = view.zip(view_of(**{f"extra{number}": np.arange(len(view))}))
        elif name == "only":
            view = view.only("i")
        elif name == "shuffle":
            view = view.shuffle(arguments[0])
        elif name == "filter":
            view = view.filter(partial(divisible, arguments[0]))
        elif name == "repeat":
            view = view.repeat(arguments[0])
        elif name == "interleave":
            view = view.interleave(view[:4])
        elif name == "mix" and len(view):
            view = view.mix(view[::-1], weights=(2, 1), seed=1, stop=arguments[0])
        elif name == "random":
            view = view.map(shaken, random=True, seed=arguments[0])
        elif name == "blocks":
            view = view.map(shifted, batched=True)
        elif name == "shard":
            view = view.shard(arguments[0], 0)
        elif name == "part":
            view = view.random_split((0.7, 0.3), seed=arguments[0])[0]
        elif name == "sort_by":
            view = view.sort_by("i")
        elif name == "batched":
            view = view.only("i").batch(3).map(summed)
    return view


def loader_of(n: int, steps: Steps, size: int, **more: Any) -> Loader:
    return Loader(built(n, steps), size, seed=8, **more)


def flat(batches: Any) -> list[int]:
    return [int(i) for batch in batches for i in batch["i"]]


def rest_of(n: int, steps: Steps, size: int, more: dict[str, Any], state: Any) -> list[int]:
    loader = loader_of(n, steps, size, **more)
    loader.load_state_dict(state)
    return flat(loader)


@given(
    st.integers(0, 40), stacks, st.integers(1, 9), st.booleans(), st.integers(0, 12),
    st.integers(0, 2), st.integers(0, 2), st.booleans(), st.integers(1, 9),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_any_stack_goes_on_exactly_at_any_position(
    n: int, steps: Steps, size: int, shuffle: bool, after: int, before: int, then: int, away: bool, other: int
) -> None:
    whole = flat(loader_of(n, steps, size, shuffle=shuffle, threads=0))
    loader = loader_of(n, steps, size, shuffle=shuffle, threads=before)
    seen = []
    for _, batch in zip(range(min(after, max(0, len(loader) - 1))), loader):
        seen += flat([batch])
    state = copied(loader.state_dict())
    # Batches of another size, on another number of threads, in another process.
    more = {"shuffle": shuffle, "threads": then}
    rest = elsewhere(rest_of, n, steps, other, more, state) if away else rest_of(n, steps, other, more, state)
    assert seen + rest == whole
    assert len(json.dumps(state)) < 4096


@given(st.integers(1, 60), stacks, st.integers(1, 6), st.integers(1, 4), st.integers(1, 4), st.integers(0, 8))
@settings(max_examples=100, deadline=None)
def test_any_stack_goes_on_with_other_ranks(
    n: int, steps: Steps, size: int, before: int, after: int, count: int
) -> None:
    whole = flat(loader_of(n, steps, size, shuffle=True, threads=0))
    seen: list[int] = []
    state: Any = None
    for rank in range(before):
        loader = loader_of(n, steps, size, shuffle=True, threads=0, rank=rank, world=before)
        for _, batch in zip(range(min(count, max(0, len(loader) - 1))), loader):
            seen += flat([batch])
        state = copied(loader.state_dict())
    for rank in range(after):
        seen += rest_of(n, steps, size, {"shuffle": True, "threads": 0, "rank": rank, "world": after}, state)
    assert sorted(seen) == sorted(whole)


@given(st.integers(0, 200), st.integers(7, 40), st.integers(1, 4), st.sampled_from(["keep", "drop", "pad"]))
@settings(deadline=None)
def test_a_budget_is_kept_and_every_rank_takes_equally_many_steps(n: int, size: int, world: int, last: Last) -> None:
    view = built(n, [])
    ranks = [
        Loader(view, Budget(size, "tokens"), shuffle=True, seed=1, rank=rank, world=world, last=last, threads=0)
        for rank in range(world)
    ]
    # Of a budget each epoch has its own number of steps.
    lengths = {len(loader) for loader in ranks}
    steps = [list(loader) for loader in ranks]
    assert {len(batches) for batches in steps} == lengths
    assert len(lengths) == 1
    for batches in steps:
        for batch in batches:
            assert sum(max(1, len(tokens)) for tokens in batch["tokens"]) <= size
    seen = sorted(i for batches in steps for i in flat(batches))
    if last == "keep":
        assert seen == list(range(n))
    elif last == "pad":
        assert set(seen) == set(range(n))
        assert all(len(batch["i"]) for batches in steps for batch in batches)
    else:
        assert len(seen) == len(set(seen)) and all(len(batch["i"]) for batches in steps for batch in batches)


def test_batches_of_a_budget_are_the_same_for_any_number_of_ranks() -> None:
    def batches(world: int) -> list[list[int]]:
        ranks = [
            iter(Loader(built(50, []), Budget(9, "tokens"), shuffle=True, seed=1, rank=rank, world=world, threads=0))
            for rank in range(world)
        ]
        return [flat([batch]) for step in zip(*ranks) for batch in step if len(batch["i"])]

    assert batches(1) == batches(2) == batches(3)


def test_a_budget_names_the_sample_that_is_too_long() -> None:
    with pytest.raises(UsageError, match=r"Sample 2 of memory all has length 9 in t, which exceeds the budget of 8"):
        list(Loader(view_of(t=["a", "bb", "c" * 9]), Budget(8, "t")).epoch(0))


def test_buckets_bring_like_lengths_together() -> None:
    view = view_of(tokens=[np.zeros(k) for k in np.random.default_rng(0).integers(1, 500, 2000)])

    def waste(bucket: Buckets | None) -> float:
        batches = [[len(t) for t in b["tokens"]] for b in Loader(view, 20, shuffle=True, bucket=bucket).epoch(0)]
        return sum(max(lengths) * len(lengths) for lengths in batches) / sum(map(sum, batches))

    assert waste(None) > 1.8
    assert waste(Buckets("tokens", window=1000)) < 1.05
    firsts = [len(b["tokens"][0]) for b in Loader(view, 20, shuffle=True, bucket=Buckets("tokens", 1000)).epoch(0)]
    assert firsts != sorted(firsts)


def test_runs_of_a_budget_are_to_be_named() -> None:
    with pytest.raises(UsageError, match=r"Give one: Buckets\(stream, run="):
        Loader(built(9, []), Budget(9, "tokens"), bucket=Buckets("tokens"))


def test_golden_orders_of_buckets_and_budgets() -> None:
    view = built(12, [])
    bucketed = Loader(view, 4, shuffle=True, seed=3, bucket=Buckets("tokens", window=8, run=2), threads=0)
    assert [flat([batch]) for batch in bucketed] == GOLDEN_BUCKETS
    assert [flat([batch]) for batch in Loader(view, Budget(8, "tokens"), shuffle=True, seed=3)] == GOLDEN_BUDGET


GOLDEN_BUCKETS = [[3, 2, 1, 8], [4, 11, 10, 7], [9, 5, 0, 6]]
GOLDEN_BUDGET = [[10, 7, 3, 2], [4], [1], [8], [11, 6], [5, 0, 9]]


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("stack", {"steps": [("slice", 1, 1)]}),
        ("stack", {"steps": [("map",)]}),
        ("seed", {"seed": 9}),
        ("shuffle", {"shuffle": False}),
        ("bucket", {"bucket": Buckets("tokens", 4, 1)}),
    ],
)
def test_a_state_is_refused_by_the_field_that_differs(field: str, other: dict[str, Any]) -> None:
    def made(steps: Any = (), seed: int = 8, shuffle: bool = True, **more: Any) -> Loader:
        return Loader(built(20, list(steps)), 3, seed=seed, shuffle=shuffle, **more)

    with pytest.raises(Conflict, match=f"The state has {field} "):
        made(**other).load_state_dict(copied(made().state_dict()))


def test_a_state_of_another_stack_is_refused_with_what_changed() -> None:
    state = copied(loader_of(20, [("slice", 2, 1)], 3).state_dict())
    with pytest.raises(Conflict, match=r"- select\(order=2:20:1\); \+ select\(order=3:20:1\)"):
        loader_of(20, [("slice", 3, 1)], 3).load_state_dict(state)


def test_L10_a_state_of_another_version_is_refused_with_both_and_goes_on_with_its_own(home: Path) -> None:
    def numbers(upto: int) -> Iterator[Any]:
        yield Columns(i=np.arange(upto))

    def released(upto: int) -> View:
        name = "org.example.of_a_rather_long_name.numbers"
        return prepare(Dataset(name, "Numbers.", {"i": Array()}, {"train": Split(numbers, upto=upto)}))["train"]

    def made(view: View) -> Loader:
        return Loader(view, 4, shuffle=True, seed=1)

    first = released(30)
    loader = made(first)
    seen = flat([next(iter(loader))])
    state, second = copied(loader.state_dict()), released(31)
    with pytest.raises(Conflict, match="^The state has stack ") as raised:
        made(second).load_state_dict(state)
    said = str(raised.value)
    assert f"- stored(dataset={first.dataset}, split=train, " in said and f"version={str(first.version)[:12]}" in said
    assert f"+ stored(dataset={first.dataset}, split=train, " in said and f"version={str(second.version)[:12]}" in said
    assert said.endswith("Load the same version and build the same stack, or start a new epoch.")
    pinned = made(load(f"{first.dataset}@{first.version}", split="train"))
    pinned.load_state_dict(state)
    assert seen + flat(pinned) == flat(made(first).epoch(0))


@pytest.mark.parametrize("field", ["format", "library"])
def test_L10_a_state_of_another_library_is_refused(field: str) -> None:
    loader = loader_of(20, [], 3)
    with pytest.raises(
        Conflict, match=rf"The state has {field} 77, this loader has \d: .* Use the version of dataset_assets"
    ):
        loader.load_state_dict({**loader.state_dict(), field: 77})


@pytest.mark.parametrize("consumed", [-1, None, 1.5, "3"])
def test_a_state_without_a_position_is_refused(consumed: Any) -> None:
    loader = loader_of(20, [], 3)
    with pytest.raises(Conflict, match="consumed"):
        loader.load_state_dict({**loader.state_dict(), "consumed": consumed})


@pytest.mark.parametrize("last", ["keep", "drop", "pad"])
def test_a_state_beyond_the_end_of_its_epoch_is_refused(last: Any) -> None:
    loader = Loader(built(20, []), 3, last=last)
    loader.load_state_dict({**loader.state_dict(), "consumed": 20})
    with pytest.raises(Conflict, match="consumed 21 samples, but its epoch has 20"):
        loader.load_state_dict({**loader.state_dict(), "consumed": 21})


def test_a_state_of_a_high_and_wide_stack_is_small() -> None:
    view = built(20, [])
    for _ in range(60):
        view = view.map(doubled)
    wide = view.concat(*[built(20, []) for _ in range(500)])
    assert len(json.dumps(Loader(wide, 3).state_dict())) < 4096


def test_a_state_holds_no_secret_of_a_function() -> None:
    view = built(5, []).map(partial(doubled_with, key="s3cret"))
    assert "s3cret" not in json.dumps(Loader(view, 2).state_dict())


def doubled_with(sample: Any, key: str) -> Any:
    return sample


def test_the_state_after_some_steps_can_be_asked_for() -> None:
    loader = loader_of(20, [], 3, shuffle=True, threads=0)
    states = [loader.state_dict()]
    for _ in loader:
        states.append(loader.state_dict())
    assert [loader.state_at(0, steps) for steps in range(len(states))] == states


def test_random_numbers_depend_on_seed_epoch_and_row_only() -> None:
    def drawn(epoch: int, **more: Any) -> set[int]:
        view = built(40, []).map(shaken, random=True, seed=1)
        world = more.get("world", 1)
        ranks = [Loader(view, **{"batch_size": 7, **more, **({"rank": r} if world > 1 else {})}) for r in range(world)]
        return {i for loader in ranks for i in flat(loader.epoch(epoch))}

    first = drawn(0)
    assert len(first) == 40
    others: list[dict[str, Any]] = [
        {"threads": 3}, {"threads": 0}, {"batch_size": 1}, {"shuffle": True, "seed": 9}, {"world": 3}
    ]  # fmt: skip
    for more in others:
        assert drawn(0, **more) == first
    assert len(first & drawn(1)) < 5
